//! The log as an interface: fail2ban, CrowdSec and log analysers read its lines, so their words are kept
//! here in one place and tested against those readers.
//!
//! - [`start()`] sends all `tracing` events of the program to the configured destination. An event is queued
//!   and written by one thread, so a slow disk or syslog never holds a network thread; when the queue is full,
//!   lines are dropped, counted, and the count is reported. Dropping the [`LogHandle`] writes what is queued.
//! - [`tally`] is what all rooms count.
//! - [`LoginLog`] writes the lines about logins (spec/login-proxy.md 14) for a [`LoginContext`].
//!
//! Other rooms write `tracing::warn!("text")`. A line starts with the name of the process it would come from in
//! Dovecot: a field `process` of the event, else the room (`auth`, `director`), else `master`.

mod destination;
mod format;
mod layer;
mod login;
mod record;
mod start;
pub mod tally;
mod writer;

#[cfg(test)]
mod tests;

pub use login::{
    Extra, FailedAttempt, LoginContext, LoginLog, PlaceFacts, ProxyDestination, ProxyEnd, ProxyFailure,
    ProxyReason, Side, TlsState, Traffic,
};
pub use start::{LogError, LogHandle, start};
