//! What a thread has once and lends for a moment: buffers, and pipes while bytes flow.

use std::{cell::RefCell, io, os::fd::OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Bytes read at once.
pub const BUFFER: usize = 64 * 1024;
/// Bytes of a pipe.
pub const PIPE: usize = 256 * 1024;

/// A pipe: reading end, writing end.
pub type Pipe = (OwnedFd, OwnedFd);

/// What a full buffer may grow to when it is encrypted: a header and a tag for each 16 KiB, and room for a record.
const ENCRYPTED: usize = BUFFER + 1024;

thread_local! {
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((vec![0; ENCRYPTED], vec![0; ENCRYPTED]));
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer for a piece of work that does not wait.
pub fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    with_two_buffers(|buffer, _| work(buffer))
}

/// Lends two buffers for a piece of work that does not wait.
pub fn with_two_buffers<T>(work: impl FnOnce(&mut [u8], &mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|(one, other)| work(one, other))
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
