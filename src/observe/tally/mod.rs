//! What the rooms count while they work, for all of the program together. Nothing here takes a lock, waits, or knows
//! how numbers are shown; what can be read off a room's state is not counted here but asked for when it is shown.

mod histogram;
mod label;
mod number;

use std::{sync::LazyLock, time::SystemTime};

use homing_login::Service;

pub use histogram::{Distribution, Histogram};
pub use label::{
    AuthResult, BackendFailure, By, ChangeOrigin, HostChange, Label, LoginPhase, LoginResult, MoveCause,
    Refusal, ReloadResult, SessionEnd, SessionPhase, WaitReason,
};
pub use number::{Counter, Gauge};

/// All numbers of the program.
#[derive(Debug)]
pub struct Tally {
    /// When the program began to count.
    pub started: SystemTime,
    /// Connections that were taken into service.
    pub connections: By<Service, Counter>,
    /// Connections that were not, or not for long.
    pub connections_refused: By<Service, By<Refusal, Counter>>,
    /// TLS handshakes with clients that failed.
    pub handshakes_failed: By<Service, Counter>,
    /// Attempts to log in.
    pub logins: By<Service, By<LoginResult, Counter>>,
    /// Times of successful logins, from the client's command to the backend's OK.
    pub login_time: By<Service, Histogram>,
    /// Times of phases that ended, well or not.
    pub phase_time: By<Service, By<LoginPhase, Histogram>>,
    /// Waits for the director, by the last reason.
    pub director_wait: By<Service, By<WaitReason, Histogram>>,
    /// Sessions now.
    pub sessions: By<Service, By<SessionPhase, Gauge>>,
    /// Ends of sessions that were logged in.
    pub sessions_ended: By<Service, By<SessionEnd, Counter>>,
    /// Attempts at backends that failed.
    pub backend_failures: By<Service, By<BackendFailure, Counter>>,
    /// Attempts at backends after the first one of a login.
    pub backend_retries: By<Service, Counter>,
    /// Requests to the auth service.
    pub auth_requests: Counter,
    /// What came of them; those that the client gave up are missing.
    pub auth_replies: By<AuthResult, Counter>,
    /// Connections to the auth service that were made.
    pub auth_connects: Counter,
    /// Connections to the auth service that ended or could not be made.
    pub auth_disconnects: Counter,
    /// Logins that wait for the director now; nobody waits for `none`.
    pub waiting: By<WaitReason, Gauge>,
    /// Moves begun.
    pub moves: By<MoveCause, By<ChangeOrigin, Counter>>,
    /// Moves whose sessions did not end in time.
    pub moves_stuck: Counter,
    /// Sessions that the director ended.
    pub kicks: Counter,
    /// Flushes begun.
    pub flushes: By<ChangeOrigin, Counter>,
    /// Changes of backends.
    pub host_changes: By<HostChange, By<ChangeOrigin, Counter>>,
    /// Reloads.
    pub reloads: By<ReloadResult, Counter>,
    /// Log lines that found no room or could not be written.
    pub log_lines_lost: Counter,
}

static TALLY: LazyLock<Tally> = LazyLock::new(Tally::new);

/// The numbers of this program.
pub fn tally() -> &'static Tally {
    &TALLY
}

impl Tally {
    fn new() -> Self {
        Self {
            started: SystemTime::now(),
            connections: By::default(),
            connections_refused: By::default(),
            handshakes_failed: By::default(),
            logins: By::default(),
            login_time: By::default(),
            phase_time: By::default(),
            director_wait: By::default(),
            sessions: By::default(),
            sessions_ended: By::default(),
            backend_failures: By::default(),
            backend_retries: By::default(),
            auth_requests: Counter::default(),
            auth_replies: By::default(),
            auth_connects: Counter::default(),
            auth_disconnects: Counter::default(),
            waiting: By::default(),
            moves: By::default(),
            moves_stuck: Counter::default(),
            kicks: Counter::default(),
            flushes: By::default(),
            host_changes: By::default(),
            reloads: By::default(),
            log_lines_lost: Counter::default(),
        }
    }
}
