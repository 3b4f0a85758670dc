//! Where connections come from: binds the sockets, accepts, reads PROXY headers, and hands out connections
//! with the addresses that hold for them. Knows a dialect only as a label, and nothing of TLS but a flag.

mod accept;
mod bind;
mod header;
mod incoming;

use std::net::SocketAddr;

use homing_login::Service;
use tokio::net::TcpStream;

pub use bind::{BindError, Listener};

/// A connection, ready to be served. With a PROXY header, the header has been read and nothing behind it.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: TcpStream,
    /// Which dialect to speak.
    pub service: Service,
    /// TLS starts with the first byte.
    pub tls: bool,
    /// The client: the source named by a PROXY header, else [`Accepted::real_remote`].
    pub remote: SocketAddr,
    /// The address the client connected to: the destination named by a PROXY header, else
    /// [`Accepted::real_local`].
    pub local: SocketAddr,
    /// The socket's peer.
    pub real_remote: SocketAddr,
    /// The socket's own address.
    pub real_local: SocketAddr,
    /// What the PROXY header said beside addresses; `None` on listeners without one.
    pub proxied: Option<Proxied>,
}

/// What a PROXY header says beside addresses (spec/login-proxy.md 10.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxied {
    /// The client speaks TLS with the sender of the header.
    pub tls: bool,
    /// The name the client asked the sender for (SNI).
    pub authority: Option<String>,
}
