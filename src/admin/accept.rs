//! The life of one socket: accepts, hands every connection to its protocol, and ends when it is told to.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Access, director, ipc,
    socket::{AdminListener, Listening},
    wire::Wire,
};
use crate::{
    config::settings::AdminProtocol,
    sockets::{FileGuard, UnixSocket},
};

/// Pause after a failed accept: mostly descriptors are missing, and the connection is still there afterwards.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Socket {
    /// The file goes with the socket.
    Unix {
        socket: UnixListener,
        _file: FileGuard,
    },
    Tcp(TcpListener),
}

impl Socket {
    fn new(listening: Listening) -> io::Result<Self> {
        Ok(match listening {
            Listening::Unix(UnixSocket { listener, file }) => {
                Self::Unix { socket: UnixListener::from_std(listener)?, _file: file }
            }
            Listening::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)?),
        })
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix { socket, .. } => Box::new(socket.accept().await?.0),
            Self::Tcp(socket) => {
                let stream = socket.accept().await?.0;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// Accepts until `stop` is cancelled; connections end then, too.
pub(super) async fn serve(listener: AdminListener, access: Access, stop: CancellationToken) {
    let AdminListener { protocol, name, socket } = listener;
    let socket = match Socket::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(target: "homing::admin", "cannot accept on {name}: {error}");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(access.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept() => match accepted {
                Ok(stream) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let (access, name) = (access.clone(), name.clone());
                        connections.spawn(async move {
                            talk(protocol, stream, access, &name).await;
                            drop(place);
                        });
                    }
                    Err(_) => tracing::warn!(
                        target: "homing::admin",
                        "{name}: {} connections are open, further ones are closed",
                        access.limits.connections
                    ),
                },
                Err(error) => {
                    tracing::warn!(target: "homing::admin", "{name}: cannot accept: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn talk(protocol: AdminProtocol, stream: Box<dyn Stream>, access: Access, name: &str) {
    let wire = Wire::new(stream, access.limits);
    let talked = match protocol {
        AdminProtocol::Director => director::talk(wire, &access).await,
        AdminProtocol::Ipc => ipc::talk(wire, &access).await,
    };
    if let Err(error) = talked {
        tracing::debug!(target: "homing::admin", "{name}: a connection broke: {error}");
    }
}
