//! Opens the TCP connection: source address, options.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::config::settings::SourceIps;

/// Idle time before the kernel probes a silent backend. Long sessions (IDLE) may be silent for hours; a dead
/// host is noticed within about ten minutes with Linux' default probes after it.
const KEEPALIVE_IDLE: std::time::Duration = std::time::Duration::from_secs(300);

/// `login_source_ips`, used in turn from a random start.
pub(super) struct Sources {
    ips: Vec<IpAddr>,
    next: AtomicUsize,
}

impl Sources {
    /// With a leading `?`, addresses that cannot be bound here are left out.
    pub(super) fn new(settings: &SourceIps) -> Self {
        let usable = |ip: &IpAddr| !settings.optional || std::net::UdpSocket::bind((*ip, 0)).is_ok();
        let ips: Vec<_> = settings.ips.iter().copied().filter(usable).collect();
        let start = getrandom::u32().map_or(0, |r| r as usize);
        Self { ips, next: AtomicUsize::new(start) }
    }

    /// The next address of the same family as the destination.
    pub(super) fn next(&self, destination: IpAddr) -> Option<IpAddr> {
        for _ in 0..self.ips.len() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let ip = self.ips.get(turn.checked_rem(self.ips.len())?)?;
            if ip.is_ipv4() == destination.is_ipv4() {
                return Some(*ip);
            }
        }
        None
    }
}

/// [`connect`] with a time limit; beyond it, the system's own words for that.
pub(super) async fn connect_until(
    deadline: tokio::time::Instant,
    destination: SocketAddr,
    source: Option<IpAddr>,
) -> io::Result<TcpStream> {
    match tokio::time::timeout_at(deadline, connect(destination, source)).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from_raw_os_error(rustix::io::Errno::TIMEDOUT.raw_os_error())),
    }
}

/// Connects from `source`, if given. A bind failure is a connect failure (spec/login-proxy.md 7.6).
async fn connect(destination: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if destination.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(destination).await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_alternate_within_the_family() {
        let sources = Sources::new(&SourceIps {
            ips: ["127.0.0.1", "127.0.0.2", "::1"].map(|ip| ip.parse().unwrap()).to_vec(),
            optional: false,
        });
        let v4: IpAddr = "127.0.0.9".parse().unwrap();
        let (a, b) = (sources.next(v4).unwrap(), sources.next(v4).unwrap());
        assert!(a.is_ipv4() && b.is_ipv4() && a != b);
        assert_eq!(sources.next("::2".parse().unwrap()), Some("::1".parse().unwrap()));
    }

    #[test]
    fn optional_sources_that_are_not_ours_are_left_out() {
        let ips = vec!["203.0.113.1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let sources = Sources::new(&SourceIps { ips, optional: true });
        assert_eq!(sources.ips, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}
