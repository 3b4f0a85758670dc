//! What a backend's lines say (RFC 5804 sections 1.3, 1.7, 4).

/// One line of a greeting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// The SASL capability; whether it names a mechanism.
    Sasl(bool),
    StartTls,
    Xclient,
    /// Another capability.
    Other,
    /// `OK`: the greeting is complete.
    Done,
    /// `NO` or `BYE`.
    Refused,
    /// A capability of the wrong shape.
    Erroneous,
    /// Neither a capability nor a response.
    Unreadable,
}

/// Reads one line of a greeting.
pub(super) fn greeting_line(line: &[u8]) -> Greeting {
    match Response::status_of(line) {
        Some(Status::Ok) => return Greeting::Done,
        Some(Status::No | Status::Bye) => return Greeting::Refused,
        None => {}
    }
    let Some((name, rest)) = string(line) else { return Greeting::Unreadable };
    let value = match rest {
        [] => None,
        [b' ', rest @ ..] => match string(rest) {
            Some((value, [])) => Some(value),
            _ => return Greeting::Unreadable,
        },
        _ => return Greeting::Unreadable,
    };
    match (name.to_ascii_uppercase().as_slice(), value) {
        (b"SASL", Some(value)) => Greeting::Sasl(value.iter().any(|b| *b != b' ')),
        (b"SASL", None) => Greeting::Erroneous,
        (b"STARTTLS", _) => Greeting::StartTls,
        (b"XCLIENT", _) => Greeting::Xclient,
        _ => Greeting::Other,
    }
}

/// First word of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bye,
}

/// A response: `OK`, `NO` or `BYE`, perhaps a code in parentheses, perhaps a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// `None`: no response at all.
    pub status: Option<Status>,
    /// Between the parentheses; empty if there are none.
    pub code: Vec<u8>,
    /// The string; what stands there instead, if it is none.
    pub text: Vec<u8>,
}

impl Response {
    /// Which response a line is, if any.
    pub(super) fn status_of(line: &[u8]) -> Option<Status> {
        let word = line.split(|b| *b == b' ').next().unwrap_or_default();
        match word.to_ascii_uppercase().as_slice() {
            b"OK" => Some(Status::Ok),
            b"NO" => Some(Status::No),
            b"BYE" => Some(Status::Bye),
            _ => None,
        }
    }

    /// Reads as much as there is; never fails.
    pub(super) fn parse(line: &[u8]) -> Self {
        let rest = line.iter().position(|b| *b == b' ').and_then(|at| line.get(at + 1..));
        let (code, text) = code(rest.unwrap_or_default());
        let text = match string(text) {
            Some((text, [])) => text,
            _ => text.to_vec(),
        };
        Self { status: Self::status_of(line), code: code.to_vec(), text }
    }

    /// True for `(TRYLATER)`.
    pub(super) fn is_try_later(&self) -> bool {
        let word = self.code.split(|b| *b == b' ').next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"TRYLATER")
    }
}

/// Splits `(code) text`. Parentheses inside strings do not count.
fn code(rest: &[u8]) -> (&[u8], &[u8]) {
    let Some(inner) = rest.strip_prefix(b"(") else { return (b"", rest) };
    let mut quoted = false;
    let end = inner.iter().position(|b| {
        quoted ^= *b == b'"';
        *b == b')' && !quoted
    });
    let Some((code, after)) = end.and_then(|at| inner.split_at_checked(at)) else { return (b"", rest) };
    let after = after.get(1..).unwrap_or_default();
    (code, after.strip_prefix(b" ").unwrap_or(after))
}

/// The string at the start of `text`, quoted or a literal, unescaped, and what follows it.
pub(super) fn string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match text {
        [b'"', rest @ ..] => quoted(rest),
        [b'{', rest @ ..] => literal(rest),
        _ => None,
    }
}

fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut out, mut rest) = (Vec::new(), text);
    loop {
        match rest {
            [b'"', after @ ..] => return Some((out, after)),
            [b'\\', byte @ (b'"' | b'\\'), after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            [b'\\' | b'\r' | b'\n' | 0, ..] | [] => return None,
            [byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}

fn literal(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let end = text.iter().position(|b| *b == b'\n')?;
    let head = text.get(..end)?;
    let head = head.strip_suffix(b"\r").unwrap_or(head).strip_suffix(b"}")?;
    let digits = head.strip_suffix(b"+").unwrap_or(head);
    let size: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (data, after) = text.get(end + 1..)?.split_at_checked(size)?;
    Some((data.to_vec(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_lines() {
        for (line, expected) in [
            ("\"SASL\" \"PLAIN LOGIN\"", Greeting::Sasl(true)),
            ("\"sasl\" \"\"", Greeting::Sasl(false)),
            ("\"SASL\" \" \"", Greeting::Sasl(false)),
            ("\"SASL\"", Greeting::Erroneous),
            ("\"STARTTLS\"", Greeting::StartTls),
            ("\"XCLIENT\"", Greeting::Xclient),
            ("\"IMPLEMENTATION\" \"a \\\"b\\\" (c)\"", Greeting::Other),
            ("\"SIEVE\" {4}\r\nab\nc", Greeting::Other),
            ("{4+}\r\nSASL \"X\"", Greeting::Sasl(true)),
            ("OK", Greeting::Done),
            ("ok (TAG \"x\") \"y\"", Greeting::Done),
            ("NO \"x\"", Greeting::Refused),
            ("BYE \"x\"", Greeting::Refused),
            ("", Greeting::Unreadable),
            ("* OK IMAP", Greeting::Unreadable),
            ("\"A\" \"B\" \"C\"", Greeting::Unreadable),
            ("\"A\"\"B\"", Greeting::Unreadable),
            ("\"A", Greeting::Unreadable),
            ("OKAY", Greeting::Unreadable),
        ] {
            assert_eq!(greeting_line(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn responses() {
        for (line, status, code, text) in [
            ("OK", Some(Status::Ok), "", ""),
            ("NO \"x (y)\"", Some(Status::No), "", "x (y)"),
            ("No (TRYLATER) \"la\\\"ter\"", Some(Status::No), "TRYLATER", "la\"ter"),
            ("NO (REFERRAL \"a)b\") {3}\r\na\nb", Some(Status::No), "REFERRAL \"a)b\"", "a\nb"),
            ("NO (QUOTA/MAXSIZE) plain words", Some(Status::No), "QUOTA/MAXSIZE", "plain words"),
            ("BYE (open", Some(Status::Bye), "", "(open"),
            ("what", None, "", ""),
        ] {
            let expected = Response { status, code: code.into(), text: text.into() };
            assert_eq!(Response::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn no_line_breaks_the_parser() {
        bolero::check!().for_each(|line: &[u8]| {
            let _ = (greeting_line(line), Response::parse(line));
        });
    }
}
