//! The sockets through which login processes of Dovecot, its LMTP server and others ask our director
//! (spec/director.md 5.1, 5.4, 5.5, 0.2): each of their conversations with the auth service passes through, and answers
//! that need a backend get one. It does not know how backends are chosen, nor sessions of our own.

mod answers;
mod authreply;
mod bind;
mod connection;
mod desk;
mod ended;
mod refreshes;
mod serve;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{config::settings::RelaySettings, director::Director, sockets::FileGuard};
pub use bind::BindError;
use bind::{Bound, Door};
use desk::Desk;
use serve::Shared;

/// Answers that wait for a backend, on all connections together. Each holds one line, rarely over 300 bytes and never
/// over 16384. While no backend is usable all logins of a site wait here, 30 s each.
pub const WAITING_MAX: usize = 10_000;

/// How long a peer may leave what is sent to it unread. Login processes and auth services read at once; one that does
/// not for so long hangs.
const STALL_TIME: Duration = Duration::from_secs(60);

/// How long connecting to the auth service is tried: its queue may be full, or it is being restarted
/// (spec/director.md 5.1).
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// The sockets, bound but not served.
#[derive(Debug)]
pub struct Relay {
    bound: Vec<Bound>,
    settings: RelaySettings,
}

/// Serves until dropped, which ends all connections and removes the sockets.
#[derive(Debug)]
pub struct Serving {
    _stop: DropGuard,
    _files: Vec<FileGuard>,
}

/// Why the sockets cannot be served.
#[derive(Debug, Error)]
#[error("cannot serve {}: {cause}", path.display())]
pub struct ServeError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Relay {
    /// Makes the sockets with their owners and modes. May need root, and no runtime.
    pub fn bind(settings: &RelaySettings) -> Result<Self, BindError> {
        let bound: Result<_, _> = settings.sockets.iter().map(Bound::new).collect();
        Ok(Self { bound: bound?, settings: settings.clone() })
    }

    /// Serves them from now on.
    pub fn serve(self, director: &Director) -> Result<Serving, ServeError> {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            desk: Arc::new(Desk::new(director.clone(), WAITING_MAX)),
            connections: Arc::new(Semaphore::new(self.settings.connections_max)),
            connections_max: self.settings.connections_max,
            auth_login: self.settings.auth_login,
            auth_userdb: self.settings.auth_userdb,
            stop: stop.clone(),
        });
        let serving = stop.drop_guard();
        let mut files = Vec::new();
        for Bound { file, role, door } in self.bound {
            let path = file.path().to_owned();
            let served = match door {
                Door::Socket(listener) => serve::listen(listener, role, &shared),
                Door::Fifo(fifo) => serve::read(fifo, &shared),
            };
            served.map_err(|cause| ServeError { path, cause })?;
            files.push(file);
        }
        Ok(Serving { _stop: serving, _files: files })
    }
}
