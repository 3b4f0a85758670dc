//! Certificates and handshakes: everything that touches rustls, so that a change of its API stays here.
//!
//! - [`ServerTls`]: certificates by SNI name, reload, the handshake with a client.
//! - [`ClientTls`]: the handshake with a backend and the check of its certificate.
//! - [`development`]: a certificate made on the spot, for a trial without files.
//!
//! The crypto provider is named in every configuration; no process-wide default is installed. What rustls
//! cannot do, and so is not offered: TLS before 1.2, RSA key exchange, finite-field Diffie-Hellman,
//! renegotiation, compression. 0-RTT stays off: a login must not be replayable.

mod backend_verifier;
mod certificate;
mod client;
mod client_certificate;
mod configuration;
mod description;
pub mod development;
mod error;
mod no_verification;
mod pem;
mod server;
mod sni;
mod trust;
mod watch;

#[cfg(test)]
mod tests;

pub use client::ClientTls;
pub use configuration::CertificateExpiry;
pub use error::{HandshakeError, TlsError};
pub use server::ServerTls;
pub use watch::Refresh;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one crypto provider: aws-lc-rs, with the hybrid key exchange X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
