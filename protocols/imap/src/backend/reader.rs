//! Lines from a backend, bounded in length and number. Knows nothing about what they say.

use homing_login::limits::{BACKEND_LINE_BYTES_MAX, BACKEND_LINES_MAX};

/// A backend that sends more than it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// A line over [`BACKEND_LINE_BYTES_MAX`], its line end included.
    Line,
    /// More than [`BACKEND_LINES_MAX`] lines.
    Lines,
}

/// Collects one line at a time.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    line: Vec<u8>,
    lines: usize,
}

impl LineReader {
    /// The next complete line without its LF or CR LF; advances `input` behind it. `None`: all of `input` is
    /// used and more is needed.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, TooMuch> {
        let end = input.iter().position(|b| *b == b'\n');
        let count = end.map_or(input.len(), |at| at + 1);
        if self.line.len() + count > BACKEND_LINE_BYTES_MAX {
            return Err(TooMuch::Line);
        }
        let (taken, rest) = input.split_at_checked(count).unwrap_or((*input, &[]));
        self.line.extend_from_slice(taken);
        *input = rest;
        if end.is_none() {
            return Ok(None);
        }
        self.lines += 1;
        if self.lines > BACKEND_LINES_MAX {
            return Err(TooMuch::Lines);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<TooMuch>) {
        let (mut reader, mut lines) = (LineReader::default(), Vec::new());
        for mut segment in input.chunks(step) {
            loop {
                match reader.next(&mut segment) {
                    Ok(Some(line)) => lines.push(line),
                    Ok(None) => break,
                    Err(error) => return (lines, Some(error)),
                }
            }
        }
        (lines, None)
    }

    #[test]
    fn lines_end_in_lf_or_crlf() {
        assert_eq!(read(b"a\r\n\nb\n\rc\r\r\nrest", 1).0, [&b"a"[..], b"", b"b", b"\rc\r"]);
    }

    #[test]
    fn everything_is_bounded() {
        let fits = [&b"x".repeat(BACKEND_LINE_BYTES_MAX - 1)[..], b"\n"].concat();
        for step in [1, 100, usize::MAX] {
            assert_eq!(read(&fits, step).0.len(), 1);
            assert_eq!(read(&[b"x", &fits[..]].concat(), step).1, Some(TooMuch::Line));
            assert_eq!(read(&b"x".repeat(BACKEND_LINE_BYTES_MAX + 1), step).1, Some(TooMuch::Line));
            let (lines, error) = read(&b"X\n".repeat(BACKEND_LINES_MAX + 1), step);
            assert_eq!((lines.len(), error), (BACKEND_LINES_MAX, Some(TooMuch::Lines)));
        }
    }

    #[test]
    fn cutting_the_input_changes_nothing() {
        bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(input, step)| {
            assert_eq!(read(input, usize::MAX), read(input, usize::from(*step).max(1)));
        });
    }
}
