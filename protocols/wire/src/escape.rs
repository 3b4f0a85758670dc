//! Making bytes from a peer fit for a log line.

use std::fmt::Write as _;

/// Longest value written to a log line, in bytes before escaping; the rest is cut with `...`.
const LOG_VALUE_BYTES_MAX: usize = 512;

/// Renders peer-controlled bytes for one log line: valid UTF-8 text is kept; control characters, `<`, `>`
/// and bytes that are not UTF-8 become `?`-free hex escapes `\xNN`, so that a value can neither end
/// the line nor imitate a following `key=<value>` element.
pub fn printable(bytes: &[u8]) -> String {
    let cut = bytes.len() > LOG_VALUE_BYTES_MAX;
    let bytes = bytes.get(..LOG_VALUE_BYTES_MAX).unwrap_or(bytes);
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            push_hex(&mut out, *byte);
        }
    }
    if cut {
        out.push_str("...");
    }
    out
}

fn push_char(out: &mut String, c: char) {
    if c.is_control() || is_invisible(c) || matches!(c, '<' | '>') {
        let mut utf8 = [0; 4];
        for byte in c.encode_utf8(&mut utf8).bytes() {
            push_hex(out, byte);
        }
    } else {
        out.push(c);
    }
}

/// Line breaks of Unicode, and what changes the direction of the text around it: a reader would see another line than
/// the one that was written.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn push_hex(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_stay_on_their_line() {
        assert_eq!(printable("jürgen".as_bytes()), "jürgen");
        assert_eq!(printable(b"a\r\nb>, rip=1"), "a\\x0d\\x0ab\\x3e, rip=1");
        assert_eq!(printable("a\u{202e}b\u{2028}".as_bytes()), "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8");
        assert_eq!(printable(b"\xff"), "\\xff");
        assert!(printable(&[b'a'; 600]).ends_with("..."));
    }
}
