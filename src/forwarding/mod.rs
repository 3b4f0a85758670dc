//! Moves bytes between client and backend until one side ends. It knows two transports, bytes that were read but
//! not passed on yet, and a signal to stop; it knows no user, no dialect and no settings.
//!
//! - Plain to plain goes through the kernel (`splice`) while much is flowing, else through a small copy; with TLS
//!   on a side it is a buffered copy. Each direction (`direction.rs`) picks its way at every step, so that a third
//!   way (TLS in the kernel) fits in beside the two.
//! - Nothing is held while nothing moves: buffers belong to the thread, and a pipe is lent for a single step. Only
//!   what a peer does not take is kept in the session, at most [`HELD_BYTES_MAX`] per direction, and as long as
//!   something is kept nothing is read.
//! - What a side sent before it ended is delivered; `pair.rs` says how a session ends.

mod copy;
mod counters;
mod direction;
mod pair;
mod pipe_pool;
mod splice;
#[cfg(test)]
mod tests;

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use self::{
    counters::{Counters, counters},
    direction::HELD_BYTES_MAX,
    pair::{CLIENT_STUCK_MAX, PEER_QUIET_MAX},
    pipe_pool::PIPES_MAX,
};
use self::{pair::Pair, pipe_pool::PipePool};
use crate::transport::Transport;

/// The two sides of a logged-in session, and what each of them is owed.
#[derive(Debug)]
pub struct Ends {
    /// The mail client.
    pub client: Transport,
    /// What the client sent behind its login; the backend gets it first. Bounded by the dialogue that read it.
    pub to_backend: Bytes,
    /// The backend.
    pub backend: Transport,
    /// What the backend sent behind its answer to the login; the client gets it first. Bounded likewise.
    pub to_client: Bytes,
}

/// The wish to end a session.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Last words for the client, said only at a clean boundary. A boundary is clean if everything that the backend
    /// sent was passed on, if all of it is in the hands of the kernel (no byte and no part of a TLS record is held
    /// here), if nothing more is waiting to be read, and if the last byte passed on was a line feed. So the words
    /// never cut a line. They can come inside a literal if the backend paused in it right behind a line feed:
    /// without knowing the dialect that looks like the end of a response.
    pub farewell: Option<Bytes>,
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The client closed or broke.
    Client,
    /// The backend closed or broke.
    Server,
    /// The stop signal.
    Stopped,
}

/// What became of a session (spec/login-proxy.md 9.3). Bytes are those after login.
#[derive(Debug)]
pub struct End {
    /// Who was first to end.
    pub by: EndedBy,
    /// Since the last byte either way.
    pub idle: Duration,
    /// Bytes written to the backend.
    pub bytes_in: u64,
    /// Bytes written to the client.
    pub bytes_out: u64,
    /// Bytes of the backend that could not be written to the client, but for what waits inside a TLS stream (which
    /// counts as written, and sets `client_blocked`).
    pub unsent_out: u64,
    /// At the end, the client did not take what it was sent.
    pub client_blocked: bool,
    /// At the end, the backend did not take what it was sent.
    pub server_blocked: bool,
    /// Why the side that ended did so, unless it closed in order. The text names the operation.
    pub error: Option<io::Error>,
    /// The client's connection, not closed yet: the caller decides when ([`Transport::close_within`]). `None` if it broke.
    pub client: Option<Transport>,
    /// The backend's connection: the backend has been told that no more comes, but may not have closed yet. `None` if
    /// it has ended.
    pub backend: Option<Transport>,
}

/// Bytes have moved, or the session has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When.
    pub at: Instant,
    /// The client has said something, or is owed something: as far as can be seen without knowing the dialect, it is not
    /// between two commands.
    pub client_waits: bool,
}

/// Who wants to hear of that. Called whenever bytes have moved, so it has to be quick.
pub type OnBeat<'a> = &'a (dyn Fn(Beat) + Sync);

/// What the ways of moving bytes need.
#[derive(Clone, Copy)]
struct Means<'a> {
    counters: &'a Counters,
    on_beat: OnBeat<'a>,
    pipes: &'a PipePool,
    /// [`PEER_QUIET_MAX`].
    quiet_max: Duration,
    /// [`CLIENT_STUCK_MAX`].
    stuck_max: Duration,
}

/// Forwards until one side ends or `stop` says so; `stop` is heeded at any time, also while a peer does not read.
/// Dropping the future closes both connections.
pub async fn forward(
    ends: Ends,
    stop: impl Future<Output = Stop>,
    on_beat: OnBeat<'_>,
    counters: &Counters,
) -> End {
    let pipes = PipePool::shared();
    let means = Means { counters, on_beat, pipes, quiet_max: PEER_QUIET_MAX, stuck_max: CLIENT_STUCK_MAX };
    forward_by(means, ends, stop).await
}

async fn forward_by(means: Means<'_>, ends: Ends, stop: impl Future<Output = Stop>) -> End {
    let mut pair = Pair::new(means, ends);
    let mut stop = pin!(stop);
    // The bytes go first, so that at the moment of the stop all that was there has been passed on.
    let stopped = poll_fn(|cx| match pair.poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => stop.as_mut().poll(cx).map(Some),
    })
    .await;
    if let Some(stop) = stopped {
        Box::pin(pair.stop(stop)).await;
    }
    pair.into_end()
}
