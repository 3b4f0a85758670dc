//! POP3 (RFC 1939, 2449, 2595, 5034) before login: the server side towards clients, the client side towards
//! backends.
//!
//! Both sides are pure state machines; neither knows a socket, a clock, the auth service's protocol or the
//! director. Behaviour: spec/login-proxy.md 3, 5 and 8.2.

mod backend;
mod frontend;

pub use backend::Pop3Backend;
pub use frontend::{Pop3Frontend, Pop3FrontendConfig};
