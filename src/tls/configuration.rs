//! One complete TLS configuration: loaded and proven as a whole, then used until it is replaced as a whole.

use std::{sync::Arc, time::SystemTime};

use homing_login::{Service, TlsFacts};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{NoServerSessionStorage, ProducesTickets},
    version::{TLS12, TLS13},
};

use super::{
    TlsError,
    certificate::Certificate,
    client_certificate::{ClientCertificates, Verdict},
    description::describe,
    provider,
    sni::{Certificates, Named},
};
use crate::config::settings::{TlsSettings, TlsVersion};

/// What handshakes use.
pub(super) struct Current {
    imap: Arc<ServerConfig>,
    pop3: Arc<ServerConfig>,
    sieve: Arc<ServerConfig>,
    client_certificates: Option<Arc<ClientCertificates>>,
    pub(super) expiries: Vec<CertificateExpiry>,
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

impl Current {
    /// `old` is what is in use now.
    pub(super) fn load(settings: &TlsSettings, old: Option<&Self>) -> Result<Self, TlsError> {
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

    /// Differs by the name that ALPN must have.
    pub(super) fn config(&self, service: Service) -> &Arc<ServerConfig> {
        match service {
            Service::Imap => &self.imap,
            Service::Pop3 => &self.pop3,
            Service::Sieve => &self.sieve,
        }
    }

    /// Of a finished handshake.
    pub(super) fn facts(&self, connection: &rustls::ServerConnection) -> TlsFacts {
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
