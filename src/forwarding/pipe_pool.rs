//! Pipes for `splice`, lent for one step: filled from a socket and emptied again before anybody waits. So a
//! thread holds one pipe at most, and a session none.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rustix::{
    io::retry_on_intr,
    pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with},
};

/// Bytes that fit into a pipe. The kernel's own default; larger ones gain little (measured) and run into the
/// kernel's limit per user.
pub(super) const PIPE_BYTES: usize = 64 * 1024;

/// Pipes in existence, lent or waiting (two descriptors each). There is no use for more than one per thread of the
/// runtime; the kernel gives a user without privileges 1024 of full size. Threads that find none copy.
pub const PIPES_MAX: usize = 64;

/// Pipes that wait to be used.
pub(super) struct PipePool {
    pipes_max: usize,
    shelf: Mutex<Shelf>,
    made: AtomicU64,
}

#[derive(Default)]
struct Shelf {
    waiting: Vec<Pipe>,
    lent: usize,
}

struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// A pipe on loan. Empty when lent; goes back on drop if it is empty then, else it is closed: what is left in it
/// belongs to one session.
pub(super) struct Lent<'a> {
    pool: &'a PipePool,
    pipe: Option<Pipe>,
    holds: usize,
}

static POOL: PipePool = PipePool::new(PIPES_MAX);

impl PipePool {
    pub(super) const fn new(pipes_max: usize) -> Self {
        let shelf = Mutex::new(Shelf { waiting: Vec::new(), lent: 0 });
        Self { pipes_max, shelf, made: AtomicU64::new(0) }
    }

    /// The program's pool.
    pub(super) fn shared() -> &'static Self {
        &POOL
    }

    /// An empty pipe of [`PIPE_BYTES`]; `None` if the pool's limit, or a limit of the system, is reached.
    pub(super) fn lend(&self) -> Option<Lent<'_>> {
        let waiting = {
            let mut shelf = self.lock();
            if shelf.lent >= self.pipes_max {
                return None;
            }
            shelf.lent += 1;
            shelf.waiting.pop()
        };
        let mut lent = Lent { pool: self, pipe: waiting, holds: 0 };
        if lent.pipe.is_none() {
            // On failure, dropping the empty loan takes it off the count.
            lent.pipe = Some(Pipe::make()?);
            self.made.fetch_add(1, Relaxed);
        }
        Some(lent)
    }

    /// Pipes that wait to be used, and pipes on loan.
    pub(super) fn state(&self) -> (usize, usize) {
        let shelf = self.lock();
        (shelf.waiting.len(), shelf.lent)
    }

    #[cfg(test)]
    pub(super) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    /// `None` if the system gives none, or only a small one: beyond the limit per user pipes silently shrink.
    fn make() -> Option<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let size = fcntl_getpipe_size(&writer).ok()?;
        if size < PIPE_BYTES {
            fcntl_setpipe_size(&writer, PIPE_BYTES).ok()?;
        }
        Some(Self { reader, writer })
    }
}

impl Lent<'_> {
    /// Bytes inside.
    pub(super) fn holds(&self) -> usize {
        self.holds
    }

    /// Moves up to `length` bytes from a socket into the pipe, which must be empty. 0: the socket is at its end.
    pub(super) fn fill(&mut self, socket: impl AsFd, length: usize) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Err(io::ErrorKind::NotConnected.into()) };
        let count = splice(&socket, &pipe.writer, length.min(PIPE_BYTES))?;
        self.holds += count;
        Ok(count)
    }

    /// Moves bytes from the pipe into a socket, as many as it takes.
    pub(super) fn empty(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Err(io::ErrorKind::NotConnected.into()) };
        let count = splice(&pipe.reader, &socket, self.holds)?;
        self.holds = self.holds.saturating_sub(count);
        Ok(count)
    }

    /// Takes everything out into memory.
    pub(super) fn take_out(&mut self) -> io::Result<Bytes> {
        let Some(pipe) = &self.pipe else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut bytes = vec![0; self.holds];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let count = retry_on_intr(|| rustix::io::read(&pipe.reader, &mut *rest))?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
        }
        self.holds = 0;
        Ok(bytes.into())
    }
}

fn splice(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(retry_on_intr(|| rustix::pipe::splice(&from, None, &to, None, length, flags))?)
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut shelf = self.pool.lock();
        shelf.lent = shelf.lent.saturating_sub(1);
        if let Some(pipe) = self.pipe.take()
            && self.holds == 0
        {
            shelf.waiting.push(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn pipes_come_back_and_the_limit_holds() {
        let pool = PipePool::new(2);
        let (first, second) = (pool.lend().unwrap(), pool.lend().unwrap());
        assert!(pool.lend().is_none());
        drop((first, second));
        assert_eq!((pool.state(), pool.made()), ((2, 0), 2));
        drop(pool.lend().unwrap());
        assert_eq!((pool.state(), pool.made()), ((2, 0), 2), "the same pipe again");
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_closed() {
        let pool = PipePool::new(1);
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"somebody's mail").unwrap();
        let mut lent = pool.lend().unwrap();
        assert_eq!(lent.fill(&far, 100).unwrap(), 15);
        drop(lent);
        assert_eq!(pool.state(), (0, 0));
        assert_eq!(pool.lend().unwrap().holds(), 0);
        assert_eq!(pool.made(), 2);
    }

    #[test]
    fn what_is_taken_out_is_what_went_in() {
        let pool = PipePool::new(1);
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"abc").unwrap();
        let mut lent = pool.lend().unwrap();
        lent.fill(&far, 100).unwrap();
        assert_eq!(lent.take_out().unwrap(), "abc");
        drop(lent);
        assert_eq!(pool.state(), (1, 0));
    }

    #[test]
    fn an_error_leaves_the_bytes_countable() {
        let pool = PipePool::new(1);
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"abc").unwrap();
        let mut lent = pool.lend().unwrap();
        lent.fill(&far, 100).unwrap();
        drop(near);
        assert_eq!(lent.empty(&far).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(lent.holds(), 3);
    }
}
