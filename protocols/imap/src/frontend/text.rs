//! Writing strings so that no text from elsewhere can end a line or imitate protocol.

/// A quoted string. CR and LF, which it cannot carry (RFC 3501 section 9: quoted), and 8-bit characters are left
/// out, as in the reference.
pub(super) fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.iter().filter(|b| b.is_ascii() && !matches!(b, b'\r' | b'\n' | 0)) {
        if matches!(byte, b'"' | b'\\') {
            out.push('\\');
        }
        out.push(char::from(*byte));
    }
    out.push('"');
    out
}

/// A quoted string, or NIL.
pub(super) fn nstring(text: Option<&[u8]>) -> String {
    text.map_or_else(|| "NIL".to_owned(), quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quoted("a\"b\\c\r\n\u{e4}\td".as_bytes()), "\"a\\\"b\\\\c\td\"");
        assert_eq!(nstring(Some(b"")), "\"\"");
        assert_eq!(nstring(None), "NIL");
    }

    #[test]
    fn no_text_escapes_from_its_string() {
        bolero::check!().for_each(|text: &[u8]| {
            let string = quoted(text);
            let body = string.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            let unescaped = body.replace("\\\\", "").replace("\\\"", "");
            assert!(!unescaped.contains(['"', '\\', '\r', '\n', '\0']), "{string}");
        });
    }
}
