//! Moving bytes through memory: one buffer per thread, used within a single step.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::direction::SourceEnd;
use crate::transport::Transport;

/// Bytes of the largest copy. Reading 64 KiB instead of 8 KiB saves a third of the CPU time of large transfers
/// (measured, TLS towards the client); more than this gains nothing.
pub(super) const COPY_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What one read gave.
pub(super) struct Filled<'a> {
    /// Empty only at the end.
    pub(super) bytes: &'a [u8],
    pub(super) end: Option<SourceEnd>,
}

/// Lends the thread's buffer, `length` bytes of it.
pub(super) fn with_scratch<T>(length: usize, act: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0);
        }
        act(scratch.get_mut(..length).unwrap_or_default())
    })
}

/// Reads what is there, up to the size of the buffer. TLS gives one record at a time, so it is asked until it has
/// no more.
pub(super) fn poll_fill<'a>(
    cx: &mut Context<'_>,
    from: &mut Transport,
    buffer: &'a mut [u8],
) -> Poll<Filled<'a>> {
    let by_record = from.as_plain().is_none();
    let mut space = ReadBuf::new(&mut *buffer);
    let mut end = None;
    loop {
        let before = space.filled().len();
        match Pin::new(&mut *from).poll_read(cx, &mut space) {
            Poll::Pending if before == 0 => return Poll::Pending,
            Poll::Pending => break,
            Poll::Ready(result) => end = end_of(result.map(|()| space.filled().len() - before)),
        }
        if end.is_some() || !by_record || space.remaining() == 0 {
            break;
        }
    }
    let count = space.filled().len();
    Poll::Ready(Filled { bytes: buffer.get(..count).unwrap_or_default(), end })
}

/// `None` if there is more to come.
fn end_of(read: io::Result<usize>) -> Option<SourceEnd> {
    match read {
        Ok(0) => Some(SourceEnd { error: None }),
        Ok(_) => None,
        Err(error) => Some(SourceEnd { error: Some(error) }),
    }
}
