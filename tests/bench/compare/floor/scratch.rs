//! What a thread has once and lends for a moment: a buffer, and pipes while bytes flow.

use std::{cell::RefCell, io, os::fd::OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes of the buffer.
pub const BUFFER: usize = 64 * 1024;
/// Bytes of a pipe.
pub const PIPE: usize = 256 * 1024;

/// A pipe: reading end, writing end.
pub type Pipe = (OwnedFd, OwnedFd);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer for a piece of work that does not wait.
pub fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|buffer| work(buffer))
}

/// An empty pipe.
pub fn take_pipe() -> io::Result<Pipe> {
    if let Some(pipe) = PIPES.with_borrow_mut(Vec::pop) {
        return Ok(pipe);
    }
    let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // A smaller one does, too.
    let _ = fcntl_setpipe_size(&pipe.1, PIPE);
    Ok(pipe)
}

/// Gives an empty pipe back.
pub fn give_pipe(pipe: Pipe) {
    PIPES.with_borrow_mut(|pipes| pipes.push(pipe));
}
