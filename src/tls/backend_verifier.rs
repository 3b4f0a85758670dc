//! Checks a backend's certificate as the reference does (spec/login-proxy.md 7.7), which is wider than webpki
//! in two points: a certificate without subjectAltName may name its host in the common name, and a
//! certificate that is itself listed in `ssl_ca` is trusted even if it is marked as an authority (what
//! `openssl req -x509` makes).

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::prelude::X509Certificate;

use super::trust;

/// Chain, dates and name.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    /// Whose signatures count.
    pub(super) roots: RootCertStore,
    /// Certificates trusted as they are.
    pub(super) listed: Vec<CertificateDer<'static>>,
    /// Algorithms.
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.listed.iter().any(|listed| listed == end_entity) {
            trust::check_dates(end_entity, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                &self.roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        check_name(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn check_name(cert: &CertificateDer<'_>, server_name: &ServerName<'_>) -> Result<(), Error> {
    let by_alternative_name = verify_server_name(&ParsedCertificate::try_from(cert)?, server_name);
    if by_alternative_name.is_err() && names_host_in_common_name(&trust::parse(cert)?, server_name) {
        return Ok(());
    }
    by_alternative_name
}

/// RFC 6125 section 6.4.4: only where no name of the right kind is in the subjectAltName.
fn names_host_in_common_name(cert: &X509Certificate<'_>, server_name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(host) = server_name else { return false };
    if !matches!(cert.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let names = cert.subject().iter_common_name();
    names.filter_map(|cn| cn.as_str().ok()).any(|cn| host_matches(cn, host.as_ref()))
}

/// A leading `*.` stands for one label.
fn host_matches(pattern: &str, host: &str) -> bool {
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((_, host_parent))) => parent.eq_ignore_ascii_case(host_parent),
        (Some(_), None) => false,
        (None, _) => pattern.eq_ignore_ascii_case(host),
    }
}
