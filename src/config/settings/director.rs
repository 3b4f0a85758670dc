//! Settings of the director.

use std::{path::PathBuf, time::Duration};

/// Which backend a user belongs to (spec/director.md 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorSettings {
    /// `director_mail_servers`, split at white space, not yet resolved. Empty: no director; every auth
    /// reply must name its host.
    pub mail_servers: Vec<String>,
    /// `director_servers`, split at white space. This program runs alone; more than one entry is a
    /// warning of the check.
    pub servers: Vec<String>,
    /// `director_username_hash`; checked to be expandable.
    pub username_hash: String,
    /// `director_user_expire`, at least 10 s.
    pub user_expire: Duration,
    /// `director_user_kick_delay`.
    pub user_kick_delay: Duration,
    /// `director_max_parallel_moves`, at least 1.
    pub parallel_moves_max: u32,
    /// `director_flush_socket`: `unix:PATH`, absolute, or `tcp:HOST:PORT`, with `%i`, `%{ip}`, `%h` and `%{host}` of the
    /// new backend; empty: no program is run.
    pub flush_socket: String,
    /// Homing's own `director_state_dir`: where what was changed while running survives a restart, absolute. `None`:
    /// nowhere.
    pub state_dir: Option<PathBuf>,
    /// `auth_master_user_separator`: names are cut here before hashing.
    pub master_user_separator: Option<char>,
}
