//! Lines with checksums: `SEAL BODY`, where the seal is the CRC-32 of the seal before and of the body, in hexadecimal.
//! A line that is missing, doubled, moved or damaged is noticed at the next one. It knows nothing of bodies.

use std::io::{self, BufRead, Read, Write};

/// A line, its LF included. The longest has a tag and a host name from the configuration.
pub(super) const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Hexadecimal digits and the space.
const SEAL_BYTES: usize = 9;

/// The checksum so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seal(u32);

impl Seal {
    /// Appends a line. The body has no LF.
    pub(super) fn write(&mut self, body: &[u8], out: &mut Vec<u8>) {
        *self = self.over(body);
        // Memory takes everything.
        let _ = write!(out, "{:08x} ", self.0);
        out.extend_from_slice(body);
        out.push(b'\n');
    }

    fn over(self, body: &[u8]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.0.to_le_bytes());
        crc.update(body);
        Self(crc.finalize())
    }
}

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// As it was written.
    Whole(&'a [u8]),
    /// Not, or not at this place.
    Broken,
    /// The end.
    End,
}

/// Reads lines. There may be millions, so their memory is used again.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The checksum of the last line, as written there.
    before: Option<Seal>,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), before: Some(Seal::default()), bytes: 0 }
    }

    /// How many bytes the lines so far had.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line. Behind a broken one, lines can be whole again.
    pub(super) fn next(&mut self) -> io::Result<Line<'_>> {
        self.line.clear();
        let count = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        self.bytes += count as u64;
        if count == 0 {
            return Ok(Line::End);
        }
        let written = seal_of(&self.line);
        let before = std::mem::replace(&mut self.before, written);
        let body = self.line.strip_suffix(b"\n").and_then(|line| line.get(SEAL_BYTES..));
        Ok(match (before, written, body) {
            (Some(before), Some(written), Some(body)) if before.over(body) == written => Line::Whole(body),
            _ => Line::Broken,
        })
    }
}

fn seal_of(line: &[u8]) -> Option<Seal> {
    let (digits, _) = line.split_at_checked(SEAL_BYTES)?;
    let digits = std::str::from_utf8(digits).ok()?.strip_suffix(' ')?;
    let is_ours = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    u32::from_str_radix(digits, 16).ok().filter(|_| is_ours).map(Seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies; `None` for broken lines.
    fn lines(text: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(text);
        let mut found = Vec::new();
        loop {
            match lines.next().unwrap() {
                Line::End => return found,
                Line::Broken => found.push(None),
                Line::Whole(body) => found.push(Some(body.to_vec())),
            }
        }
    }

    #[test]
    fn every_change_of_a_byte_is_noticed() {
        let (mut seal, mut text) = (Seal::default(), Vec::new());
        let bodies = [&b"one"[..], b"", b"two"];
        bodies.iter().for_each(|body| seal.write(body, &mut text));
        let whole: Vec<_> = bodies.iter().map(|body| Some(body.to_vec())).collect();
        assert_eq!(lines(&text), whole);
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(lines(&other).contains(&None), "byte {at}");
        }
        let without_second: Vec<_> = text
            .split_inclusive(|b| *b == b'\n')
            .enumerate()
            .filter(|(n, _)| *n != 1)
            .flat_map(|(_, line)| line.to_vec())
            .collect();
        assert_eq!(lines(&without_second), [Some(b"one".to_vec()), None]);
    }
}
