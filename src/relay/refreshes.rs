//! Reports that sessions live: one escaped user name a line (spec/director.md 5.5). Unlike the reference we undo the
//! escaping (W38), and the director cuts the name as it does at login (W3).

use homing_login::UserName;
use homing_wire::{InputBuffer, tab};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ended::{Ended, Side};
use crate::director::Director;

/// One report, in bytes. The reference's limit; login processes write one report at once, which must fit into the
/// 4096 bytes that a fifo takes whole.
const LINE_BYTES_MAX: usize = 1024;

/// Reads reports until the writers end.
pub(super) async fn read(mut from: impl AsyncRead + Unpin, director: &Director) -> Ended {
    let mut reports = Reports { input: InputBuffer::new(LINE_BYTES_MAX), skipping: false, told: false };
    let mut chunk = [0; LINE_BYTES_MAX];
    loop {
        let room = reports.input.room();
        match from.read(chunk.get_mut(..room).unwrap_or_default()).await {
            Ok(0) => return Ended::eof_of(Side::Client),
            Ok(count) => {
                let names = reports.received(chunk.get(..count).unwrap_or_default());
                names.iter().for_each(|name| director.refresh_foreign(name));
            }
            Err(error) => return Ended::error_of(Side::Client, error),
        }
    }
}

struct Reports {
    input: InputBuffer,
    /// Within a line that is too long.
    skipping: bool,
    /// Too long lines have been told of: anybody may write to the fifo, and would fill the log.
    told: bool,
}

impl Reports {
    fn received(&mut self, bytes: &[u8]) -> Vec<UserName> {
        let mut names = Vec::new();
        // Never more than there is room for.
        let _ = self.input.extend(bytes);
        while let Some(end) = self.input.as_slice().iter().position(|b| *b == b'\n') {
            let line = self.input.as_slice().get(..end).unwrap_or_default();
            if !std::mem::take(&mut self.skipping) && !line.is_empty() {
                names.push(UserName::from(&*tab::unescape(line)));
            }
            self.input.consume(end + 1);
        }
        if self.input.is_full() {
            if !std::mem::replace(&mut self.told, true) {
                tracing::warn!(target: "homing::relay", "notify: line too long, ignored; further ones are ignored silently");
            }
            self.skipping = true;
            self.input.consume(LINE_BYTES_MAX);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names out of the parts, each read in pieces of at most `piece` bytes and as far as there is room.
    fn names(parts: &[&[u8]], piece: usize) -> Vec<String> {
        let mut reports = Reports { input: InputBuffer::new(LINE_BYTES_MAX), skipping: false, told: false };
        let (all, mut names) = (parts.concat(), Vec::new());
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(piece.min(rest.len()).min(reports.input.room()));
            names.extend(reports.received(now));
            rest = later;
        }
        names.iter().map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn reports_are_names_one_a_line() {
        for piece in [1, 3, LINE_BYTES_MAX] {
            assert_eq!(names(&[b"foo\nbar\x01tx\n\ncut"], piece), ["foo", "bar\tx"]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let long = [b'x'; LINE_BYTES_MAX - 1];
        assert_eq!(names(&[&long, b"\nfoo\n"], 7).len(), 2, "the longest one");
        for more in [1, 2, 600, LINE_BYTES_MAX, 5 * LINE_BYTES_MAX] {
            for piece in [1, 500, LINE_BYTES_MAX] {
                let parts: [&[u8]; 3] = [&long, &vec![b'y'; more], b"\nfoo\n"];
                assert_eq!(names(&parts, piece), ["foo"], "{more} more");
            }
        }
    }
}
