//! `homing bench auth`: lets everybody in and names the port of the backend. Which backend it is, the director says;
//! only nginx, which has no director, is told an address.

mod answer;
mod http;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use self::answer::Conversation;
use super::{Protocol, say};

/// Longest line, in bytes (spec/auth-protocol.md 1.4).
const LINE_BYTES_MAX: u64 = 16_384;

pub(super) const HELP: &str =
    "Example: for a Homing with `login_auth_socket_path = /run/bench/auth`, and for nginx's `auth_http`
  homing bench auth --socket /run/bench/auth --imap-port 10143
  homing bench auth --http 127.0.0.1:8080 --host 127.0.1.1 --host 127.0.1.2 --imap-port 10143";

/// Where to listen and what to answer.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Unix socket with Dovecot's auth protocol; made with mode 0666. Repeatable.
    #[arg(long, value_name = "PATH", required_unless_present = "http")]
    socket: Vec<PathBuf>,
    /// Answer nginx's `auth_http` there.
    #[arg(long, value_name = "IP:PORT", requires = "host")]
    http: Option<SocketAddr>,
    /// A backend for nginx's users, who are spread over all of them. Repeatable.
    #[arg(long, value_name = "IP")]
    host: Vec<IpAddr>,
    /// Port of the IMAP backends.
    #[arg(long, default_value_t = 143, value_name = "PORT")]
    imap_port: u16,
    /// Port of the POP3 backends.
    #[arg(long, default_value_t = 110, value_name = "PORT")]
    pop3_port: u16,
    /// Port of the ManageSieve backends.
    #[arg(long, default_value_t = 4190, value_name = "PORT")]
    sieve_port: u16,
}

impl Arguments {
    /// Port of the backends for a service by its name.
    fn port(&self, service: &[u8]) -> u16 {
        match Protocol::ALL.into_iter().find(|p| p.service().as_bytes() == service) {
            Some(Protocol::Pop3) => self.pop3_port,
            Some(Protocol::Sieve) => self.sieve_port,
            Some(Protocol::Imap) | None => self.imap_port,
        }
    }
}

/// Serves until the process is ended.
pub(super) async fn run(arguments: Arguments) -> io::Result<ExitCode> {
    let arguments = Arc::new(arguments);
    for path in &arguments.socket {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        tokio::spawn(accept(listen(path).map_err(told)?, Arc::clone(&arguments)));
    }
    if let Some(address) = arguments.http {
        tokio::spawn(http::serve(super::socket::listen(address)?, Arc::clone(&arguments)));
    }
    say("ready");
    std::future::pending().await
}

/// Listens, also where an earlier run has left its socket.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    let abandoned = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && std::os::unix::net::UnixStream::connect(path).as_ref().is_err_and(abandoned) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, arguments: Arc<Arguments>) {
    let mut connections = 0_u64;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        connections += 1;
        let (arguments, number) = (Arc::clone(&arguments), connections);
        // A program that closes has no more questions.
        tokio::spawn(async move { talk(stream, &arguments, number).await.unwrap_or_default() });
    }
}

async fn talk(stream: UnixStream, arguments: &Arguments, number: u64) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(answer::opening(number).as_bytes()).await?;
    let mut conversation = Conversation::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let Some(answer) = conversation.handle_line(line.trim_ascii_end(), |s| arguments.port(s)) else {
            return Ok(());
        };
        if !answer.is_empty() {
            stream.write_all(&answer).await?;
        }
    }
}
