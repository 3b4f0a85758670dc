//! Bounded lines: the framing below every protocol of this crate. Knows no fields.

use homing_wire::InputBuffer;
use thiserror::Error;

/// A line of a director admin client, its LF included. The reference closes the connection beyond it
/// (spec/director.md 6.1); no command needs more.
pub const ADMIN_LINE_BYTES_MAX: usize = 1024;

/// A line that an admin server answers, its LF included. The longest known row is a host with a tag of an
/// [`ADMIN_LINE_BYTES_MAX`] line; the rest is for texts.
pub const ANSWER_LINE_BYTES_MAX: usize = 16 * 1024;

/// A line of the ipc protocol, its LF included. The reference has no limit; `proxy kick` names all its users in
/// one line, so this is about a thousand of them.
pub const IPC_LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that wait to be sent, beyond which a machine takes no further row and gives out no further request. Small
/// enough for many admin connections, large enough for full segments.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The peer sent a line over the limit of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line of more than {0} bytes")]
pub struct LineTooLong(pub usize);

/// Input cut into lines; lines that are not asked for yet stay, up to the limit.
#[derive(Debug)]
pub(crate) struct Lines {
    input: InputBuffer,
    limit: usize,
    overflown: bool,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { input: InputBuffer::new(limit), limit, overflown: false }
    }

    pub(crate) fn room(&self) -> usize {
        self.input.room()
    }

    /// Takes at most [`Lines::room`] bytes; more is as good as a line that is too long.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.overflown |= self.input.extend(bytes).is_err();
    }

    /// The next line without its line end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        if self.overflown {
            return Err(LineTooLong(self.limit));
        }
        let Some(line) = self.input.line() else {
            return if self.input.is_full() { Err(LineTooLong(self.limit)) } else { Ok(None) };
        };
        let (content, len) = (line.content.to_vec(), line.len);
        self.input.consume(len);
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_end_counts_for_the_limit() {
        let mut lines = Lines::new(4);
        lines.extend(b"abc\n");
        assert_eq!(lines.next(), Ok(Some(b"abc".to_vec())));
        assert_eq!(lines.next(), Ok(None));
        lines.extend(b"abcd");
        assert_eq!((lines.room(), lines.next()), (0, Err(LineTooLong(4))));
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let mut lines = Lines::new(4);
        lines.extend(b"a\nb\nc");
        assert_eq!(lines.next(), Err(LineTooLong(4)));
    }
}
