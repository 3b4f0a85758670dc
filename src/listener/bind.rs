//! Sockets that listen. The socket options are Dovecot's, so that the same `listen` lines work.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::config::settings::ListenerSettings;

/// Connections that the kernel holds until they are accepted. After a restart all users of a site come back
/// within seconds; the kernel lowers this to `net.core.somaxconn`, by default 4096.
const BACKLOG: i32 = 4096;

/// One bound address. Connections are queued by the kernel from now on, and accepted by [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    pub(super) settings: ListenerSettings,
}

impl Listener {
    /// Binds; needs no runtime, so that it can be done before there are threads. IPv6 sockets take no IPv4
    /// connections, so `*` and `::` can be bound beside each other, as `listen = *, ::` wants.
    pub fn bind(settings: &ListenerSettings) -> Result<Self, BindError> {
        let socket = listening(settings.address).map_err(|cause| BindError {
            name: settings.name.clone(),
            address: settings.address,
            hint: hint(&cause),
            cause,
        })?;
        Ok(Self { socket, settings: settings.clone() })
    }

    /// The bound address; its port is the kernel's choice if the settings say 0.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// An address cannot be bound.
#[derive(Debug, Error)]
#[error("inet_listener {name}: cannot listen on {address}: {cause}{hint}")]
pub struct BindError {
    name: String,
    address: SocketAddr,
    #[source]
    cause: io::Error,
    hint: &'static str,
}

impl BindError {
    /// True if this machine does not have the address family at all, e.g. IPv6.
    pub fn is_missing_family(&self) -> bool {
        self.cause.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    }
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    // socket2 sets CLOEXEC.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrInUse => "; another program listens there, `ss -ltnp` shows which",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use homing_login::Service;
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::*;

    fn settings(address: &str) -> ListenerSettings {
        ListenerSettings {
            name: "imap".to_owned(),
            service: Service::Imap,
            address: address.parse().unwrap(),
            ssl: false,
            haproxy: false,
        }
    }

    #[tokio::test]
    async fn ipv6_leaves_ipv4_alone() {
        let six = Listener::bind(&settings("[::]:0")).unwrap();
        let port = six.local_address().unwrap().port();
        let four = Listener::bind(&settings(&format!("0.0.0.0:{port}"))).unwrap();
        assert_eq!(four.local_address().unwrap().port(), port);
        drop(four);
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
        TcpStream::connect(("::1", port)).await.unwrap();
    }

    #[tokio::test]
    async fn sockets_have_the_options() {
        let listener = Listener::bind(&settings("127.0.0.1:0")).unwrap();
        let socket = SockRef::from(&listener.socket);
        assert!(socket.reuse_address().unwrap() && socket.nonblocking().unwrap());
        let flags = rustix::io::fcntl_getfd(listener.socket.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let first = Listener::bind(&settings("127.0.0.1:0")).unwrap();
        let address = first.local_address().unwrap();
        let text = Listener::bind(&settings(&address.to_string())).unwrap_err().to_string();
        let start = format!("inet_listener imap: cannot listen on {address}: Address already in use");
        assert!(text.starts_with(&start) && text.ends_with("`ss -ltnp` shows which"), "{text}");
    }

    #[tokio::test]
    async fn a_foreign_address_is_named() {
        // RFC 5737: documentation only, so no interface has it.
        let text = Listener::bind(&settings("192.0.2.1:0")).unwrap_err().to_string();
        assert!(text.contains("192.0.2.1:0") && text.contains("no interface of this machine"), "{text}");
    }

    #[test]
    fn a_forbidden_port_gets_its_hint() {
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert!(hint(&denied).contains("CAP_NET_BIND_SERVICE"));
    }
}
