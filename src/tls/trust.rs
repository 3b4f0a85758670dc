//! Trusted certificates.

use rustls::{
    CertificateError, Error, RootCertStore,
    pki_types::{CertificateDer, UnixTime},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsError, pem};
use crate::config::settings::Pem;

/// Roots from a PEM file. Certificates that cannot be used as roots are passed over, but one must be left.
pub(super) fn from_pem(pem: &Pem) -> Result<(RootCertStore, pem::Authorities), TlsError> {
    let found = pem::authorities(pem)?;
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certificates.iter().cloned());
    if added == 0 {
        let problem = format!("none of {ignored} certificates can be used as a trusted one");
        return Err(TlsError::BadPem { file: pem::name(pem), problem });
    }
    Ok((roots, found))
}

/// The system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are obeyed). Reads files.
pub(super) fn from_system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TlsError::Setting(
            "the system has no trusted certificates; set ssl_ca to check backends".to_owned(),
        ));
    }
    Ok(roots)
}

/// For a certificate that is itself listed as trusted, its dates are all there is to check.
pub(super) fn check_dates(cert: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parse(cert)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// The parts that rustls does not show.
pub(super) fn parse<'a>(cert: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (_, parsed) = X509Certificate::from_der(cert).map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed)
}
