//! One mail client: logs in, moves bytes, leaves. It checks what it gets: every byte count and every answer.

use std::time::Duration;

use homing_wire::encode_base64;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

use super::{
    LoadError,
    connect::{self, ByteStream},
    site::{Site, Tls},
};
use crate::bench::protocol::{DOWN, ECHO, Protocol, UP, Verdict};

/// Longest line of a server, in bytes.
const LINE_BYTES_MAX: u64 = 65_536;
/// Lines of one answer: capabilities have a dozen.
const LINES_MAX: usize = 1000;
/// Input buffer, in bytes. Bulk reads go past it.
const INPUT_BYTES: usize = 512;
/// What a transfer reads and writes at once, in bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// A client that is logged in.
pub(super) struct MailClient {
    stream: BufReader<Box<dyn ByteStream>>,
    protocol: Protocol,
    /// Whether its TLS session was resumed.
    pub(super) resumed: bool,
}

impl MailClient {
    /// Connects and logs in as the user of the n-th session.
    pub(super) async fn log_in(site: &Site, n: usize) -> Result<Self, LoadError> {
        let work = async {
            let mut client = Self::greeted(site, n).await?;
            client.authenticate(&site.user(n), &site.common.password).await?;
            Ok(client)
        };
        timeout(site.patience(), Box::pin(work)).await.unwrap_or(Err(LoadError::Timeout("login")))
    }

    async fn greeted(site: &Site, n: usize) -> Result<Self, LoadError> {
        let tcp = connect::tcp(site, n).await.map_err(LoadError::Connect)?;
        let (stream, resumed): (Box<dyn ByteStream>, _) = match site.common.tls {
            Tls::Implicit => connect::tls(site, tcp).await.map_err(LoadError::Tls)?,
            Tls::Off | Tls::Starttls => (Box::new(tcp), false),
        };
        let stream = BufReader::with_capacity(INPUT_BYTES, stream);
        let mut client = Self { stream, protocol: site.common.protocol, resumed };
        client.answer("*").await?;
        if site.common.tls == Tls::Starttls { client.starttls(site).await } else { Ok(client) }
    }

    async fn starttls(mut self, site: &Site) -> Result<Self, LoadError> {
        let word = if self.protocol == Protocol::Pop3 { "STLS" } else { "STARTTLS" };
        self.command("s", word).await?;
        let (stream, resumed) = connect::tls(site, self.stream.into_inner()).await.map_err(LoadError::Tls)?;
        let stream = BufReader::with_capacity(INPUT_BYTES, stream);
        let mut client = Self { stream, protocol: self.protocol, resumed };
        if client.protocol == Protocol::Sieve {
            // RFC 5804 2.2: the capabilities come again.
            client.answer("*").await?;
        }
        Ok(client)
    }

    async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), LoadError> {
        match self.protocol {
            Protocol::Imap => self.command("a", &format!("LOGIN {user} {password}")).await,
            Protocol::Pop3 => {
                self.command("", &format!("USER {user}")).await?;
                self.command("", &format!("PASS {password}")).await
            }
            Protocol::Sieve => {
                let response = encode_base64(format!("\0{user}\0{password}").as_bytes());
                self.command("", &format!("AUTHENTICATE \"PLAIN\" \"{response}\"")).await
            }
        }
    }

    /// Leaves and waits until the server has closed.
    pub(super) async fn log_out(mut self, patience: Duration) -> Result<(), LoadError> {
        let word = if self.protocol == Protocol::Pop3 { "QUIT" } else { "LOGOUT" };
        let work = async {
            self.command("z", word).await?;
            self.stream.get_mut().shutdown().await?;
            self.closed().await;
            Ok(())
        };
        timeout(patience, work).await.unwrap_or(Err(LoadError::Timeout("logout")))
    }

    /// Waits until the server has closed; whatever it still says is read.
    pub(super) async fn closed(&mut self) {
        let mut rest = [0; 256];
        while self.stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    }

    /// Takes so many bytes from the backend.
    pub(super) async fn download(&mut self, bytes: u64, patience: Duration) -> Result<(), LoadError> {
        self.send("d", &format!("{DOWN} {bytes}")).await?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            let read = self.stream.read(block.get_mut(..room).unwrap_or_default());
            let count = timeout(patience, read).await.map_err(|_| LoadError::Timeout("download"))??;
            if count == 0 {
                return Err(LoadError::Closed("download"));
            }
            left = left.saturating_sub(count as u64);
        }
        self.answer("d").await
    }

    /// Gives so many bytes to the backend, which says when it has them.
    pub(super) async fn upload(&mut self, bytes: u64, patience: Duration) -> Result<(), LoadError> {
        self.send("u", &format!("{UP} {bytes}")).await?;
        let block = vec![b'u'; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            let write = self.stream.write_all(block.get(..count).unwrap_or_default());
            timeout(patience, write).await.map_err(|_| LoadError::Timeout("upload"))??;
            left = left.saturating_sub(count as u64);
        }
        timeout(patience, self.answer("u")).await.unwrap_or(Err(LoadError::Timeout("upload")))
    }

    /// A line of `size` bytes to the backend and back, so often.
    pub(super) async fn echo(
        &mut self,
        rounds: usize,
        size: usize,
        patience: Duration,
    ) -> Result<(), LoadError> {
        let bare = self.protocol.command("e", &format!("{ECHO} ")).len();
        let text = "x".repeat(size.saturating_sub(bare));
        let sent = self.protocol.command("e", &format!("{ECHO} {text}"));
        let mut line = Vec::with_capacity(sent.len());
        for _ in 0..rounds {
            let round = async {
                self.write(&sent).await?;
                self.read_line(&mut line).await
            };
            timeout(patience, round).await.map_err(|_| LoadError::Timeout("echo"))??;
            if line != sent.as_bytes() {
                return Err(LoadError::Refused(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
        }
        Ok(())
    }

    async fn command(&mut self, tag: &str, rest: &str) -> Result<(), LoadError> {
        self.send(tag, rest).await?;
        self.answer(tag).await
    }

    async fn send(&mut self, tag: &str, rest: &str) -> Result<(), LoadError> {
        self.write(&self.protocol.command(tag, rest)).await
    }

    async fn write(&mut self, text: &str) -> Result<(), LoadError> {
        self.stream.write_all(text.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads up to the line that ends the answer to the command with that tag.
    async fn answer(&mut self, tag: &str) -> Result<(), LoadError> {
        let mut line = Vec::new();
        for _ in 0..LINES_MAX {
            self.read_line(&mut line).await?;
            let text = String::from_utf8_lossy(&line);
            match self.protocol.verdict(tag, &text) {
                Some(Verdict::Good) => return Ok(()),
                Some(Verdict::Bad) => return Err(LoadError::Refused(text.trim_end().to_owned())),
                None => {}
            }
        }
        Err(LoadError::Refused("an answer without end".to_owned()))
    }

    async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<(), LoadError> {
        line.clear();
        match (&mut self.stream).take(LINE_BYTES_MAX).read_until(b'\n', line).await? {
            0 => Err(LoadError::Closed("answer")),
            _ => Ok(()),
        }
    }
}
