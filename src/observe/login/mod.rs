//! The words of log lines about logins (spec/login-proxy.md 14). Input is plain data.

mod context;
mod disconnect;
mod log;
mod proxy;
mod template;
mod variable;

pub use context::{LoginContext, TlsState};
pub use disconnect::{Extra, FailedAttempt};
pub use log::{LoginLog, PlaceFacts};
pub use proxy::{ProxyDestination, ProxyEnd, ProxyFailure, ProxyReason, Side, Traffic};
