//! The task that keeps one connection to the auth service: connects, moves bytes between socket and protocol
//! machine, and tries again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use homing_dovecot_auth::{ConnectionId, ProtocolError};
use homing_wire::Secret;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    backoff::{Backoff, dice},
    link::Link,
    pool::Shared,
};
use crate::observe::tally::tally;

/// Why a connection ended; text for the log.
#[derive(Debug, Error)]
enum Ended {
    #[error("connect() failed: {0}{hint}", hint = hint(.0))]
    Connect(io::Error),
    #[error("connect() timed out")]
    ConnectTimeout,
    #[error("Timeout waiting for handshake from auth server")]
    OpeningTimeout,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("EOF")]
    Eof,
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "; default_login_user must be allowed to write to it (Dovecot's socket for dovenull: login_auth_socket_path = login/login)"
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "; is the auth service running?",
        _ => "",
    }
}

/// Keeps the link connected until the future is dropped.
pub(super) async fn keep(shared: Arc<Shared>, link: Arc<Link>) {
    let mut backoff = Backoff::new(shared.timing);
    loop {
        let started = Instant::now();
        let ended = serve(&shared, &link, &mut backoff).await;
        tally().auth_disconnects.count();
        let lost = link.disconnected(|| shared.refresh());
        report(&shared, &ended.to_string(), lost);
        let pause = backoff.next(dice());
        sleep_until(started + pause).await;
    }
}

/// The same trouble is told once, until the service works again, however many connections have it.
fn report(shared: &Shared, ended: &str, lost: usize) {
    let path = shared.path.display();
    let is_news = shared.trouble.begins(ended);
    if lost > 0 {
        tracing::warn!(
            target: "homing::auth",
            "auth-client: conn unix:{path}: Auth connection closed with {lost} pending requests ({ended})"
        );
    } else if is_news {
        tracing::error!(target: "homing::auth", "auth-client: conn unix:{path}: {ended}");
    }
}

fn recovered(shared: &Shared) {
    if shared.trouble.ends() {
        let path = shared.path.display();
        tracing::info!(target: "homing::auth", "auth-client: conn unix:{path}: connected again");
    }
}

async fn serve(shared: &Shared, link: &Link, backoff: &mut Backoff) -> Ended {
    let stream = match timeout(shared.timing.connect, UnixStream::connect(&shared.path)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Ended::Connect(error),
        Err(_) => return Ended::ConnectTimeout,
    };
    tally().auth_connects.count();
    link.connected(next_id());
    let mut conversation =
        Conversation { shared, link, stream, buffer: Zeroizing::default(), writing: None, opened: false };
    let deadline = Instant::now() + shared.timing.opening;
    loop {
        let step = tokio::select! {
            step = conversation.step() => step,
            () = sleep_until(deadline), if !conversation.opened => Err(Ended::OpeningTimeout),
        };
        match step {
            Ok(true) => {
                conversation.opened = true;
                backoff.reset();
                recovered(shared);
            }
            Ok(false) => {}
            Err(ended) => return ended,
        }
    }
}

/// A connected socket and what is being written to it.
struct Conversation<'a> {
    shared: &'a Shared,
    link: &'a Link,
    stream: UnixStream,
    /// Wiped after each read: replies may hold passwords.
    buffer: Zeroizing<Vec<u8>>,
    /// Bytes that go out now, and how many of them are gone. Nothing is taken from the machine before.
    writing: Option<(Secret, usize)>,
    opened: bool,
}

impl Conversation<'_> {
    /// Reads or writes once; true if the opening has just been completed. Nothing is lost if the future is dropped.
    async fn step(&mut self) -> Result<bool, Ended> {
        if self.writing.is_none() {
            self.writing = self.link.transmit().map(|bytes| (bytes, 0));
        }
        self.buffer.resize(self.link.room(), 0);
        let (mut reader, mut writer) = self.stream.split();
        let rest = self.writing.as_ref().and_then(|(bytes, gone)| bytes.expose().get(*gone..));
        tokio::select! {
            count = reader.read(&mut self.buffer) => {
                let count = count?;
                self.received(count)
            }
            count = writer.write(rest.unwrap_or_default()), if rest.is_some() => {
                let count = count?;
                self.wrote(count);
                Ok(false)
            }
            () = self.link.woken(), if rest.is_none() => Ok(false),
        }
    }

    fn received(&mut self, count: usize) -> Result<bool, Ended> {
        if count == 0 {
            return Err(Ended::Eof);
        }
        let told = self.link.received(self.buffer.get(..count).unwrap_or_default());
        self.buffer.zeroize();
        for id in told.unknown_ids {
            let path = self.shared.path.display();
            tracing::error!(
                target: "homing::auth",
                "auth-client: conn unix:{path}: Authentication server sent unknown id {id}"
            );
        }
        if let Some(error) = told.broken {
            return Err(Ended::Protocol(error));
        }
        if told.ready {
            self.shared.refresh();
        }
        Ok(told.ready)
    }

    fn wrote(&mut self, count: usize) {
        if let Some((bytes, gone)) = &mut self.writing {
            *gone += count;
            if *gone >= bytes.len() {
                self.writing = None;
            }
        }
    }
}

/// The process id for the first connection, like the reference; later ones differ in the bits above any process id
/// (spec/auth-protocol.md 2.2), also those of an older configuration that live on beside this one.
fn next_id() -> ConnectionId {
    const PID_BITS: u32 = 22;
    static CONNECTED: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = CONNECTED.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = ConnectionId::new(std::process::id().wrapping_add(count << PID_BITS)) {
            return id;
        }
    }
}
