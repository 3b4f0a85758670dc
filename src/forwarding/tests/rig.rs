//! One session under test with a program at either end.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::{
    Beat, CLIENT_STUCK_MAX, Counters, End, Ends, Means, PEER_QUIET_MAX, PipePool, Stop, forward_by,
};
use crate::transport::Transport;

/// Longer than anything here should take.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// What the sides speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

/// How to build a session.
pub(super) struct Rig {
    pub(super) client: Wire,
    pub(super) backend: Wire,
    pub(super) to_backend: &'static [u8],
    pub(super) to_client: &'static [u8],
    pub(super) pipes_max: usize,
    pub(super) quiet_max: Duration,
    pub(super) stuck_max: Duration,
}

impl Default for Rig {
    fn default() -> Self {
        let (client, backend) = (Wire::Plain, Wire::Plain);
        Self {
            client,
            backend,
            to_backend: b"",
            to_client: b"",
            pipes_max: 4,
            quiet_max: PEER_QUIET_MAX,
            stuck_max: CLIENT_STUCK_MAX,
        }
    }
}

/// A running session.
pub(super) struct Running {
    /// The mail client's program.
    pub(super) client: Transport,
    /// The backend's program.
    pub(super) backend: Transport,
    pub(super) stop: Option<oneshot::Sender<Stop>>,
    pub(super) counters: &'static Counters,
    pub(super) pipes: &'static PipePool,
    /// All that was told.
    pub(super) beats: &'static Mutex<Vec<Beat>>,
    forwarding: JoinHandle<End>,
}

impl Rig {
    pub(super) async fn start(self) -> Running {
        let (client, near_client) = connection(self.client).await;
        let (near_backend, backend) = connection(self.backend).await;
        let ends = Ends {
            client: near_client,
            to_backend: Bytes::from_static(self.to_backend),
            backend: near_backend,
            to_client: Bytes::from_static(self.to_client),
        };
        let counters: &'static Counters = Box::leak(Box::default());
        let pipes: &'static PipePool = Box::leak(Box::new(PipePool::new(self.pipes_max)));
        let beats: &'static Mutex<Vec<Beat>> = Box::leak(Box::default());
        let on_beat = Box::leak(Box::new(|beat| beats.lock().unwrap().push(beat)));
        let means = Means { counters, on_beat, pipes, quiet_max: self.quiet_max, stuck_max: self.stuck_max };
        let (stop, stopped) = oneshot::channel();
        let stop_signal = async {
            match stopped.await {
                Ok(stop) => stop,
                Err(_) => std::future::pending().await,
            }
        };
        let forwarding = tokio::spawn(forward_by(means, ends, stop_signal));
        Running { client, backend, stop: Some(stop), counters, pipes, beats, forwarding }
    }
}

impl Running {
    pub(super) fn stop(&mut self, farewell: Option<&'static str>) {
        let farewell = farewell.map(|text| Bytes::from_static(text.as_bytes()));
        self.stop.take().unwrap().send(Stop { farewell }).unwrap();
    }

    /// Waits until the session is over. Both programs are kept open.
    pub(super) async fn end(&mut self) -> End {
        within(&mut self.forwarding).await.unwrap()
    }

    /// Sends from one program and reads it at the other.
    pub(super) async fn round_trip(&mut self) {
        say(&mut self.client, b"command\r\n").await;
        hear(&mut self.backend, b"command\r\n").await;
        say(&mut self.backend, b"reply\r\n").await;
        hear(&mut self.client, b"reply\r\n").await;
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

pub(super) async fn say(from: &mut Transport, text: &[u8]) {
    within(async {
        from.write_all(text).await.unwrap();
        from.flush().await.unwrap();
    })
    .await;
}

pub(super) async fn hear(at: &mut Transport, text: &[u8]) {
    let mut buffer = vec![0; text.len()];
    within(at.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer), String::from_utf8_lossy(text));
}

/// Everything until the end.
pub(super) async fn rest(at: &mut Transport) -> Vec<u8> {
    let mut buffer = Vec::new();
    within(at.read_to_end(&mut buffer)).await.unwrap();
    buffer
}

/// The next close of this connection is a reset.
pub(super) fn reset_on_drop(transport: &Transport) {
    socket2::SockRef::from(transport.socket()).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A loopback connection: the end that connected, the end that accepted.
pub(super) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

pub(super) async fn connection(wire: Wire) -> (Transport, Transport) {
    let (near, far) = sockets().await;
    if wire == Wire::Plain {
        return (Transport::Plain(near), Transport::Plain(far));
    }
    let (connector, acceptor) = tls();
    let name = ServerName::try_from("localhost").unwrap();
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    (Transport::Client(Box::new(near.unwrap())), Transport::Server(Box::new(far.unwrap())))
}

fn tls() -> (TlsConnector, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)))
}
