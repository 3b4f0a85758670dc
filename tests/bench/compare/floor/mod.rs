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
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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
        let (tls, to) = (tls.clone(), backends.next());
        // What a session is made of while it logs in is freed before it idles.
        tokio::task::spawn_local(async move {
            let _ = match tls {
                Some(config) => session_tls(stream, config, to).await,
                None => session_plain(stream, to).await,
            };
        });
    }
}

async fn session_plain(mut client: TcpStream, to: SocketAddr) -> io::Result<()> {
    let backend = Box::pin(log_in(&mut client, to)).await?;
    plain::relay(client, backend).await
}

async fn session_tls(client: TcpStream, config: Arc<ServerConfig>, to: SocketAddr) -> io::Result<()> {
    let login = async {
        client.set_nodelay(true)?;
        let mut client = tokio_rustls::TlsAcceptor::from(config).accept(client).await?;
        let backend = log_in(&mut client, to).await?;
        io::Result::Ok((Box::new(client), backend))
    };
    let (client, backend) = Box::pin(login).await?;
    tls::relay(client, backend).await
}

/// Greets, takes a line as login, logs in at the backend with a fixed one, and passes the good news on.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S, to: SocketAddr) -> io::Result<TcpStream> {
    client.write_all(b"* OK ready\r\n").await?;
    client.flush().await?;
    let mut line = [0; 512];
    read_line(client, &mut line).await?;
    let mut backend = TcpStream::connect(to).await?;
    backend.set_nodelay(true)?;
    read_line(&mut backend, &mut line).await?;
    backend.write_all(b"a LOGIN user pw\r\n").await?;
    let count = read_line(&mut backend, &mut line).await?;
    client.write_all(&line[..count]).await?;
    client.flush().await?;
    Ok(backend)
}

/// Reads up to a line's end; nobody here says more than a line at a time before the login is over.
async fn read_line<S: AsyncRead + Unpin>(stream: &mut S, line: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while !line[..count].ends_with(b"\n") {
        match stream.read(&mut line[count..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => count += more,
        }
    }
    Ok(count)
}
