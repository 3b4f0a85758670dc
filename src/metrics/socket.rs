//! Sockets that listen for those who read metrics.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Socket, Type};
use thiserror::Error;

use crate::{
    config::settings::{MetricsPlace, SocketFile},
    sockets::{SocketError, UnixSocket},
};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// Mode of socket files: like a port on loopback, they are for everybody on this machine whom the folder lets in.
const MODE: u32 = 0o666;

/// Why a place cannot be had.
#[derive(Debug, Error)]
pub(super) enum BindError {
    #[error(transparent)]
    Tcp(#[from] io::Error),
    #[error(transparent)]
    Unix(#[from] SocketError),
}

/// A socket with its place.
pub(super) struct Bound {
    pub(super) place: MetricsPlace,
    pub(super) socket: Listening,
}

pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

impl Bound {
    pub(super) fn new(place: &MetricsPlace) -> Result<Self, BindError> {
        let socket = match place {
            MetricsPlace::Tcp(address) => Listening::Tcp(tcp(*address)?),
            MetricsPlace::Unix(path) => {
                let file = SocketFile { path: path.clone(), mode: MODE, user: None, group: None };
                Listening::Unix(UnixSocket::listen(&file)?)
            }
        };
        Ok(Self { place: place.clone(), socket })
    }
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
