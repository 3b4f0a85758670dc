//! Moving bytes inside the kernel, from socket to pipe to socket.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{io::Interest, net::TcpStream};

use super::{
    Means,
    direction::{FIRST_READ_BYTES, SourceEnd},
    pipe_pool::{Lent, PIPE_BYTES},
};

/// What one step did.
pub(super) enum Spliced {
    /// Not enough is waiting to be worth it.
    TooLittle,
    /// No pipe is to be had.
    NoPipe,
    /// `count` bytes are at the receiver. It takes no more now, so the rest was taken out of the pipe.
    Moved { count: usize, rest: Bytes },
    /// The source ended; nothing was moved.
    SourceEnded(SourceEnd),
    /// The receiver broke after `count` bytes; `lost` bytes cannot be passed on.
    WriteFailed { count: usize, lost: usize, error: io::Error },
}

/// One step: fill a pipe, empty it. Waits for nothing but the source.
///
/// The last byte that is waiting is never taken: it goes through memory with the next step, so that the end of
/// what a peer said has been seen.
pub(super) fn poll_step(
    cx: &mut Context<'_>,
    means: Means<'_>,
    source: &TcpStream,
    receiver: &TcpStream,
) -> Poll<Spliced> {
    if let Err(error) = ready!(source.poll_read_ready(cx)) {
        return Poll::Ready(Spliced::SourceEnded(SourceEnd { error: Some(error) }));
    }
    let waiting = rustix::io::ioctl_fionread(source).unwrap_or_default();
    let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
    if waiting <= FIRST_READ_BYTES {
        return Poll::Ready(Spliced::TooLittle);
    }
    let Some(mut pipe) = means.pipes.lend() else { return Poll::Ready(Spliced::NoPipe) };
    let length = PIPE_BYTES.min(waiting - 1);
    Poll::Ready(match source.try_io(Interest::READABLE, || pipe.fill(source, length)) {
        Ok(0) => Spliced::SourceEnded(SourceEnd { error: None }),
        Ok(_) => empty(&mut pipe, receiver),
        // The copy finds out what is wrong with the source, and waits if need be.
        Err(_) => Spliced::TooLittle,
    })
}

/// Brings what the pipe holds to the receiver, or out of the pipe.
fn empty(pipe: &mut Lent<'_>, receiver: &TcpStream) -> Spliced {
    let mut count = 0;
    while pipe.holds() > 0 {
        match receiver.try_io(Interest::WRITABLE, || pipe.empty(receiver)) {
            Ok(0) => return failed(pipe, count, io::ErrorKind::WriteZero.into()),
            Ok(moved) => count += moved,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return match pipe.take_out() {
                    Ok(rest) => Spliced::Moved { count, rest },
                    Err(error) => failed(pipe, count, error),
                };
            }
            Err(error) => return failed(pipe, count, error),
        }
    }
    Spliced::Moved { count, rest: Bytes::new() }
}

fn failed(pipe: &Lent<'_>, count: usize, error: io::Error) -> Spliced {
    Spliced::WriteFailed { count, lost: pipe.holds(), error }
}
