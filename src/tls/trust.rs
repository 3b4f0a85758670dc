//! Trusted certificates.

use rustls::RootCertStore;

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
