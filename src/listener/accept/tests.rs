//! Listeners with real connections on the loopback interface.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};

use super::*;

/// Long enough for a busy machine; only a failed test takes so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A listener that runs, and what it delivers.
struct Running {
    address: SocketAddr,
    delivered: mpsc::UnboundedReceiver<Accepted>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    proxy_header: Arc<ArcSwap<ProxyHeaderSettings>>,
}

fn settings(ssl: bool, haproxy: bool) -> ListenerSettings {
    let address = "127.0.0.1:0".parse().unwrap();
    ListenerSettings { name: "imap".to_owned(), service: Service::Imap, address, ssl, haproxy }
}

fn trusting(networks: &[&str], timeout: Duration) -> ProxyHeaderSettings {
    let trusted_networks = networks.iter().map(|n| n.parse().unwrap()).collect();
    ProxyHeaderSettings { trusted_networks, timeout }
}

fn start(settings: &ListenerSettings, proxy_header: ProxyHeaderSettings) -> Running {
    let listener = Listener::bind(settings).unwrap();
    let address = listener.local_address().unwrap();
    let proxy_header = Arc::new(ArcSwap::from_pointee(proxy_header));
    let (sender, delivered) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let run = listener.run(Arc::clone(&proxy_header), stop.clone(), move |accepted| {
        sender.send(accepted).unwrap();
    });
    Running { address, delivered, stop, task: tokio::spawn(run), proxy_header }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn sending(&self, bytes: &[u8]) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        client
    }

    async fn next(&mut self) -> Accepted {
        in_time(self.delivered.recv()).await.unwrap()
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

/// The server closed without a byte; unread input makes that a reset.
async fn assert_closed(mut client: TcpStream) {
    let mut byte = [0];
    match in_time(client.read(&mut byte)).await {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.8 4444 993\r\n";

#[tokio::test]
async fn connections_carry_their_addresses() {
    let mut running = start(&settings(true, false), trusting(&[], DEADLINE));
    let client = running.connect().await;
    let accepted = running.next().await;
    assert_eq!((accepted.service, accepted.tls), (Service::Imap, true));
    assert_eq!(accepted.real_remote, client.local_addr().unwrap());
    assert_eq!(accepted.real_local, running.address);
    assert_eq!((accepted.remote, accepted.local), (accepted.real_remote, accepted.real_local));
    assert_eq!(accepted.proxied, None);
}

#[tokio::test]
async fn hp_10_header_then_tls() {
    let mut running = start(&settings(true, true), trusting(&["127.0.0.0/8"], DEADLINE));
    let client = running.sending(&[HEADER, b"\x16\x03\x01"].concat()).await;
    let mut accepted = running.next().await;
    assert!(accepted.tls);
    assert_eq!(accepted.remote, "192.0.2.7:4444".parse().unwrap());
    assert_eq!(accepted.local, "198.51.100.8:993".parse().unwrap());
    assert_eq!(accepted.real_remote, client.local_addr().unwrap());
    assert_eq!(accepted.real_local, running.address);
    assert_eq!(accepted.proxied, Some(Proxied::default()));
    let mut hello = [0; 3];
    in_time(accepted.stream.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"\x16\x03\x01");
}

#[tokio::test]
async fn mapped_addresses_are_ipv4() {
    let mut running = start(&settings(false, true), trusting(&["127.0.0.0/8"], DEADLINE));
    let _client = running.sending(b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::8 4444 143\r\n").await;
    let accepted = running.next().await;
    assert_eq!(accepted.remote, "192.0.2.7:4444".parse().unwrap());
    assert_eq!(accepted.local, "[2001:db8::8]:143".parse().unwrap());
}

#[tokio::test]
async fn hp_03_bad_headers_close() {
    let mut running = start(&settings(false, true), trusting(&["127.0.0.0/8"], DEADLINE));
    for bytes in [b"a NOOP\r\n".as_slice(), b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", &[b'\r'; 2000]] {
        assert_closed(running.sending(bytes).await).await;
    }
    let _client = running.sending(HEADER).await;
    assert_eq!(running.next().await.remote.port(), 4444);
}

#[tokio::test]
async fn hp_08_no_header_in_time() {
    let running = start(&settings(false, true), trusting(&["127.0.0.0/8"], Duration::from_millis(50)));
    assert_closed(running.connect().await).await;
    assert_closed(running.sending(b"PROXY TCP4 ").await).await;
}

#[tokio::test]
async fn hp_09_untrusted_senders_close() {
    let mut running = start(&settings(false, true), trusting(&["192.0.2.0/24"], DEADLINE));
    assert_closed(running.sending(HEADER).await).await;
    running.proxy_header.store(Arc::new(trusting(&["192.0.2.0/24", "127.0.0.1/32"], DEADLINE)));
    let _client = running.sending(HEADER).await;
    assert_eq!(running.next().await.remote.port(), 4444);
    running.proxy_header.store(Arc::new(trusting(&[], DEADLINE)));
    assert_closed(running.sending(HEADER).await).await;
}

#[tokio::test]
async fn a_slow_sender_blocks_nobody() {
    let mut running = start(&settings(false, true), trusting(&["127.0.0.0/8"], DEADLINE));
    let mut slow = running.sending(b"PROXY TCP4 192.0.2.1 ").await;
    let _quick = running.sending(HEADER).await;
    assert_eq!(running.next().await.remote.port(), 4444);
    slow.write_all(b"198.51.100.8 1 993\r\n").await.unwrap();
    assert_eq!(running.next().await.remote.port(), 1);
}

#[tokio::test]
async fn awaited_headers_are_bounded() {
    let mut running = start(&settings(false, true), trusting(&["127.0.0.0/8"], DEADLINE));
    let mut silent = Vec::new();
    for _ in 0..HEADERS_AWAITED_MAX {
        silent.push(running.connect().await);
    }
    // All places are taken once the last of them is; the next one waits in the kernel's queue.
    let _next = running.sending(HEADER).await;
    silent[0].write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let first = running.next().await;
    assert_eq!(first.remote, silent[0].local_addr().unwrap());
    assert_eq!(running.next().await.remote.port(), 4444);
}

#[tokio::test]
async fn stop_closes_the_socket_and_gives_headers_up() {
    let mut running = start(&settings(false, true), trusting(&["127.0.0.0/8"], DEADLINE));
    let waiting = running.sending(b"PROXY ").await;
    let served = running.sending(HEADER).await;
    let accepted = running.next().await;
    running.stop.cancel();
    in_time(running.task).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
    assert_closed(waiting).await;
    // Delivered connections are not the listener's any more.
    drop(accepted);
    assert_closed(served).await;
    assert!(in_time(running.delivered.recv()).await.is_none());
}
