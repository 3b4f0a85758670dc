//! The auth-client socket of Dovecot or of something that speaks like it. A few connections are kept open, and
//! requests of all sessions share them (spec/auth-protocol.md 5.6).

mod backoff;
mod connection;
mod link;
mod pool;
mod trouble;

use std::time::Duration;

pub(super) use pool::Pool;

/// Connections to one service. The second one serves while the first one is being replaced; more would not help, since
/// Dovecot's auth is one process that works on all of them in turn.
const CONNECTIONS: usize = 2;

/// Time limits; tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// First pause between two attempts to connect.
    pub(super) pause_min: Duration,
    /// Longest pause; the reference always waits so long.
    pub(super) pause_max: Duration,
    /// For connecting; the listener's queue may be full.
    pub(super) connect: Duration,
    /// From connecting to `DONE` (spec/auth-protocol.md 2.4).
    pub(super) opening: Duration,
    /// For one reply: after 150 s the service forgets a request without telling (spec/auth-protocol.md 3.5).
    pub(super) reply: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(250),
            pause_max: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            opening: Duration::from_secs(30),
            reply: Duration::from_secs(150),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
