//! The life of a listener: accepts, has PROXY headers read beside it, delivers, and ends when it is told to.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use homing_login::Service;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Accepted, Listener, Proxied,
    header::{self, Header, Refusal},
    incoming::Incoming,
};
use crate::{
    config::settings::{ListenerSettings, ProxyHeaderSettings},
    observe::tally::{Refusal as Refused, tally},
};

/// Connections of one listener whose PROXY header is awaited. Further ones wait in the kernel's queue, at most
/// for `haproxy_timeout`. Only trusted senders take a place; each costs a descriptor and 3 kB, and is
/// free again after one round trip, since senders write the header first.
const HEADERS_AWAITED_MAX: usize = 256;

impl Listener {
    /// Accepts until `stop` is cancelled; then the socket is closed and awaited headers are given up.
    pub async fn run(
        self,
        proxy_header: Arc<ArcSwap<ProxyHeaderSettings>>,
        stop: CancellationToken,
        mut deliver: impl FnMut(Accepted) + Send + 'static,
    ) {
        let Self { socket, settings } = self;
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(target: "homing::listener", "cannot accept on {}: {error}", settings.address);
                return;
            }
        };
        let mut incoming = Incoming::new(socket, settings.service.login_name());
        let mut headers = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(read) = headers.join_next() => {
                    if let Ok(Some(accepted)) = read {
                        deliver(accepted);
                    }
                }
                (stream, peer) = incoming.next(), if headers.len() < HEADERS_AWAITED_MAX => {
                    let Some(accepted) = accepted(&settings, stream, peer) else { continue };
                    if !settings.haproxy {
                        deliver(accepted);
                    } else if let Some(accepted) = trusted(accepted, &proxy_header.load()) {
                        headers.spawn(introduced(accepted, proxy_header.load_full()));
                    }
                }
            }
        }
    }
}

/// `None` if the connection is gone already.
fn accepted(settings: &ListenerSettings, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
    let real_remote = unmapped(peer);
    let real_local = unmapped(stream.local_addr().ok()?);
    Some(Accepted {
        stream,
        service: settings.service,
        tls: settings.ssl,
        remote: real_remote,
        local: real_local,
        real_remote,
        real_local,
        proxied: None,
    })
}

/// IPv4 in IPv6's clothes is IPv4: networks in the settings are written that way.
fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Senders outside of `haproxy_trusted_networks` are not read from (spec/login-proxy.md 10.1).
fn trusted(accepted: Accepted, settings: &ProxyHeaderSettings) -> Option<Accepted> {
    let rip = accepted.real_remote.ip();
    if settings.trusted_networks.iter().any(|network| network.contains(&rip)) {
        return Some(accepted);
    }
    tally().connections_refused.of(accepted.service).of(Refused::ProxyUntrusted).count();
    tracing::warn!(
        target: "homing::listener",
        process = accepted.service.login_name(),
        "haproxy: Client not trusted (rip={rip})",
    );
    None
}

/// Reads the header; `None` if the connection is dropped, which the log has been told.
async fn introduced(mut accepted: Accepted, settings: Arc<ProxyHeaderSettings>) -> Option<Accepted> {
    let read = tokio::time::timeout(settings.timeout, header::read(&mut accepted.stream));
    match read.await.unwrap_or(Err(Refusal::TimedOut)) {
        Ok(header) => Some(introduce(accepted, header)),
        Err(refusal) => {
            tally().connections_refused.of(accepted.service).of(Refused::ProxyHeader).count();
            report(&refusal, accepted.service, accepted.real_remote.ip());
            None
        }
    }
}

/// The header's addresses hold from now on (spec/login-proxy.md 10.6).
fn introduce(mut accepted: Accepted, header: Header) -> Accepted {
    if let Some(family) = header.unsupported_family {
        tracing::error!(
            target: "homing::listener",
            process = accepted.service.login_name(),
            "haproxy(v2): Unsupported address family (family={family:02x}, rip={})",
            accepted.real_remote.ip(),
        );
    }
    if let Some(addresses) = header.addresses {
        accepted.remote = unmapped(addresses.source);
        accepted.local = unmapped(addresses.destination);
    }
    accepted.proxied = Some(Proxied { tls: header.tls, authority: header.authority });
    accepted
}

fn report(refusal: &Refusal, service: Service, rip: IpAddr) {
    let (process, line) = (service.login_name(), refusal.line(rip));
    if matches!(refusal, Refusal::Gone(_)) {
        tracing::info!(target: "homing::listener", process, "{line}");
    } else {
        tracing::error!(target: "homing::listener", process, "{line}");
    }
}

#[cfg(test)]
mod tests;
