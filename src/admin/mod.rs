//! Sockets for administrators: `doveadm director` and `doveadm proxy` see and change the director and the sessions
//! through them (spec/director.md 5.6, 6). This room turns requests into operations of the director and kicks of the
//! registry, and what these say into answers. It knows no dialect, no login and no file but its sockets.

mod accept;
mod change;
mod director;
mod ipc;
mod own;
mod rows;
mod socket;
mod wire;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{director::Director, session::Registry};
pub use socket::AdminSockets;

/// Connections of one socket at a time; further ones are closed at once. doveadm has one for each run, and a
/// monitor or two stay connected. Counted by socket, so that a port cannot keep the local administrator out.
pub const CONNECTIONS_MAX: usize = 100;

/// How long a connection may ask nothing. doveadm asks at once; a script that polls does so every few minutes at most.
pub const IDLE_TIME: Duration = Duration::from_secs(600);

/// How long a client may take none of an answer.
pub const SEND_TIME: Duration = Duration::from_secs(60);

/// Requests of all sockets that wait for something (the walk of a flush, the end of a move). Far fewer than connections, so that waiting
/// leaves room for asking; a further one is answered `TRYAGAIN`.
pub const WAITING_MAX: usize = 32;

/// What the sockets stand on.
#[derive(Clone)]
struct Access {
    director: Director,
    registry: Arc<Registry>,
    /// Our address in the ring that we are alone in.
    own: IpAddr,
    limits: Limits,
    waiting: Arc<Semaphore>,
    flushes: Arc<change::LatestFlushes>,
}

/// The limits above; smaller in tests.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    idle: Duration,
    send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, idle: IDLE_TIME, send: SEND_TIME }
    }
}

/// The sockets at work.
pub struct Admin {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Admin {
    /// Answers at these sockets. `own` is the address that the list of directors shows for this one.
    pub fn serve(sockets: AdminSockets, director: Director, registry: Arc<Registry>, own: IpAddr) -> Self {
        let waiting = Arc::new(Semaphore::new(WAITING_MAX));
        let (limits, flushes) = (Limits::default(), Arc::default());
        let access = Access { director, registry, own, limits, waiting, flushes };
        let stop = CancellationToken::new();
        let serve = |socket| tokio::spawn(accept::serve(socket, access.clone(), stop.clone()));
        Self { tasks: sockets.0.into_iter().map(serve).collect(), stop }
    }

    /// Closes the sockets and their connections, and removes their files.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // If it has panicked it has ended, too.
            let _ = task.await;
        }
    }
}
