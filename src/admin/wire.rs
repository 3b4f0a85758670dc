//! The bytes of one connection, with limits on time. Knows no protocol.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::Limits;
use crate::sockets::Stream;

/// Most bytes read at once.
const READ_BYTES_MAX: usize = 4096;

/// One connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    limits: Limits,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, limits: Limits) -> Self {
        Self { stream, buffer: Vec::new(), limits }
    }

    /// Sends, if there is something.
    pub(super) async fn send(&mut self, bytes: Option<Vec<u8>>) -> io::Result<()> {
        let Some(bytes) = bytes else { return Ok(()) };
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            let sent = timeout(self.limits.send, self.stream.write(left)).await??;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left = left.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    /// What the client sends next, at most `room` bytes; nothing when it has closed.
    pub(super) async fn receive(&mut self, room: usize) -> io::Result<&[u8]> {
        self.buffer.resize(room.min(READ_BYTES_MAX), 0);
        let count = timeout(self.limits.idle, self.stream.read(&mut self.buffer)).await??;
        Ok(self.buffer.get(..count).unwrap_or_default())
    }
}
