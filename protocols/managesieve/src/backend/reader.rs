//! Lines from a backend, with the literals that belong to them. Everything is bounded here.

use homing_login::limits::{BACKEND_LINE_BYTES_MAX, BACKEND_LINES_MAX};

/// A line over [`BACKEND_LINE_BYTES_MAX`], its literals included, or more than [`BACKEND_LINES_MAX`] lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Collects one line at a time.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    line: Vec<u8>,
    literal_left: usize,
    quoted: bool,
    escaped: bool,
    lines: usize,
}

impl LineReader {
    /// The next complete line without its line end; advances `input` behind it. `None`: all of `input` is
    /// used and more is needed.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, TooMuch> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            if self.push(*byte)? {
                return Ok(Some(self.take()));
            }
        }
        Ok(None)
    }

    /// Adds one byte; true if it completes the line.
    fn push(&mut self, byte: u8) -> Result<bool, TooMuch> {
        if self.line.len() >= BACKEND_LINE_BYTES_MAX {
            return Err(TooMuch);
        }
        self.line.push(byte);
        if self.literal_left > 0 {
            self.literal_left -= 1;
            return Ok(false);
        }
        if byte != b'\n' {
            self.track_quotes(byte);
            return Ok(false);
        }
        match announced_literal(&self.line).filter(|_| !self.quoted) {
            Some(size) if size > BACKEND_LINE_BYTES_MAX => Err(TooMuch),
            Some(size) => {
                self.literal_left = size;
                Ok(false)
            }
            None => {
                self.lines += 1;
                if self.lines > BACKEND_LINES_MAX { Err(TooMuch) } else { Ok(true) }
            }
        }
    }

    /// A quoted string ends at the line end at the latest.
    fn track_quotes(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.quoted => self.escaped = true,
            b'"' => self.quoted = !self.quoted,
            _ => {}
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        (self.quoted, self.escaped) = (false, false);
        line
    }
}

/// The size in a `{n}` or `{n+}` at the end of a line.
fn announced_literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\n")?;
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let line = line.strip_suffix(b"+").unwrap_or(line);
    let digits = line.get(line.iter().rposition(|b| *b == b'{')? + 1..)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
        let (mut reader, mut lines) = (LineReader::default(), Vec::new());
        for mut segment in input.chunks(step) {
            loop {
                match reader.next(&mut segment) {
                    Ok(Some(line)) => lines.push(line),
                    Ok(None) => break,
                    Err(TooMuch) => return (lines, true),
                }
            }
        }
        (lines, false)
    }

    #[test]
    fn literals_belong_to_their_line() {
        let (lines, _) = read(b"OK {4}\r\na\r\nb\r\n\"x {3}\"\nNO\r\n", 1);
        assert_eq!(lines, [&b"OK {4}\r\na\r\nb"[..], b"\"x {3}\"", b"NO"]);
        assert_eq!(read(b"OK \"a {3}\r\nNO\r\n", 9).0, [&b"OK \"a {3}"[..], b"NO"]);
        assert_eq!(read(b"{0+}\r\n\r\nX\r\n", 9).0, [&b"{0+}\r\n"[..], b"X"]);
    }

    #[test]
    fn everything_is_bounded() {
        let fits = [&b"x".repeat(BACKEND_LINE_BYTES_MAX - 1)[..], b"\n"].concat();
        assert_eq!(read(&fits, 100).0.len(), 1);
        assert!(read(&[b"x", &fits[..]].concat(), 100).1);
        assert!(read(b"OK {4097}\r\n", 1).1);
        assert!(read(b"OK {99999999999999999999999999}\r\nx", 1).0.len() == 1);
        let literal = [&b"OK {4090}\r\n"[..], &b"x".repeat(4090)].concat();
        assert!(read(&literal, 100).1);
        let (lines, ended) = read(&b"X\n".repeat(BACKEND_LINES_MAX + 1), 64);
        assert!(ended && lines.len() == BACKEND_LINES_MAX);
    }

    #[test]
    fn cutting_the_input_changes_nothing() {
        bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(input, step)| {
            assert_eq!(read(input, usize::MAX), read(input, usize::from(*step).max(1)));
        });
    }
}
