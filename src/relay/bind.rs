//! Makes the sockets. One that cannot be made is a refusal to start: login processes would have no auth service.

use std::{fs::File, os::unix::net::UnixListener, path::PathBuf};

use thiserror::Error;

use crate::{
    config::settings::{RelaySettings, SocketRole, SocketSettings},
    sockets::{self, Fifo, FileGuard, SocketError, UnixSocket},
};

/// A socket cannot be made.
#[derive(Debug, Error)]
#[error("service director: cannot make {}: {cause}", path.display())]
pub struct BindError {
    path: PathBuf,
    #[source]
    cause: SocketError,
}

impl BindError {
    fn at(settings: &SocketSettings) -> impl FnOnce(SocketError) -> Self {
        let path = settings.file.path.clone();
        move |cause| Self { path, cause }
    }
}

/// Whether the sockets can have their owners, without making them: for a check of the configuration. Whether another
/// program serves them now says nothing about a start.
pub fn check(settings: &RelaySettings) -> Result<(), BindError> {
    let mut sockets = settings.sockets.iter();
    sockets.try_for_each(|socket| sockets::check(&socket.file).map_err(BindError::at(socket)))
}

/// A socket with its file.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) role: SocketRole,
    pub(super) door: Door,
    pub(super) file: FileGuard,
}

/// Where others come in.
#[derive(Debug)]
pub(super) enum Door {
    Socket(UnixListener),
    Fifo(File),
}

impl Bound {
    pub(super) fn new(settings: &SocketSettings) -> Result<Self, BindError> {
        let made = match settings.role {
            SocketRole::RefreshFifo => {
                Fifo::open(&settings.file).map(|fifo| (Door::Fifo(fifo.reader), fifo.file))
            }
            _ => UnixSocket::listen(&settings.file).map(|made| (Door::Socket(made.listener), made.file)),
        };
        let (door, file) = made.map_err(BindError::at(settings))?;
        Ok(Self { role: settings.role, door, file })
    }
}
