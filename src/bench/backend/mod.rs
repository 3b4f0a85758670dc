//! `homing bench backend`: listens, and performs what the dialogue says. It holds nothing per connection but a small
//! buffer, so that tens of thousands fit.

mod dialogue;

use std::{io, net::SocketAddr, process::ExitCode};

use clap::Args;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use self::dialogue::{Dialogue, Step};
use super::{Protocol, say, socket};

/// Longest line, in bytes: as long as Dovecot's login processes let it be.
const LINE_BYTES_MAX: u64 = 8192;
/// Input buffer of a connection, in bytes: a login fits.
const INPUT_BYTES: usize = 512;
/// What a bulk transfer reads and writes at once, in bytes.
static BLOCK: [u8; 64 * 1024] = [b'm'; 64 * 1024];

pub(super) const HELP: &str =
    "Any user and password may log in, by LOGIN, AUTHENTICATE PLAIN, USER and PASS, AUTH PLAIN.
After that, beside NOOP and the like (in IMAP with a tag in front):
  XDOWN n    n bytes come, then the line that ends every command
  XUP n      then n bytes of the client's; the line comes when they have been read
  XECHO text comes back as it is

Example: three IMAP backends for a director
  homing bench backend --imap 127.0.1.1:10143 --imap 127.0.1.2:10143 --imap 127.0.1.3:10143";

/// Where to listen.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Speak IMAP there.
    #[arg(long, value_name = "IP:PORT", required_unless_present_any = ["pop3", "sieve"])]
    imap: Vec<SocketAddr>,
    /// Speak POP3 there.
    #[arg(long, value_name = "IP:PORT")]
    pop3: Vec<SocketAddr>,
    /// Speak ManageSieve there.
    #[arg(long, value_name = "IP:PORT")]
    sieve: Vec<SocketAddr>,
}

/// Serves until the process is ended.
pub(super) async fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let groups = [
        (Protocol::Imap, &arguments.imap),
        (Protocol::Pop3, &arguments.pop3),
        (Protocol::Sieve, &arguments.sieve),
    ];
    for (protocol, addresses) in groups {
        for address in addresses {
            let listener = socket::listen(*address)?;
            say(&format!("{} on {}", protocol.service(), listener.local_addr()?));
            tokio::spawn(accept(listener, protocol));
        }
    }
    say("ready");
    std::future::pending().await
}

async fn accept(listener: TcpListener, protocol: Protocol) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A client that breaks off has ended its session.
                tokio::spawn(async move { talk(stream, protocol).await.unwrap_or_default() });
            }
            // Out of descriptors, most likely: those in use come back.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn talk(stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(INPUT_BYTES, stream);
    let mut dialogue = Dialogue::new(protocol);
    stream.write_all(dialogue.greeting().as_bytes()).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        match dialogue.handle_line(&line) {
            Step::Say(text) => stream.write_all(text.as_bytes()).await?,
            Step::Repeat => stream.write_all(&line).await?,
            Step::Wait => {}
            Step::Send(count, then) => {
                send(&mut stream, count).await?;
                stream.write_all(then.as_bytes()).await?;
            }
            Step::Take(count, then) => {
                take(&mut stream, count).await?;
                stream.write_all(then.as_bytes()).await?;
            }
            Step::End(text) => {
                stream.write_all(text.as_bytes()).await?;
                return stream.shutdown().await;
            }
        }
    }
}

async fn send(stream: &mut BufReader<TcpStream>, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
        stream.write_all(BLOCK.get(..count).unwrap_or_default()).await?;
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

async fn take(stream: &mut BufReader<TcpStream>, count: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK.len()];
    let mut input = stream.take(count);
    while input.read(&mut block).await? > 0 {}
    if input.limit() > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
