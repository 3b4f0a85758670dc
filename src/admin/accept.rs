//! The life of one socket: accepts, hands every connection to its protocol, and ends when it is told to.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Access, director, ipc, socket::AdminListener, wire::Wire};
use crate::{
    config::settings::AdminProtocol,
    sockets::{Acceptor, Arrival, Stream},
};

/// Pause after a failed accept: mostly descriptors are missing, and the connection is still there afterwards.
const PAUSE: Duration = Duration::from_millis(200);

/// The next one who may come in.
async fn admit(socket: &Acceptor, networks: &[IpNet]) -> io::Result<Box<dyn Stream>> {
    loop {
        let Arrival { stream, ends } = socket.accept().await?;
        let Some((peer, own)) = ends.filter(|(peer, own)| !may_connect(*peer, *own, networks)) else {
            return Ok(stream);
        };
        tracing::warn!(
            target: "homing::admin",
            "{own}: {peer} is not in director_admin_networks; the connection is closed"
        );
    }
}

/// This machine and the networks that are named; there is no password (spec/director.md 10, W35).
fn may_connect(peer: IpAddr, own: IpAddr, networks: &[IpNet]) -> bool {
    let (peer, own) = (peer.to_canonical(), own.to_canonical());
    peer.is_loopback() || peer == own || networks.iter().any(|network| network.contains(&peer))
}

/// Accepts until `stop` is cancelled; connections end then, too.
pub(super) async fn serve(listener: AdminListener, access: Access, stop: CancellationToken) {
    let AdminListener { protocol, name, socket } = listener;
    let socket = match Acceptor::new(socket) {
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
            accepted = admit(&socket, &access.networks) => match accepted {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w35_only_this_machine_and_named_networks_may_connect_over_tcp() {
        let may = |peer: &str, own: &str, networks: &[&str]| {
            let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
            may_connect(peer.parse().unwrap(), own.parse().unwrap(), &networks)
        };
        for (peer, own) in [("127.0.0.5", "127.0.0.1"), ("::1", "::1"), ("10.0.0.9", "10.0.0.9")] {
            assert!(may(peer, own, &[]), "{peer}");
        }
        assert!(!may("10.0.0.8", "10.0.0.9", &[]) && !may("2001:db8::2", "2001:db8::1", &[]));
        assert!(
            may("10.0.0.8", "10.0.0.9", &["10.0.0.0/24"]) && may("::ffff:10.0.0.8", "::", &["10.0.0.8/32"])
        );
        assert!(!may("10.0.1.8", "10.0.0.9", &["10.0.0.0/24", "2001:db8::/32"]));
        assert!(may("2001:db8::2", "2001:db9::1", &["10.0.0.0/24", "2001:db8::/32"]));
    }
}
