//! The handshake with backends (spec/login-proxy.md 7.7).
//!
//! Difference to the reference: SNI carries names only (RFC 6066 section 3), so a host given as an IP address
//! is sent no SNI; its certificate is checked against the address.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rustls::{
    ClientConfig,
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    HandshakeError, TlsError, backend_verifier::BackendVerifier, no_verification::DangerousAnyCertificate,
    pem, provider, trust,
};
use crate::config::settings::{BackendSettings, ClientCertificate};

/// TLS towards backends. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    shared: Arc<Shared>,
}

struct Shared {
    /// Filled at once from `ssl_ca`, else from the system's store by the first connection that needs it.
    verified: OnceCell<Arc<ClientConfig>>,
    unverified: Arc<ClientConfig>,
    certificate: Option<ClientCertificate>,
    require_valid_cert: bool,
}

impl ClientTls {
    /// Loads `ssl_ca` and the client certificate. The system's store is read when it is first needed, so
    /// that a machine without one can still be used with plain or unchecked backends.
    pub fn new(settings: &BackendSettings) -> Result<Self, TlsError> {
        let certificate = settings.client_certificate.clone();
        let verified = match &settings.ca {
            Some(ca) => {
                let (roots, authorities) = trust::from_pem(ca)?;
                OnceCell::new_with(Some(verified(roots, authorities.certificates, certificate.as_ref())?))
            }
            None => OnceCell::new(),
        };
        let unverified = config(Arc::new(DangerousAnyCertificate(provider())), certificate.as_ref())?;
        let require_valid_cert = settings.require_valid_cert;
        Ok(Self { shared: Arc::new(Shared { verified, unverified, certificate, require_valid_cert }) })
    }

    /// Does the handshake with `host` as given by the auth service: a name or an IP address, also in brackets. `verify` is
    /// false for `any-cert`; `ssl_client_require_valid_cert=no` switches the check off for all. The deadline is
    /// the caller's.
    pub async fn connect<S>(
        &self,
        stream: S,
        host: &str,
        verify: bool,
    ) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config(verify && self.shared.require_valid_cert).await?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = match ServerName::try_from(bare.to_owned()) {
            Ok(name) => name,
            // Nobody looks at it, and of an address nothing is sent.
            Err(_) if !verify => ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Err(_) => return Err(HandshakeError::NameMismatch(homing_wire::printable(host.as_bytes()))),
        };
        let connector = TlsConnector::from(config);
        connector.connect(name, stream).await.map_err(|error| HandshakeError::connect(&error, host))
    }

    async fn config(&self, verify: bool) -> Result<Arc<ClientConfig>, TlsError> {
        if !verify {
            return Ok(Arc::clone(&self.shared.unverified));
        }
        let certificate = self.shared.certificate.clone();
        let load = || verified_by_system(certificate);
        self.shared.verified.get_or_try_init(load).await.map(Arc::clone)
    }
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

async fn verified_by_system(certificate: Option<ClientCertificate>) -> Result<Arc<ClientConfig>, TlsError> {
    let load = move || verified(trust::from_system()?, Vec::new(), certificate.as_ref());
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.map_err(|_| {
        TlsError::Setting("loading the system's trusted certificates was cut short".to_owned())
    })?
}

fn verified(
    roots: rustls::RootCertStore,
    listed: Vec<CertificateDer<'static>>,
    certificate: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    config(Arc::new(BackendVerifier { roots, listed, provider: provider() }), certificate)
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    certificate: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|e| TlsError::Setting(format!("ssl_client: {e}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(ClientCertificate { cert, key }) => {
            builder.with_client_auth_cert(pem::chain(cert)?, pem::private_key(key)?).map_err(|e| {
                TlsError::BadPair { cert: pem::name(cert), key: pem::name(key), problem: e.to_string() }
            })?
        }
    };
    Ok(Arc::new(config))
}
