//! What can go wrong with certificates and handshakes. Texts name files and causes, never key material;
//! whatever a peer can put into them is escaped.

use std::io;

use homing_wire::printable;

/// A certificate, key or setting cannot be used. The configuration in use, if any, stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// `ssl` is on, but no certificate is configured.
    #[error("ssl is enabled, but no ssl_cert is set")]
    NoCertificate,
    /// A file cannot be read.
    #[error("{file}: {cause}")]
    Unreadable {
        /// Path, or `(inline PEM)`.
        file: String,
        /// The system's words.
        cause: String,
    },
    /// A file can be read, but what is needed is not in it.
    #[error("{file}: {problem}")]
    BadPem {
        /// Path, or `(inline PEM)`.
        file: String,
        /// What is missing or broken.
        problem: String,
    },
    /// Certificate and key do not fit together, or the key is of a kind that cannot be used.
    #[error("certificate {cert} and key {key}: {problem}")]
    BadPair {
        /// Path of the chain.
        cert: String,
        /// Path of the key.
        key: String,
        /// Why not.
        problem: String,
    },
    /// A setting cannot be turned into a TLS configuration.
    #[error("{0}")]
    Setting(String),
}

/// A handshake did not succeed; the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// With a client: the words of spec/login-proxy.md 11.5.
    #[error("SSL_accept() failed: {0}")]
    Accept(String),
    /// With a backend, for a reason other than its certificate.
    #[error("SSL_connect() failed: {0}")]
    Connect(String),
    /// The peer closed the connection in the middle.
    #[error("Connection closed")]
    Closed,
    /// The backend's certificate does not lead to a trusted one, or is out of date.
    #[error("Received invalid SSL certificate: {0} (check ssl_client_ca_* settings?)")]
    InvalidCertificate(String),
    /// The backend's certificate is for another name.
    #[error("SSL certificate doesn't match expected host name {0}")]
    NameMismatch(String),
    /// Our side cannot even start.
    #[error(transparent)]
    Setup(#[from] TlsError),
}

impl HandshakeError {
    /// From what the stream reported while accepting.
    pub(super) fn accept(error: &io::Error) -> Self {
        if is_closed(error) { Self::Closed } else { Self::Accept(words(error)) }
    }

    /// From what the stream reported while connecting to `host`.
    pub(super) fn connect(error: &io::Error, host: &str) -> Self {
        use rustls::{CertificateError as Cert, Error as Tls};
        match tls_cause(error) {
            Some(Tls::InvalidCertificate(Cert::NotValidForName | Cert::NotValidForNameContext { .. })) => {
                Self::NameMismatch(printable(host.as_bytes()))
            }
            Some(Tls::InvalidCertificate(cert)) => {
                Self::InvalidCertificate(printable(cert.to_string().as_bytes()))
            }
            _ if is_closed(error) => Self::Closed,
            _ => Self::Connect(words(error)),
        }
    }
}

fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

fn words(error: &io::Error) -> String {
    printable(tls_cause(error).map_or_else(|| error.to_string(), ToString::to_string).as_bytes())
}
