//! IMAP (RFC 3501, RFC 9051) before login: the server side towards clients, the client side towards backends.
//!
//! Both sides are pure state machines; neither knows a socket, a clock, the auth service's protocol or the
//! director. Behaviour: spec/login-proxy.md 3, 4 and 8.1.

mod backend;
mod frontend;

pub use backend::ImapBackend;
pub use frontend::{ImapFrontend, ImapFrontendConfig};
