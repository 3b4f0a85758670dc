//! Certificates of clients: asked for, but never a reason to end the handshake (spec/login-proxy.md 11.3).
//!
//! During the handshake only the signature is checked, which proves that the client has the key. Whether the
//! certificate is valid is asked afterwards, of the finished session. So a resumed session is judged
//! by the authorities of today, not by those of the full handshake.

use std::sync::Arc;

use super::{TlsError, pem, provider, trust};
use crate::config::settings::TlsSettings;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

/// Judges client certificates.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    judge: Arc<dyn ClientCertVerifier>,
    /// CRLs are required, but there is none: as in the reference, no certificate counts as valid then.
    revocation_unknown: bool,
    /// Certificates in `ssl_ca`: valid also if a client presents one of them itself, which webpki alone
    /// refuses for those marked as authorities. Empty if CRLs are required.
    listed: Vec<CertificateDer<'static>>,
    username_field: UsernameField,
}

#[derive(Debug, Clone, Copy)]
enum UsernameField {
    CommonName,
    EmailAddress,
}

/// What a finished handshake says about the client's certificate.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Presented and valid.
    pub(super) valid: bool,
    /// The configured field of a valid certificate.
    pub(super) username: Option<String>,
}

impl ClientCertificates {
    /// `None` if the settings do not ask for certificates.
    pub(super) fn new(settings: &TlsSettings) -> Result<Option<Self>, TlsError> {
        if !settings.verify_client {
            return Ok(None);
        }
        let ca = settings
            .ca
            .as_ref()
            .ok_or_else(|| TlsError::Setting("ssl_verify_client_cert needs ssl_ca".to_owned()))?;
        let (roots, authorities) = trust::from_pem(ca)?;
        let revocation_unknown = settings.require_crl && authorities.revocations.is_empty();
        if revocation_unknown {
            tracing::warn!("ssl: ssl_require_crl=yes, but {} has no CRL: no client is valid", pem::name(ca));
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if settings.require_crl && !revocation_unknown {
            builder = builder.with_crls(authorities.revocations).enforce_revocation_expiration();
        }
        let judge =
            builder.build().map_err(|e| TlsError::BadPem { file: pem::name(ca), problem: e.to_string() })?;
        let listed = if settings.require_crl { Vec::new() } else { authorities.certificates };
        let username_field = UsernameField::parse(&settings.username_field)?;
        Ok(Some(Self { judge, revocation_unknown, listed, username_field }))
    }

    /// Judges what the client presented.
    pub(super) fn verdict(&self, chain: Option<&[CertificateDer<'_>]>) -> Verdict {
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
            return Verdict::default();
        };
        let now = UnixTime::now();
        let judged = if self.listed.contains(leaf) {
            trust::check_dates(leaf, now)
        } else {
            self.judge.verify_client_cert(leaf, intermediates, now).map(|_| ())
        };
        if self.revocation_unknown || judged.is_err() {
            return Verdict::default();
        }
        Verdict { valid: true, username: self.username_field.of(leaf) }
    }
}

impl UsernameField {
    fn parse(name: &str) -> Result<Self, TlsError> {
        match name {
            "commonName" => Ok(Self::CommonName),
            "emailAddress" => Ok(Self::EmailAddress),
            other => Err(TlsError::Setting(format!(
                "ssl_cert_username_field={other} is not supported (commonName, emailAddress)"
            ))),
        }
    }

    fn of(self, leaf: &CertificateDer<'_>) -> Option<String> {
        let cert = trust::parse(leaf).ok()?;
        let subject = cert.subject();
        let value = match self {
            Self::CommonName => subject.iter_common_name().next(),
            Self::EmailAddress => subject.iter_email().next(),
        }?;
        // A NUL inside is an attempt to be read as somebody else by C code further on.
        value.as_str().ok().filter(|name| !name.contains('\0')).map(str::to_owned)
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.judge.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
