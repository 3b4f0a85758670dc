//! Accepts connections, up to the limit, and lets each be served as the role of its socket asks.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use homing_dovecot_auth::AnswersOf;
use tokio::{
    net::{UnixListener, UnixStream, unix::pipe},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use super::{authreply, connection, desk::Desk, ended::Ended, refreshes};
use crate::config::settings::SocketRole;

/// After a failed accept: descriptors may be short, and come back when sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(super) struct Shared {
    pub(super) desk: Arc<Desk>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) connections_max: usize,
    pub(super) auth_login: PathBuf,
    pub(super) auth_userdb: PathBuf,
    pub(super) stop: CancellationToken,
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
        let Some(permit) = permit(shared).await else { return };
        let here = Arc::clone(shared);
        tokio::spawn(async move {
            let _permit = permit;
            if let Some(ended) = here.stop.run_until_cancelled(serve(client, role, &here)).await {
                tell(role, &ended);
            }
        });
    }
}

/// Waits while there are too many connections. Those behind wait in the kernel's queue.
async fn permit(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() {
        return Some(permit);
    }
    let max = shared.connections_max;
    tracing::warn!(target: "homing::relay", "service director: client_limit ({max}) reached, client connections are waiting");
    Arc::clone(&shared.connections).acquire_owned().await.ok()
}

async fn serve(client: UnixStream, role: SocketRole, shared: &Shared) -> Ended {
    let desk = Arc::clone(&shared.desk);
    match role {
        SocketRole::Logins => connection::relay(client, &shared.auth_login, AnswersOf::Logins, desk).await,
        SocketRole::Lookups => connection::relay(client, &shared.auth_userdb, AnswersOf::Lookups, desk).await,
        SocketRole::Answers => authreply::serve(client, desk).await,
        SocketRole::Refreshes | SocketRole::RefreshFifo => refreshes::read(client, desk.director()).await,
    }
}

fn tell(role: SocketRole, ended: &Ended) {
    let name = match role {
        SocketRole::Logins => "auth",
        SocketRole::Lookups => "userdb",
        SocketRole::Answers => "authreply",
        SocketRole::Refreshes | SocketRole::RefreshFifo => "notify",
    };
    if !ended.is_usual() {
        tracing::error!(target: "homing::relay", "{name}: {ended}");
    }
}
