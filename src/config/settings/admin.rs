//! Settings of the sockets for administrators.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::SocketFile;

/// Where administrators ask (spec/director.md 0.1, 5.6, 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// What to listen on; empty without a director.
    pub sockets: Vec<AdminSocket>,
    /// Homing's own `director_admin_networks`: who may connect to the TCP sockets beside this machine, since nothing
    /// else protects them (spec/director.md 10, W35).
    pub networks: Vec<IpNet>,
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
    /// An address. Nothing but [`AdminSettings::networks`] protects it: who gets in may do everything.
    Tcp(SocketAddr),
}
