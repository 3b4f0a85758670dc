//! Settings of one socket file, whoever serves it.

use std::path::PathBuf;

/// A `unix_listener` or `fifo_listener` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    /// Absolute.
    pub path: PathBuf,
    /// Permissions; never 0, which means no socket.
    pub mode: u32,
    /// Whose it is, by name or number; `None`: that of the process that makes it.
    pub user: Option<String>,
    /// Likewise.
    pub group: Option<String>,
}
