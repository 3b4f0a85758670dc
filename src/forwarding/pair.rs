//! The two directions of a session together, and how it ends.
//!
//! The reference closes both sides at the first end (spec/login-proxy.md 9.2). This is kinder, in bounded time:
//!
//! - The client ended: the backend gets all of it, then FIN. Replies in flight still reach the client, until the
//!   backend ends, too, or is quiet for [`PEER_QUIET_MAX`].
//! - The client broke: nothing can reach it; the backend gets all that was read, and the session is over.
//! - The backend ended or broke: the client gets all of it, however slowly it reads. What the client had sent by
//!   then still goes to the backend, for [`PEER_QUIET_MAX`] at most. The client is not told (FIN): the caller may
//!   want to let clients go one after the other (9.4).
//! - The client takes nothing of what it is owed, for [`CLIENT_STUCK_MAX`]: the session is over. Only reading could
//!   tell whether the backend is still there, and nothing is read while something is held.
//! - Writing to a side failed: that side may have spoken before it closed; this is still passed on.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::Sleep,
};

use super::{
    Beat, End, EndedBy, Ends, Means, Stop,
    counters::Live,
    direction::{Direction, Over},
};
use crate::transport::Transport;

/// How long the rest of a session, one side of which has ended, may be quiet before it is given up. Servers that
/// see the end of their input finish the commands they have, which for a search in a large mailbox takes a while.
pub const PEER_QUIET_MAX: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what it is owed. A kernel buffer of some megabytes asks for more only when a
/// third of it is free, which takes a slow connection minutes; a machine that is gone is noticed by the kernel
/// sooner. Without the limit a program that never reads would keep its session, and its user's place, for ever.
pub const CLIENT_STUCK_MAX: Duration = Duration::from_secs(15 * 60);

/// How long a client may take for the last words. It was reading a moment ago, and they are short.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// A session's two sides and two directions.
pub(super) struct Pair<'a> {
    means: Means<'a>,
    client: Transport,
    backend: Transport,
    /// Client to backend.
    up: Direction,
    up_stage: Stage,
    /// Backend to client.
    down: Direction,
    down_stage: Stage,
    /// Who was first to end.
    by: Option<EndedBy>,
    error: Option<io::Error>,
    /// Nothing can reach the client.
    client_broke: bool,
    last_moved: Instant,
    /// Ends what is left of a session, with the limit it was set for. Boxed, since most of their lives sessions need
    /// none.
    patience: Option<(Pin<Box<Sleep>>, Duration)>,
    _live: Live<'a>,
}

/// Where a direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its source may have more.
    Moving,
    /// The receiver is being told that no more comes.
    Closing,
    /// Nothing is left to do.
    Done,
}

impl<'a> Pair<'a> {
    pub(super) fn new(means: Means<'a>, ends: Ends) -> Self {
        let Ends { client, to_backend, backend, to_client } = ends;
        for side in [&client, &backend] {
            // What we write is as complete as it came. A socket that refuses the option fails on its first read,
            // which reports better.
            let _ = side.socket().set_nodelay(true);
        }
        let (last_moved, client_waits) = (Instant::now(), !to_backend.is_empty() || !to_client.is_empty());
        (means.on_beat)(Beat { at: last_moved, client_waits });
        Self {
            means,
            client,
            backend,
            up: Direction::new(to_backend),
            up_stage: Stage::Moving,
            down: Direction::new(to_client),
            down_stage: Stage::Moving,
            by: None,
            error: None,
            client_broke: false,
            last_moved,
            patience: None,
            _live: means.counters.enter(),
        }
    }

    /// Moves bytes; ready when the session is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (up, down) = (self.up.moved(), self.down.moved());
        self.poll_up(cx);
        self.poll_down(cx);
        let client_spoke = self.up.moved() != up;
        if client_spoke || self.down.moved() != down {
            self.last_moved = Instant::now();
            let client_waits = client_spoke || !self.down.is_at_boundary();
            (self.means.on_beat)(Beat { at: self.last_moved, client_waits });
        }
        if self.is_over() { Poll::Ready(()) } else { self.poll_patience(cx) }
    }

    /// Ends the session from our side: last words if this is the moment for them.
    pub(super) async fn stop(&mut self, stop: Stop) {
        self.by = Some(EndedBy::Stopped);
        self.error = None;
        let at_boundary = self.is_at_boundary();
        let Some(farewell) = stop.farewell.filter(|_| at_boundary) else { return };
        let say = async {
            self.client.write_all(&farewell).await?;
            self.client.flush().await
        };
        if let Ok(Ok(())) = tokio::time::timeout(FAREWELL_TIME_MAX, say).await {
            self.down.count_farewell(farewell.len());
        }
    }

    pub(super) fn into_end(mut self) -> End {
        if self.up_stage == Stage::Moving {
            // As far as it goes without waiting: `close_notify` is short, and a backend that does not read will not
            // miss it.
            let _ = Pin::new(&mut self.backend).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        End {
            by: self.by.unwrap_or(EndedBy::Stopped),
            idle: self.last_moved.elapsed(),
            bytes_in: self.up.moved(),
            bytes_out: self.down.moved(),
            unsent_out: self.down.unsent(),
            client_blocked: self.down.is_blocked(),
            server_blocked: self.up.is_blocked(),
            error: self.error,
            client: (!self.client_broke).then_some(self.client),
            backend: self.down.source_end().is_none().then_some(self.backend),
        }
    }

    /// See [`Stop::farewell`]. The runtime may not know yet what the kernel has, so the kernel is asked.
    fn is_at_boundary(&self) -> bool {
        let waiting = || rustix::io::ioctl_fionread(self.backend.socket());
        self.down_stage == Stage::Moving
            && self.down.is_at_boundary()
            && waiting().is_ok_and(|count| count == 0)
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) {
        if self.up_stage == Stage::Moving {
            let over = self.up.poll(cx, self.means, &mut self.client, &mut self.backend);
            if let Some(end) = self.up.source_end() {
                let error = end.error.take();
                self.client_broke |= error.is_some();
                self.ended(EndedBy::Client, error.map(|e| named("read", &e)));
            }
            match over {
                Poll::Pending => return,
                Poll::Ready(Over::SourceEnded) => self.up_stage = Stage::Closing,
                Poll::Ready(Over::WriteFailed(error)) => {
                    self.ended(EndedBy::Server, Some(named("write", &error)));
                    self.up_stage = Stage::Done;
                }
            }
        }
        if self.up_stage == Stage::Closing && Pin::new(&mut self.backend).poll_shutdown(cx).is_ready() {
            // If it failed the backend is gone, which reading from it tells.
            self.up_stage = Stage::Done;
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) {
        if self.down_stage != Stage::Moving {
            return;
        }
        let over = self.down.poll(cx, self.means, &mut self.backend, &mut self.client);
        if let Some(end) = self.down.source_end() {
            let error = end.error.take();
            self.ended(EndedBy::Server, error.map(|e| named("read", &e)));
        }
        match over {
            Poll::Pending => return,
            Poll::Ready(Over::SourceEnded) => {}
            Poll::Ready(Over::WriteFailed(error)) => {
                self.client_broke = true;
                self.ended(EndedBy::Client, Some(named("write", &error)));
            }
        }
        self.down_stage = Stage::Done;
    }

    /// The first end is the one that is reported.
    fn ended(&mut self, by: EndedBy, error: Option<io::Error>) {
        if self.by.is_none() {
            self.by = Some(by);
            self.error = error;
        }
    }

    fn is_over(&mut self) -> bool {
        let backend_ended = self.down.source_end().is_some();
        match (self.up_stage, self.down_stage) {
            (Stage::Done, Stage::Done) => true,
            (Stage::Done, _) => self.client_broke,
            (Stage::Moving, Stage::Done) => backend_ended && self.up.is_idle(),
            _ => false,
        }
    }

    /// Ready when the session, or what is left of it, has been quiet for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let down_done = self.down_stage == Stage::Done;
        let client_ended = self.up_stage != Stage::Moving || self.up.source_end().is_some();
        let quiet_max = match self.down.is_blocked() {
            true => self.means.stuck_max,
            false if client_ended || down_done => self.means.quiet_max,
            // A timer that was needed before may be needed again.
            false => return Poll::Pending,
        };
        if self.patience.as_ref().is_none_or(|(_, max)| *max != quiet_max) {
            self.patience = Some((Box::pin(tokio::time::sleep(quiet_max)), quiet_max));
        }
        while let Some((patience, _)) = &mut self.patience {
            ready!(patience.as_mut().poll(cx));
            // A backend that has ended is not waited for any longer, whatever the client still sends.
            if down_done || self.last_moved.elapsed() >= quiet_max {
                break;
            }
            let deadline = self.last_moved + quiet_max;
            patience.as_mut().reset(deadline.into());
        }
        self.ended(EndedBy::Client, Some(named("write", &io::ErrorKind::TimedOut.into())));
        Poll::Ready(())
    }
}

/// The error with the operation in front, as the log shows it.
fn named(operation: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{operation} failed: {error}"))
}
