//! One direction of a session: from what it still owes the receiver to the end of its source.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{io::AsyncWrite, task::coop::has_budget_remaining};

use super::{
    Means,
    copy::{self, COPY_BYTES_MAX},
    pipe_pool::PIPE_BYTES,
    splice::{self, Spliced},
};
use crate::transport::Transport;

/// Bytes kept for a receiver that does not take them, per direction: one step. What the login left unread is
/// bounded by the dialogues and comes on top once.
pub const HELD_BYTES_MAX: usize = if PIPE_BYTES > COPY_BYTES_MAX { PIPE_BYTES } else { COPY_BYTES_MAX };

/// Steps in a row before other sessions of the thread get their turn: 1 MiB at most.
const STEPS_MAX: usize = 16;

/// Bytes of the first read of a burst when both sides are plain. One read and one write are cheaper than two
/// splices up to about here (measured: 33 against 36 us for a round trip of 200 bytes), and most of what mail
/// clients and backends say is shorter.
pub(super) const FIRST_READ_BYTES: usize = 16 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Read, but not written yet.
    held: Bytes,
    /// The source gives no more.
    source_end: Option<SourceEnd>,
    pace: Pace,
    /// The receiver does not take more at the moment.
    blocked: bool,
    /// The source has nothing more at the moment.
    idle: bool,
    /// The last byte passed on was not a line feed.
    inside_line: bool,
    /// Bytes passed on.
    moved: u64,
    /// Bytes that were read and cannot be passed on any more.
    lost: u64,
}

/// How a source ended.
#[derive(Debug)]
pub(super) struct SourceEnd {
    /// `None`: in order.
    pub(super) error: Option<io::Error>,
}

/// How the next step moves bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Through memory, little at a time.
    #[default]
    Slow,
    /// A lot is coming.
    Fast,
}

/// Why a direction is over.
#[derive(Debug)]
pub(super) enum Over {
    /// The source ended, and all it had sent was passed on.
    SourceEnded,
    /// The receiver takes nothing any more.
    WriteFailed(io::Error),
}

impl Direction {
    /// A direction that owes `unread` to its receiver, which is between lines so far.
    pub(super) fn new(unread: Bytes) -> Self {
        Self { held: unread, ..Self::default() }
    }

    /// Moves bytes until the direction is over or somebody has to be waited for.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        means: Means<'_>,
        from: &mut Transport,
        to: &mut Transport,
    ) -> Poll<Over> {
        for _ in 0..STEPS_MAX {
            self.idle = false;
            let delivered = self.poll_deliver(cx, means, to);
            self.blocked = delivered.is_pending();
            if let Err(error) = ready!(delivered) {
                return self.over(Over::WriteFailed(error));
            }
            if self.source_end.is_some() {
                return self.over(Over::SourceEnded);
            }
            if let Err(error) = ready!(self.poll_step(cx, means, from, to)) {
                return self.over(Over::WriteFailed(error));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Bytes passed on.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes that were read and not passed on.
    pub(super) fn unsent(&self) -> u64 {
        self.held.len() as u64 + self.lost
    }

    /// The receiver does not take more.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// All that the source has sent so far was passed on.
    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }

    /// See [`super::Stop::farewell`].
    pub(super) fn is_at_boundary(&self) -> bool {
        self.idle && !self.inside_line
    }

    /// How the source ended, if it has; what it had sent may still be held.
    pub(super) fn source_end(&mut self) -> Option<&mut SourceEnd> {
        self.source_end.as_mut()
    }

    /// Counts bytes that were written past this direction.
    pub(super) fn count_farewell(&mut self, bytes: usize) {
        self.moved += bytes as u64;
    }

    /// Writes what is held, and hands what TLS keeps to the kernel.
    fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        means: Means<'_>,
        to: &mut Transport,
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.held))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let done = self.held.split_to(count.min(self.held.len()));
            self.copied(means, &done);
        }
        // An empty rest would keep the memory of the whole.
        self.held = Bytes::new();
        Pin::new(to).poll_flush(cx)
    }

    /// One read and as much writing as the receiver allows. An error is the receiver's.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        means: Means<'_>,
        from: &mut Transport,
        to: &mut Transport,
    ) -> Poll<io::Result<()>> {
        let plain = from.as_plain().zip(to.as_plain());
        if let Some((source, receiver)) = plain.filter(|_| self.pace == Pace::Fast) {
            match splice::poll_step(cx, means, source, receiver) {
                Poll::Pending => return self.wait_for_source(),
                Poll::Ready(Spliced::TooLittle) => self.pace = Pace::Slow,
                Poll::Ready(Spliced::NoPipe) => means.counters.count_missing_pipe(),
                Poll::Ready(Spliced::Moved { count, rest }) => {
                    self.spliced(means, count, rest);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Spliced::SourceEnded(end)) => {
                    self.source_end = Some(end);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Spliced::WriteFailed { count, lost, error }) => {
                    self.spliced(means, count, Bytes::new());
                    self.lost += lost as u64;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let little = plain.is_some() && self.pace == Pace::Slow;
        self.poll_copy(cx, means, from, to, if little { FIRST_READ_BYTES } else { COPY_BYTES_MAX })
    }

    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        means: Means<'_>,
        from: &mut Transport,
        to: &mut Transport,
        length: usize,
    ) -> Poll<io::Result<()>> {
        copy::with_scratch(length, |scratch| {
            let Poll::Ready(filled) = copy::poll_fill(cx, from, scratch) else {
                return self.wait_for_source();
            };
            if filled.bytes.len() == length {
                self.pace = Pace::Fast;
            }
            self.source_end = filled.end;
            Poll::Ready(self.write(cx, means, to, filled.bytes))
        })
    }

    /// Writes what the receiver takes now and holds the rest.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        means: Means<'_>,
        to: &mut Transport,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match Pin::new(&mut *to).poll_write(cx, bytes) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => result,
            };
            let count = written.inspect_err(|_| self.lost += bytes.len() as u64)?;
            let (done, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            self.copied(means, done);
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.held = Bytes::copy_from_slice(bytes);
        }
        Ok(())
    }

    fn copied(&mut self, means: Means<'_>, bytes: &[u8]) {
        means.counters.count_copied(bytes.len());
        self.moved += bytes.len() as u64;
        self.inside_line = bytes.last().map_or(self.inside_line, |last| *last != b'\n');
    }

    /// The last byte is not known; at least one more is waiting, so this is not the end of what was said.
    fn spliced(&mut self, means: Means<'_>, count: usize, rest: Bytes) {
        means.counters.count_spliced(count);
        self.moved += count as u64;
        self.inside_line = true;
        self.held = rest;
    }

    fn wait_for_source<T>(&mut self) -> Poll<T> {
        // Without budget the answer was "not now", not "nothing there".
        self.idle = has_budget_remaining();
        Poll::Pending
    }

    fn over(&mut self, over: Over) -> Poll<Over> {
        self.blocked = false;
        Poll::Ready(over)
    }
}
