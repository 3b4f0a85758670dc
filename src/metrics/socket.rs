//! Sockets that listen for those who read metrics.

use std::io;

use thiserror::Error;

use crate::{
    config::settings::{MetricsPlace, SocketFile},
    sockets::{Listening, SocketError, UnixSocket},
};

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

impl Bound {
    pub(super) fn new(place: &MetricsPlace) -> Result<Self, BindError> {
        let socket = match place {
            MetricsPlace::Tcp(address) => Listening::at(*address)?,
            MetricsPlace::Unix(path) => {
                let file = SocketFile { path: path.clone(), mode: MODE, user: None, group: None };
                Listening::Unix(UnixSocket::listen(&file)?)
            }
        };
        Ok(Self { place: place.clone(), socket })
    }
}
