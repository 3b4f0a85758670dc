//! Settings of the log.

use std::path::PathBuf;

/// Where log lines go and what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `log_path`: `syslog`, `/dev/stderr`, a file, or Homing's own `journal`.
    pub target: LogTarget,
    /// `syslog_facility`, e.g. `mail`.
    pub syslog_facility: String,
    /// Homing's own `log_format`: `dovecot` (default) or `json`.
    pub format: LogFormat,
    /// `log_timestamp`, a strftime format, for files and stderr.
    pub timestamp: String,
    /// `login_log_format_elements`, split at spaces outside `%{}`.
    pub elements: Vec<String>,
    /// `login_log_format`: `%$` message, `%s` elements.
    pub line: String,
    /// `auth_verbose`: log refused login attempts with their reason.
    pub auth_verbose: bool,
    /// `mail_debug` / `auth_debug`: debug lines, too.
    pub debug: bool,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// `/dev/log`.
    Syslog,
    /// The systemd journal with fields.
    Journal,
    /// Standard error.
    Stderr,
    /// A file, reopened on SIGUSR1.
    File(PathBuf),
}

/// Shape of a line in files and on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// As Dovecot writes it.
    Dovecot,
    /// One JSON object per line.
    Json,
}
