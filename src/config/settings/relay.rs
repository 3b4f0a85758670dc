//! Settings of the sockets through which login processes of Dovecot and others ask the director.

use std::{path::PathBuf, time::Duration};

use super::SocketFile;

/// What is offered; without sockets nothing is (spec/director.md 0.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// `unix_listener` and `fifo_listener` of `service director` that have a mode, and those of `service ipc` for login
    /// processes.
    pub sockets: Vec<SocketSettings>,
    /// Connections on all sockets together: `client_limit` of the service.
    pub connections_max: usize,
    /// Login processes that can be told to end sessions at one time: `client_limit` of `service ipc`.
    pub processes_max: usize,
    /// `director_max_parallel_kicks`, at least 1: users whose foreign sessions are being ended at one time.
    pub parallel_kicks_max: usize,
    /// `login_proxy_timeout`, which login processes are expected to have, too; zero: no limit.
    pub login_time: Duration,
    /// The auth service's socket for login processes.
    pub auth_login: PathBuf,
    /// The auth service's socket for lookups.
    pub auth_userdb: PathBuf,
}

/// One socket or fifo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// What is spoken there.
    pub role: SocketRole,
    /// Where it is, and whose.
    pub file: SocketFile,
}

/// What is spoken at a socket. The end of its name tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketRole {
    /// Login processes with an auth service behind (5.1).
    Logins,
    /// Lookups with a userdb behind (5.4).
    Lookups,
    /// Finished answers come in and go back with their host (0.2).
    Answers,
    /// Users whose sessions live (5.5), over a stream socket.
    Refreshes,
    /// The same through a fifo.
    RefreshFifo,
    /// Login processes that list and end their sessions when told (5.6).
    LoginProcesses,
}
