//! Three tiny backends on loopback addresses. Each connection is a line dialogue; the dialects answer.

use std::{io, net::Ipv4Addr};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{imap::ImapDialogue, pop3::Pop3Dialogue, sieve::SieveDialogue};

/// Addresses of the backends.
pub(super) const BACKENDS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(127, 0, 0, 11), Ipv4Addr::new(127, 0, 0, 12), Ipv4Addr::new(127, 0, 0, 13)];
/// Port of the IMAP backends.
pub(super) const IMAP_PORT: u16 = 10143;
/// Port of the POP3 backends.
pub(super) const POP3_PORT: u16 = 10110;
/// Port of the ManageSieve backends.
pub(super) const SIEVE_PORT: u16 = 14190;

/// Longest line a backend reads, in bytes.
const LINE_BYTES_MAX: u64 = 8192;

/// One side of a line dialogue.
pub(super) trait LineDialogue: Send {
    /// The greeting.
    fn greeting(&self) -> String;
    /// Answers a line; `None` as second part ends the connection after the answer.
    fn answer(&mut self, line: &str) -> (String, Flow);
}

/// Whether a dialogue goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Read the next line.
    GoOn,
    /// Close.
    End,
}

/// Binds all backends and serves them in the background.
pub(super) async fn start_all() -> io::Result<()> {
    for ip in BACKENDS {
        for port in [IMAP_PORT, POP3_PORT, SIEVE_PORT] {
            let listener = TcpListener::bind((ip, port)).await?;
            tokio::spawn(serve(listener, ip, port));
        }
    }
    Ok(())
}

async fn serve(listener: TcpListener, ip: Ipv4Addr, port: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        let dialogue: Box<dyn LineDialogue> = match port {
            IMAP_PORT => Box::new(ImapDialogue::new(ip)),
            POP3_PORT => Box::new(Pop3Dialogue::new(ip)),
            _ => Box::new(SieveDialogue::new(ip)),
        };
        tokio::spawn(async move {
            // A client that breaks off is none of the demo's business.
            let _ = talk(stream, dialogue).await;
        });
    }
}

async fn talk(stream: TcpStream, mut dialogue: Box<dyn LineDialogue>) -> io::Result<()> {
    // Short answers must not wait for the proxy's delayed acknowledgement, 40 ms each.
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(dialogue.greeting().as_bytes()).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if count == 0 {
            return Ok(());
        }
        let (answer, flow) = dialogue.answer(String::from_utf8_lossy(&line).trim_end());
        stream.write_all(answer.as_bytes()).await?;
        if flow == Flow::End {
            return stream.shutdown().await;
        }
    }
}

/// The one message of every mailbox.
pub(super) fn message(ip: Ipv4Addr, user: &str) -> String {
    format!(
        "From: homing@demo.invalid\r\nTo: {user}@demo.invalid\r\nSubject: You are on backend {ip}\r\n\
         Message-ID: <1.{user}@demo.invalid>\r\n\r\nHello {user}, backend {ip} has your mail.\r\n"
    )
}
