//! Writing strings and replies so that no text from elsewhere can end a line or imitate protocol.

/// Appends a string: quoted, or a literal if the text has CR, LF or NUL, which a quoted string cannot carry
/// (RFC 5804 section 4). Like the reference, length alone does not make a literal: its own proxies read
/// challenges only in quotes (spec/login-proxy.md 8.3.4).
pub(crate) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// One string on a line of its own, as challenges and SASL responses are sent.
pub(crate) fn string_line(text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len() + 4);
    push_string(&mut line, text);
    line.extend_from_slice(b"\r\n");
    line
}

/// `head "text"` and CR LF; `head` is our own, such as `NO (TRYLATER)`.
pub(crate) fn reply(head: &str, text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(head.len() + text.len() + 5);
    line.extend_from_slice(head.as_bytes());
    line.push(b' ');
    line.extend_from_slice(&string_line(text));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_or_literals() {
        for (text, expected) in [
            ("", "\"\"\r\n"),
            ("a\"b\\c", "\"a\\\"b\\\\c\"\r\n"),
            ("a\r\nOK", "{5}\r\na\r\nOK\r\n"),
            ("a\0", "{2}\r\na\0\r\n"),
        ] {
            assert_eq!(String::from_utf8(string_line(text.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn no_text_escapes_from_its_string() {
        bolero::check!().for_each(|text: &[u8]| {
            let line = string_line(text);
            let body = line.strip_suffix(b"\r\n").unwrap();
            match body.strip_prefix(format!("{{{}}}\r\n", text.len()).as_bytes()) {
                Some(rest) if body[0] == b'{' => assert_eq!(rest, text),
                _ => assert!(!body.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))),
            }
        });
    }
}
