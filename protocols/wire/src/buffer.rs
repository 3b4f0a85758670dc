//! The bounded buffer in which unread input waits. The bound is a property of the buffer: a driver asks for
//! [`InputBuffer::room`] before it reads, so no peer can make it grow.

use bytes::Bytes;
use zeroize::Zeroize;

/// The peer sent more than [`InputBuffer::room`] bytes; a bug of the driver, answered by refusing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// A complete line inside the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Content without the line end (LF, or CR LF).
    pub content: &'a [u8],
    /// Bytes to consume, the line end included.
    pub len: usize,
}

/// Input that has arrived and is not yet consumed. Consumed and dropped bytes are wiped, since
/// passwords pass through.
pub struct InputBuffer {
    data: Vec<u8>,
    start: usize,
    limit: usize,
}

impl InputBuffer {
    /// A buffer for at most `limit` unread bytes.
    pub fn new(limit: usize) -> Self {
        Self { data: Vec::new(), start: 0, limit }
    }

    /// Changes the limit. Bytes already held stay, even beyond a smaller limit.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many bytes may be added now.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.len())
    }

    /// True if nothing more fits.
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Unread bytes held.
    pub fn len(&self) -> usize {
        self.data.len().saturating_sub(self.start)
    }

    /// True if no unread byte is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The unread bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or_default()
    }

    /// Adds bytes, all or none.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Overflow> {
        if bytes.len() > self.room() {
            return Err(Overflow);
        }
        self.compact();
        if self.data.capacity() - self.data.len() < bytes.len() {
            self.grow(bytes.len());
        }
        self.data.extend_from_slice(bytes);
        Ok(())
    }

    /// Drops the first `count` unread bytes (at most all of them).
    pub fn consume(&mut self, count: usize) {
        let end = self.start.saturating_add(count).min(self.data.len());
        if let Some(gone) = self.data.get_mut(self.start..end) {
            gone.zeroize();
        }
        self.start = end;
        if self.start == self.data.len() {
            self.data.clear();
            self.start = 0;
        }
    }

    /// The first line, ended by LF or CR LF, if it is complete.
    pub fn line(&self) -> Option<Line<'_>> {
        let held = self.as_slice();
        let end = held.iter().position(|b| *b == b'\n')?;
        let content = held.get(..end)?;
        Some(Line { content: content.strip_suffix(b"\r").unwrap_or(content), len: end + 1 })
    }

    /// Hands out everything unread and leaves the buffer empty.
    pub fn take(&mut self) -> Bytes {
        let unread = Bytes::copy_from_slice(self.as_slice());
        self.consume(unread.len());
        unread
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.data.copy_within(self.start.., 0);
            let len = self.data.len() - self.start;
            if let Some(tail) = self.data.get_mut(len..) {
                tail.zeroize();
            }
            self.data.truncate(len);
            self.start = 0;
        }
    }

    /// Moves to a larger allocation and wipes the old one, which `Vec` growth would not do.
    fn grow(&mut self, extra: usize) {
        let wanted =
            (self.data.len() + extra).next_power_of_two().min(self.limit.max(self.data.len() + extra));
        let mut larger = Vec::with_capacity(wanted);
        larger.extend_from_slice(&self.data);
        self.data.zeroize();
        self.data = larger;
    }
}

impl Drop for InputBuffer {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

impl std::fmt::Debug for InputBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InputBuffer({} of {} bytes)", self.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_lf_or_crlf() {
        let mut buffer = InputBuffer::new(64);
        buffer.extend(b"one\r\ntwo\nrest").unwrap();
        assert_eq!(buffer.line(), Some(Line { content: b"one", len: 5 }));
        buffer.consume(5);
        assert_eq!(buffer.line(), Some(Line { content: b"two", len: 4 }));
        buffer.consume(4);
        assert_eq!(buffer.line(), None);
        assert_eq!(&buffer.take()[..], b"rest");
        assert!(buffer.is_empty());
    }

    #[test]
    fn the_limit_holds() {
        let mut buffer = InputBuffer::new(4);
        assert_eq!(buffer.extend(b"12345"), Err(Overflow));
        buffer.extend(b"1234").unwrap();
        assert!(buffer.is_full());
        buffer.consume(1);
        assert_eq!(buffer.room(), 1);
    }

    #[test]
    fn nothing_is_lost_or_reordered() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(bytes, cuts)| {
            let mut buffer = InputBuffer::new(32);
            let (mut seen, mut rest, mut cuts) = (Vec::new(), bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let n = rest.len().min(buffer.room());
                buffer.extend(&rest[..n]).unwrap();
                rest = &rest[n..];
                let take = usize::from(*cuts.next().unwrap_or(&7)).clamp(1, 32).min(buffer.len());
                seen.extend_from_slice(&buffer.as_slice()[..take]);
                buffer.consume(take);
            }
            seen.extend_from_slice(&buffer.take());
            assert_eq!(&seen, bytes);
        });
    }
}
