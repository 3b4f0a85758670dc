//! Settings of the process as a whole.

use std::path::PathBuf;

/// Base directory, privileges, shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// `base_dir`; relative socket paths start here.
    pub base_dir: PathBuf,
    /// `instance_name`; also the syslog identifier.
    pub instance_name: String,
    /// `hostname`, or the system's own.
    pub hostname: String,
    /// `shutdown_clients`: a reload ends sessions, too.
    pub shutdown_clients: bool,
    /// Homing's own `shutdown_farewell`: logged-in clients are told in their protocol's words where the stream is
    /// between responses.
    pub shutdown_farewell: bool,
    /// Homing's own `kick_farewell`: clients whose sessions are kicked or moved are told, too.
    pub kick_farewell: bool,
    /// `default_login_user`: whom to become after binding, if started as root.
    pub login_user: Option<String>,
}
