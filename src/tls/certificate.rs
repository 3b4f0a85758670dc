//! One certificate with its key: loaded, matched, and with a known end.

use std::{sync::Arc, time::SystemTime};

use rustls::{InconsistentKeys, sign::CertifiedKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsError, pem, provider};
use crate::config::settings::{CertificateFiles, Pem};

/// A certificate that ends sooner than this many seconds is warned about when it is loaded.
const EXPIRY_WARNING_SECS: i64 = 14 * 24 * 3600;

/// A usable certificate.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// What a handshake needs.
    pub(super) key: Arc<CertifiedKey>,
    /// Path of the chain, for messages.
    pub(super) name: String,
    /// Seconds since the epoch after which clients refuse it.
    pub(super) not_after: i64,
}

impl Certificate {
    /// Loads chain and key, and refuses a key that belongs to another certificate.
    pub(super) fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        let bad_pair = |problem: String| TlsError::BadPair {
            cert: pem::name(&files.cert),
            key: pem::name(&files.key),
            problem,
        };
        let chain = pem::chain(&files.cert)?;
        let key = CertifiedKey::from_der(chain, pem::private_key(&files.key)?, &provider())
            .map_err(|error| bad_pair(pair_problem(&error)))?;
        let not_after = not_after(&key, &files.cert)?;
        Ok(Self { key: Arc::new(key), name: pem::name(&files.cert), not_after })
    }

    /// Writes a warning if the end is near or past.
    pub(super) fn warn_if_expiring(self, now: SystemTime) -> Self {
        if let Some(text) = self.expiry_warning(now) {
            tracing::warn!("{text}");
        }
        self
    }

    fn expiry_warning(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let left = self.not_after - i64::try_from(now).unwrap_or(i64::MAX);
        match left {
            ..0 => Some(format!("ssl: certificate {} has expired", self.name)),
            0..EXPIRY_WARNING_SECS => {
                Some(format!("ssl: certificate {} expires in {} days", self.name, left / 86_400))
            }
            _ => None,
        }
    }
}

fn not_after(key: &CertifiedKey, cert: &Pem) -> Result<i64, TlsError> {
    let unreadable =
        || TlsError::BadPem { file: pem::name(cert), problem: "not an X.509 certificate".to_owned() };
    let leaf = key.end_entity_cert().map_err(|_| unreadable())?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| unreadable())?;
    Ok(parsed.validity().not_after.timestamp())
}

fn pair_problem(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key does not belong to the certificate".to_owned()
        }
        // Only fixed words and the provider's words about the kind of key can follow.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tls::tests::Ca;

    #[test]
    fn the_end_is_known_and_warned_about() {
        let cert = Certificate::load(&Ca::new().issue("a.example.com").inline()).unwrap();
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(cert.not_after).unwrap());
        let days = |n: u64| Duration::from_secs(n * 86_400);
        assert_eq!(cert.expiry_warning(end - days(15)), None);
        let soon = cert.expiry_warning(end - days(3)).unwrap();
        assert_eq!(soon, "ssl: certificate (inline PEM) expires in 3 days");
        assert!(cert.expiry_warning(end + days(1)).unwrap().ends_with("has expired"));
    }

    #[test]
    fn a_foreign_key_is_refused_with_both_names() {
        let ca = Ca::new();
        let (a, b) = (ca.issue("a.example.com").inline(), ca.issue("b.example.com").inline());
        let mixed = CertificateFiles { cert: a.cert, key: b.key };
        let text = Certificate::load(&mixed).unwrap_err().to_string();
        assert_eq!(
            text,
            "certificate (inline PEM) and key (inline PEM): the key does not belong to the certificate"
        );
    }
}
