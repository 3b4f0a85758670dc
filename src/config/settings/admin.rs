//! Settings of the sockets for administrators.

use std::net::SocketAddr;

use super::SocketFile;

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
