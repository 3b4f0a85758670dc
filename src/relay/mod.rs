//! The sockets through which login processes of Dovecot, its LMTP server and others ask our director
//! (spec/director.md 5.1, 5.4, 5.5, 0.2): each of their conversations with the auth service passes through, and answers
//! that need a backend get one. Login processes that forward sessions come to its hub, and end them when told (5.6). It
//! does not know how backends are chosen, nor sessions of our own.

mod answers;
mod authreply;
mod bind;
mod connection;
mod desk;
mod ended;
mod foreign_sessions;
mod hub;
mod refreshes;
mod serve;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::settings::{RelaySettings, SocketRole},
    director::Director,
    sockets::FileGuard,
};
pub use bind::{BindError, check};
use bind::{Bound, Door};
use desk::Desk;
pub use foreign_sessions::{ForeignList, ForeignLists, ForeignSessions};
use hub::Hub;
use serve::{Places, Shared};

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
    foreign: ForeignSessions,
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
        let (stop, hub, settings) = (CancellationToken::new(), Arc::<Hub>::default(), self.settings);
        let desk = Desk::new(director.clone(), Arc::clone(&hub), WAITING_MAX, settings.login_time);
        hub.take_over(director.foreign_taken_over(), desk.usual_login_time());
        if self.bound.iter().any(|bound| bound.role == SocketRole::LoginProcesses) {
            let kicks = hub::kicks::run(Arc::clone(&hub), director.clone(), settings.parallel_kicks_max);
            let stop = stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(kicks).await });
        }
        let shared = Arc::new(Shared {
            desk: Arc::new(desk),
            hub: Arc::clone(&hub),
            clients: Places::new("director", settings.connections_max),
            processes: Places::new("ipc", settings.processes_max),
            auth_login: settings.auth_login,
            auth_userdb: settings.auth_userdb,
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
        Ok(Serving { foreign: ForeignSessions::new(hub), _stop: serving, _files: files })
    }
}

impl Serving {
    /// The sessions of the login processes that have come here.
    pub fn foreign_sessions(&self) -> &ForeignSessions {
        &self.foreign
    }
}
