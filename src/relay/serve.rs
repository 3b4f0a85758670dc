//! Accepts connections, up to the limit, and lets each be served as the role of its socket asks.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::{UnixListener, UnixStream, unix::pipe},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{
    authreply, connection,
    desk::{Asker, Desk},
    ended::Ended,
    hub::{Hub, logins::PeerId, process},
    refreshes,
};
use crate::config::settings::SocketRole;

/// After a failed accept: descriptors may be short, and come back when sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(super) struct Shared {
    pub(super) desk: Arc<Desk>,
    pub(super) hub: Arc<Hub>,
    pub(super) clients: Places,
    pub(super) processes: Places,
    pub(super) auth_login: PathBuf,
    pub(super) auth_userdb: PathBuf,
    pub(super) stop: CancellationToken,
}

/// Room for connections.
pub(super) struct Places {
    service: &'static str,
    max: usize,
    free: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(service: &'static str, max: usize) -> Self {
        Self { service, max, free: Arc::new(Semaphore::new(max)) }
    }

    fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Waits while there are too many connections. Those behind wait in the kernel's queue.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.free() {
            return Some(permit);
        }
        let (service, max) = (self.service, self.max);
        tracing::warn!(target: "homing::relay", "service {service}: client_limit ({max}) reached, client connections are waiting");
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

/// Serves a listening socket in the background.
pub(super) fn listen(
    listener: std::os::unix::net::UnixListener,
    role: SocketRole,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let shared = Arc::clone(shared);
    tokio::spawn(async move { shared.stop.run_until_cancelled(accept(&listener, role, &shared)).await });
    Ok(())
}

/// Reads a fifo in the background. It is open for writing here, too, so its end never comes.
pub(super) fn read(fifo: std::fs::File, shared: &Arc<Shared>) -> io::Result<()> {
    let fifo = pipe::Receiver::from_file(fifo)?;
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let reading = refreshes::read(fifo, shared.desk.director());
        if let Some(ended) = shared.stop.run_until_cancelled(reading).await {
            tracing::error!(target: "homing::relay", "notify: {ended}");
        }
    });
    Ok(())
}

async fn accept(listener: &UnixListener, role: SocketRole, shared: &Arc<Shared>) {
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::error!(target: "homing::relay", "accept() failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = permit(role, shared).await else { return };
        let here = Arc::clone(shared);
        tokio::spawn(async move {
            let _permit = permit;
            if let Some(ended) = here.stop.run_until_cancelled(serve(client, role, &here)).await {
                tell(role, &ended);
            }
        });
    }
}

/// Kicks are not sure to reach everybody while a login process waits.
async fn permit(role: SocketRole, shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if role != SocketRole::LoginProcesses {
        return shared.clients.take().await;
    }
    if let Some(permit) = shared.processes.free() {
        return Some(permit);
    }
    let _waits = shared.hub.keep_waiting();
    shared.processes.take().await
}

async fn serve(client: UnixStream, role: SocketRole, shared: &Shared) -> Ended {
    let desk = Arc::clone(&shared.desk);
    match role {
        SocketRole::Logins => {
            let asker = Asker::LoginProcess(PeerId::of(&client));
            connection::relay(client, &shared.auth_login, asker, desk).await
        }
        SocketRole::Lookups => connection::relay(client, &shared.auth_userdb, Asker::Lookups, desk).await,
        SocketRole::Answers => authreply::serve(client, desk).await,
        SocketRole::Refreshes | SocketRole::RefreshFifo => refreshes::read(client, desk.director()).await,
        SocketRole::LoginProcesses => process::serve(client, Arc::clone(&shared.hub)).await,
    }
}

fn tell(role: SocketRole, ended: &Ended) {
    let name = match role {
        SocketRole::Logins => "auth",
        SocketRole::Lookups => "userdb",
        SocketRole::Answers => "authreply",
        SocketRole::Refreshes | SocketRole::RefreshFifo => "notify",
        SocketRole::LoginProcesses => "ipc",
    };
    if !ended.is_usual() {
        tracing::error!(target: "homing::relay", "{name}: {ended}");
    }
}
