//! ManageSieve (RFC 5804) before login: the server side towards clients, the client side towards backends.
//!
//! Both sides are pure state machines; neither knows a socket, a clock, the auth service's protocol or the
//! director. Behaviour: spec/login-proxy.md 3, 6 and 8.3.

mod backend;
mod frontend;
mod scanner;
mod text;

pub use backend::SieveBackend;
pub use frontend::{SieveFrontend, SieveFrontendConfig};
