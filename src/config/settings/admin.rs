//! Settings of the sockets for administrators.

use std::{net::SocketAddr, path::PathBuf};

/// Where administrators ask (spec/director.md 0.1, 5.6, 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// What to listen on; empty without a director.
    pub sockets: Vec<AdminSocket>,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSocket {
    /// What is spoken there.
    pub protocol: AdminProtocol,
    /// Where.
    pub place: SocketPlace,
}

/// What is spoken at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminProtocol {
    /// `doveadm director`.
    Director,
    /// `doveadm proxy`.
    Ipc,
}

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketPlace {
    /// A file.
    Unix(SocketFile),
    /// An address. Nothing protects it: who reaches it may do everything.
    Tcp(SocketAddr),
}

/// A `unix_listener` block.
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
