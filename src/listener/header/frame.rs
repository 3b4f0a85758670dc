//! Where a header ends, found before it is understood. All limits on headers are here.

use super::Refusal;

/// Longest header, in bytes; the reference's. A header with TLS version, cipher and names has about 200.
pub(super) const BYTES_MAX: usize = 1500;
/// Longest version 1 line with its CRLF, in bytes: `proxy-protocol.txt` 2.1 has 107 and a NUL, which the
/// reference reads as 108.
const V1_BYTES_MAX: usize = 108;

/// How version 1 begins.
pub(super) const V1_START: &[u8] = b"PROXY ";
/// How version 2 begins.
pub(super) const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Length of the header that starts with `seen`, at most [`BYTES_MAX`]; `None` if more must be seen to tell.
/// Refuses as soon as `seen` cannot become a header.
pub(super) fn length(seen: &[u8]) -> Result<Option<usize>, Refusal> {
    if agrees(seen, V1_START) {
        v1_length(seen)
    } else if agrees(seen, V2_START) {
        v2_length(seen)
    } else {
        Err(Refusal::NoHeader)
    }
}

fn agrees(seen: &[u8], start: &[u8]) -> bool {
    seen.iter().zip(start).all(|(a, b)| a == b)
}

fn v1_length(seen: &[u8]) -> Result<Option<usize>, Refusal> {
    let line = seen.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    if line.len() > V1_BYTES_MAX || (line.len() == V1_BYTES_MAX && !line.ends_with(b"\n")) {
        Err(Refusal::TooLong)
    } else if line.ends_with(b"\r\n") {
        Ok(Some(line.len()))
    } else if line.ends_with(b"\n") {
        Err(Refusal::NoHeader)
    } else {
        Ok(None)
    }
}

fn v2_length(seen: &[u8]) -> Result<Option<usize>, Refusal> {
    let fixed = seen.get(V2_START.len()..).unwrap_or_default();
    match *fixed {
        [version, ..] if version >> 4 != 2 => Err(Refusal::Version(version >> 4)),
        [_, _, high, low, ..] => {
            let length = V2_START.len() + 4 + usize::from(u16::from_be_bytes([high, low]));
            if length > BYTES_MAX { Err(Refusal::TooLong) } else { Ok(Some(length)) }
        }
        _ => Ok(None),
    }
}
