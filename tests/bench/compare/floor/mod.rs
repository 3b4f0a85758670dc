//! The bare relay: a login that is the same for everybody, then bytes. No auth service, no director, no limits, no log;
//! what a mail proxy costs beyond this, it costs for what it does. It says what clients and backends of this bench need
//! to hear, and nothing else understands it.

mod plain;
mod scratch;
mod tls;

use std::{cell::Cell, fs, io, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{self, Ticketer},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::LocalSet,
};

/// Where to listen and whom to relay to.
#[derive(Debug, clap::Parser)]
pub struct Arguments {
    #[arg(long)]
    imap: SocketAddr,
    #[arg(long)]
    imaps: SocketAddr,
    #[arg(long)]
    backend: Vec<SocketAddr>,
    #[arg(long)]
    cert: PathBuf,
    #[arg(long)]
    key: PathBuf,
}

pub fn main(arguments: Arguments) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let backends = Rc::new(Backends { all: arguments.backend.clone(), next: Cell::new(0) });
        let config = Arc::new(config(&arguments));
        let plain = accept(listen(arguments.imap), None, Rc::clone(&backends));
        let tls = accept(listen(arguments.imaps), Some(config), backends);
        tokio::join!(plain, tls);
    });
}

fn config(arguments: &Arguments) -> ServerConfig {
    let pem = |path: &PathBuf| io::BufReader::new(fs::File::open(path).unwrap());
    let certs = rustls_pemfile::certs(&mut pem(&arguments.cert)).map(Result::unwrap).collect();
    let key = rustls_pemfile::private_key(&mut pem(&arguments.key)).unwrap().unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .unwrap();
    config.ticketer = Ticketer::new().unwrap();
    config.send_tls13_tickets = 1;
    config
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(65_535).unwrap()
}

/// Backends in turn.
struct Backends {
    all: Vec<SocketAddr>,
    next: Cell<usize>,
}

impl Backends {
    fn next(&self) -> SocketAddr {
        let place = self.next.get();
        self.next.set(place.wrapping_add(1));
        self.all[place % self.all.len()]
    }
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, backends: Rc<Backends>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let to = backends.next();
        // Two kinds of task, so that one without TLS has no room for it. A session that breaks off is over.
        match tls.clone() {
            Some(config) => {
                tokio::task::spawn_local(
                    async move { session_tls(stream, config, to).await.unwrap_or_default() },
                )
            }
            None => {
                tokio::task::spawn_local(async move { session_plain(stream, to).await.unwrap_or_default() })
            }
        };
    }
}

async fn session_plain(client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let login = async {
        client.set_nodelay(true)?;
        write_all(&client, GREETING).await?;
        read_line(&client).await?;
        let (backend, answer) = log_in(to).await?;
        write_all(&client, &answer).await?;
        io::Result::Ok(backend)
    };
    // What a session is made of while it logs in is freed before it idles.
    let backend = Box::pin(login).await?;
    plain::relay(client, backend).await
}

async fn session_tls(stream: TcpStream, config: Arc<ServerConfig>, to: SocketAddr) -> io::Result<()> {
    let login = async {
        stream.set_nodelay(true)?;
        let client = tls::TlsClient::accept(stream, config).await?;
        say(&client, GREETING).await?;
        hear(&client).await?;
        let (backend, answer) = log_in(to).await?;
        say(&client, &answer).await?;
        io::Result::Ok((client, backend))
    };
    let (client, backend) = Box::pin(login).await?;
    tls::relay(client, backend).await
}

const GREETING: &[u8] = b"* OK ready\r\n";

/// Waits until the client has said something: it is its login.
async fn hear(client: &tls::TlsClient) -> io::Result<()> {
    let heard = Cell::new(0);
    while heard.get() == 0 {
        client.socket().readable().await?;
        let taken = client.try_pass(|bytes| {
            heard.set(bytes.len());
            Ok(bytes.len())
        });
        match taken {
            Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn say(client: &tls::TlsClient, text: &[u8]) -> io::Result<()> {
    let rest = client.try_answer(|buffer| {
        buffer[..text.len()].copy_from_slice(text);
        Ok(text.len())
    })?;
    write_all(client.socket(), &rest.unwrap_or_default()).await
}

/// Logs in at the backend: always the same user. Returns what the client is to hear, too.
async fn log_in(to: SocketAddr) -> io::Result<(TcpStream, Vec<u8>)> {
    let backend = TcpStream::connect(to).await?;
    backend.set_nodelay(true)?;
    read_line(&backend).await?;
    write_all(&backend, b"a LOGIN user pw\r\n").await?;
    let answer = read_line(&backend).await?;
    Ok((backend, answer))
}

/// Reads up to a line's end; nobody here says more than a line at a time before the login is over.
async fn read_line(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(512);
    while !line.ends_with(b"\n") {
        stream.readable().await?;
        match stream.try_read_buf(&mut line) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(line)
}

/// Nothing is written where nothing can be.
fn tolerate(written: io::Result<usize>) -> io::Result<usize> {
    written.or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) })
}

async fn write_all(to: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        let written = tolerate(to.try_write(rest))?;
        rest = &rest[written..];
        if !rest.is_empty() {
            to.writable().await?;
        }
    }
    Ok(())
}
