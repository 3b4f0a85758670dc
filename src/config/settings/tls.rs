//! Settings of TLS towards clients.

use std::path::PathBuf;

/// `ssl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS at all.
    No,
    /// Offered.
    Yes,
    /// No authentication without it.
    Required,
}

/// Oldest protocol version accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2. Older ones in a configuration are raised to it with a warning.
    V12,
    /// TLS 1.3.
    V13,
}

/// PEM data: by file (`<path`), which is watched for changes, or inline.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// Path of a file.
    File(PathBuf),
    /// Content.
    Inline(String),
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "<{}", path.display()),
            Self::Inline(_) => f.write_str("(inline PEM)"),
        }
    }
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Chain, leaf first.
    pub cert: Pem,
    /// Private key.
    pub key: Pem,
}

/// A certificate for SNI names, from a `local_name` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCertificate {
    /// Names, lower case; a `*` label matches any one label.
    pub names: Vec<String>,
    /// The certificate.
    pub files: CertificateFiles,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// `ssl`.
    pub mode: SslMode,
    /// `ssl_cert`, `ssl_key`, and `ssl_alt_cert`, `ssl_alt_key`: one per key type.
    pub default: Vec<CertificateFiles>,
    /// `local_name` blocks in order.
    pub by_name: Vec<NamedCertificate>,
    /// `ssl_min_protocol`.
    pub min_version: TlsVersion,
    /// `ssl_prefer_server_ciphers`.
    pub prefer_server_ciphers: bool,
    /// `ssl_verify_client_cert`: ask for a certificate and check it against `ca`.
    pub verify_client: bool,
    /// `ssl_ca`: certificates (and CRLs) for client certificates.
    pub ca: Option<Pem>,
    /// `ssl_require_crl`.
    pub require_crl: bool,
    /// `ssl_cert_username_field`, e.g. `commonName`.
    pub username_field: String,
}
