//! Sockets of either kind that somebody listens on: files of this machine, and ports. Whom to let in, and how many, is
//! for the rooms that serve them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use super::{FileGuard, UnixSocket};

/// Connections to a port that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Listens, but is not accepted from yet.
pub enum Listening {
    /// A file.
    Unix(UnixSocket),
    /// A port.
    Tcp(std::net::TcpListener),
}

impl Listening {
    /// A port; one of IPv6 is for IPv6 alone. May need root, and no runtime.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Tcp(socket.into()))
    }
}

/// Accepts connections. Its file goes with it.
pub enum Acceptor {
    /// A file.
    Unix(UnixListener, FileGuard),
    /// A port.
    Tcp(TcpListener),
}

/// Somebody has connected.
pub struct Arrival {
    /// What is spoken over.
    pub stream: Box<dyn Stream>,
    /// Address of the peer and the one that it has connected to, if it came to a port.
    pub ends: Option<(IpAddr, IpAddr)>,
}

impl Acceptor {
    /// Needs the runtime.
    pub fn new(listening: Listening) -> io::Result<Self> {
        Ok(match listening {
            Listening::Unix(UnixSocket { listener, file }) => {
                Self::Unix(UnixListener::from_std(listener)?, file)
            }
            Listening::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
        })
    }

    /// The next one. Nothing is lost if it is not waited for.
    pub async fn accept(&self) -> io::Result<Arrival> {
        let socket = match self {
            Self::Unix(socket, _) => {
                return Ok(Arrival { stream: Box::new(socket.accept().await?.0), ends: None });
            }
            Self::Tcp(socket) => socket,
        };
        loop {
            let (stream, peer) = socket.accept().await?;
            // Whoever has gone already has no address.
            let Ok(own) = stream.local_addr() else { continue };
            stream.set_nodelay(true)?;
            return Ok(Arrival { stream: Box::new(stream), ends: Some((peer.ip(), own.ip())) });
        }
    }
}
