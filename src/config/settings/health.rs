//! Settings of the health checks.

use std::time::Duration;

use homing_login::{Service, TlsUse};
use homing_wire::Secret;

/// Whether and how backends are checked. All of them are Homing's own.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// Which protocols are checked; empty: none, and nothing is ever marked down.
    pub checks: Vec<CheckSettings>,
    /// `health_interval`, at least 1 s.
    pub interval: Duration,
    /// `health_timeout`: of a whole check, at least 1 s.
    pub timeout: Duration,
    /// `health_fall`, at least 1: failures in a row that make a protocol of a backend count as failed.
    pub fall: u32,
    /// `health_rise`, at least 1: successes in a row that make it count as recovered.
    pub rise: u32,
    /// `health_down_when`.
    pub down_when: DownWhen,
    /// `health_down_users`.
    pub down_users: DownUsers,
    /// `health_slow_start`: how long a recovered backend takes to get its weight back; zero: at once.
    pub slow_start: Duration,
}

/// How one protocol is checked.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// The protocol.
    pub service: Service,
    /// `health_check`.
    pub depth: CheckDepth,
    /// `health_port`, or the protocol's own.
    pub port: u16,
    /// `health_ssl`.
    pub tls: TlsUse,
    /// `health_user`; empty but for [`CheckDepth::Login`].
    pub user: String,
    /// `health_password`.
    pub password: Secret,
}

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// A connection.
    Connect,
    /// The protocol's greeting.
    Greeting,
    /// The test user is let in.
    Login,
}

/// When a backend is marked down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownWhen {
    /// One of the checked protocols has failed.
    Any,
    /// All of them have.
    All,
}

/// What happens to the users of a backend that is marked down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownUsers {
    /// They go to other backends.
    Move,
    /// They stay where they are, as with `doveadm director down`.
    Stay,
}
