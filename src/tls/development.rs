//! A certificate made when the program starts, for trials and the demo. Clients must be told not to check it.

use rcgen::{CertificateParams, DnType, KeyPair};

use super::TlsError;

/// Makes a self-signed ECDSA certificate for DNS names and IP addresses. Returns PEM: certificate, key.
/// The key exists only in the returned text.
pub fn self_signed(names: &[&str]) -> Result<(String, String), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Setting(format!("development certificate: {error}"));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let common_name = names.first().cloned().unwrap_or_else(|| "localhost".to_owned());
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate().map_err(failed)?;
    let cert = params.self_signed(&key).map_err(failed)?;
    Ok((cert.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::settings::{CertificateFiles, Pem},
        tls::certificate::Certificate,
    };

    #[test]
    fn what_is_made_can_be_loaded() {
        let (cert, key) = self_signed(&["localhost", "127.0.0.1"]).unwrap();
        assert!(
            Certificate::load(&CertificateFiles { cert: Pem::Inline(cert), key: Pem::Inline(key) }).is_ok()
        );
    }
}
