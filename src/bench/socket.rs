//! Listening sockets of the tools: deep queues, addresses that can be used again at once.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections waiting to be accepted: a whole storm; the kernel caps it at `net.core.somaxconn`.
const QUEUE: u32 = 65_535;

/// Binds and listens.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    socket.bind(address).map_err(told)?;
    socket.listen(QUEUE).map_err(told)
}
