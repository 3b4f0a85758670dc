//! The handshake with clients, and its configuration, which can be replaced while sessions live.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use homing_login::{Service, TlsFacts};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, ProducesTickets},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    HandshakeError, TlsError,
    certificate::Certificate,
    client_certificate::{ClientCertificates, Verdict},
    description::describe,
    provider,
    sni::{Certificates, Named},
    watch::FileStates,
};
use crate::config::settings::{SslMode, TlsSettings, TlsVersion};

/// TLS towards clients. Cheap to clone; all clones share one configuration.
///
/// Bounds: rustls refuses handshake messages over 64 KiB and keeps at most 64 KiB of output; the caller
/// sets the deadline. Tickets are stateless, so handshakes leave nothing behind in memory.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    current: ArcSwap<Current>,
    /// Serialises reloads; holds what the next look at the files needs.
    reload: Mutex<Reload>,
}

pub(super) struct Reload {
    /// What to load from.
    pub(super) settings: TlsSettings,
    /// The files as they were just before they were last read.
    pub(super) files: FileStates,
    /// The last attempt failed with this text.
    pub(super) failed: Option<String>,
}

/// One complete, proven configuration.
struct Current {
    imap: Arc<ServerConfig>,
    pop3: Arc<ServerConfig>,
    sieve: Arc<ServerConfig>,
    client_certificates: Option<Arc<ClientCertificates>>,
    expiries: Vec<CertificateExpiry>,
    /// Kept over reloads, so that phones can resume; but not over a change of what is asked of clients.
    ticketer: Arc<dyn ProducesTickets>,
}

/// When a certificate in use ends; for metrics and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Path of the chain, or `(inline PEM)`.
    pub name: String,
    /// Seconds since the epoch after which clients refuse it.
    pub not_after: i64,
}

impl ServerTls {
    /// Loads and checks everything; `None` for `ssl=no`.
    pub fn new(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        if settings.mode == SslMode::No {
            return Ok(None);
        }
        let files = FileStates::of(settings);
        let current = Current::load(settings, None)?;
        let reload = Reload { settings: settings.clone(), files, failed: None };
        let shared = Shared { current: ArcSwap::from_pointee(current), reload: Mutex::new(reload) };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// Does the handshake. The deadline is the caller's. A client that offers ALPN must offer the name of
    /// this service (RFC 7301 section 3.2), so that a browser cannot be led here (ALPACA); a client
    /// without ALPN is served.
    pub async fn accept<S>(
        &self,
        stream: S,
        service: Service,
    ) -> Result<(TlsStream<S>, TlsFacts), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let current = self.shared.current.load_full();
        let acceptor = TlsAcceptor::from(Arc::clone(current.config(service)));
        let stream = acceptor.accept(stream).await.map_err(|error| HandshakeError::accept(&error))?;
        let facts = current.facts(stream.get_ref().1);
        Ok((stream, facts))
    }

    /// Replaces the configuration for new handshakes; sessions keep theirs. On error the old one stays.
    /// Reads files.
    pub fn reload(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let mut reload = self.lock_reload();
        let files = FileStates::of(settings);
        self.replace(settings)?;
        *reload = Reload { settings: settings.clone(), files, failed: None };
        Ok(())
    }

    /// The certificates in use, defaults first.
    pub fn expiries(&self) -> Vec<CertificateExpiry> {
        self.shared.current.load().expiries.clone()
    }

    pub(super) fn replace(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let old = self.shared.current.load_full();
        self.shared.current.store(Arc::new(Current::load(settings, Some(&old))?));
        Ok(())
    }

    pub(super) fn lock_reload(&self) -> std::sync::MutexGuard<'_, Reload> {
        self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl Current {
    fn load(settings: &TlsSettings, old: Option<&Self>) -> Result<Self, TlsError> {
        let (certificates, expiries) = load_certificates(settings)?;
        let client_certificates = ClientCertificates::new(settings)?.map(Arc::new);
        let ticketer = match old {
            Some(old) if old.client_certificates.is_some() == client_certificates.is_some() => {
                Arc::clone(&old.ticketer)
            }
            _ => Ticketer::new().map_err(setting)?,
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(settings.min_version))
            .map_err(setting)?;
        let builder = match &client_certificates {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.ignore_client_order = settings.prefer_server_ciphers;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&ticketer);
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        let for_service = |service| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn(service).to_vec()];
            Arc::new(config)
        };
        Ok(Self {
            imap: for_service(Service::Imap),
            pop3: for_service(Service::Pop3),
            sieve: for_service(Service::Sieve),
            client_certificates,
            expiries,
            ticketer,
        })
    }

    fn config(&self, service: Service) -> &Arc<ServerConfig> {
        match service {
            Service::Imap => &self.imap,
            Service::Pop3 => &self.pop3,
            Service::Sieve => &self.sieve,
        }
    }

    fn facts(&self, connection: &rustls::ServerConnection) -> TlsFacts {
        let verdict = self
            .client_certificates
            .as_ref()
            .map_or_else(Verdict::default, |judge| judge.verdict(connection.peer_certificates()));
        TlsFacts {
            server_name: connection.server_name().map(str::to_owned),
            valid_client_cert: verdict.valid,
            cert_username: verdict.username,
            description: describe(connection),
        }
    }
}

/// Protocol names registered with IANA for RFC 7301.
fn alpn(service: Service) -> &'static [u8] {
    match service {
        Service::Imap => b"imap",
        Service::Pop3 => b"pop3",
        Service::Sieve => b"managesieve",
    }
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static SINCE_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static SINCE_13: [&SupportedProtocolVersion; 1] = [&TLS13];
    match min {
        TlsVersion::V12 => &SINCE_12,
        TlsVersion::V13 => &SINCE_13,
    }
}

fn load_certificates(settings: &TlsSettings) -> Result<(Certificates, Vec<CertificateExpiry>), TlsError> {
    if settings.default.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let now = SystemTime::now();
    let mut expiries = Vec::new();
    let mut load = |files| {
        let Certificate { key, name, not_after } = Certificate::load(files)?.warn_if_expiring(now);
        expiries.push(CertificateExpiry { name, not_after });
        Ok(key)
    };
    let default = settings.default.iter().map(&mut load).collect::<Result<_, TlsError>>()?;
    let by_name = settings
        .by_name
        .iter()
        .map(|named| Ok(Named { patterns: named.names.clone(), key: load(&named.files)? }))
        .collect::<Result<_, TlsError>>()?;
    Ok((Certificates { default, by_name }, expiries))
}

fn setting(error: rustls::Error) -> TlsError {
    TlsError::Setting(format!("ssl: {error}"))
}
