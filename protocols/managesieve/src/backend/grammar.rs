//! What a backend's lines say (RFC 5804 sections 1.3, 1.7, 4). Lines are complete and bounded when they come here.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, take, take_till},
    character::complete::{line_ending, one_of, usize},
    combinator::{all_consuming, map, opt, recognize},
    multi::{fold_many0, many0_count},
    sequence::{delimited, preceded},
};

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
    let capability = (string, opt(preceded(tag(" "), string)));
    let Ok((_, (name, value))) = all_consuming(capability).parse(line) else { return Greeting::Unreadable };
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
        let mut head = (take_till(|b| b == b' '), opt(tag(" ")), opt(code));
        let (text, code) = head.parse(line).map_or((line, None), |(text, (_, _, code))| (text, code));
        let text = whole_string(text).unwrap_or_else(|| text.to_vec());
        Self { status: Self::status_of(line), code: code.unwrap_or_default().to_vec(), text }
    }

    /// True for `(TRYLATER)`.
    pub(super) fn is_try_later(&self) -> bool {
        let word = self.code.split(|b| *b == b' ').next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"TRYLATER")
    }
}

/// The string that a line is, if it is one and nothing else.
pub(super) fn whole_string(line: &[u8]) -> Option<Vec<u8>> {
    all_consuming(string).parse(line).ok().map(|(_, string)| string)
}

/// What stands in `(...)`, and the space behind it. Parentheses inside strings do not count.
fn code(text: &[u8]) -> IResult<&[u8], &[u8]> {
    let inside_string = delimited(tag("\""), take_till(|b| b == b'"'), tag("\""));
    let inside = recognize(many0_count(alt((inside_string, is_not("\")")))));
    delimited(tag("("), inside, (tag(")"), opt(tag(" ")))).parse(text)
}

/// A string, quoted or a literal, unescaped.
fn string(text: &[u8]) -> IResult<&[u8], Vec<u8>> {
    alt((quoted, literal)).parse(text)
}

fn quoted(text: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let escaped = preceded(tag("\\"), recognize(one_of("\"\\")));
    let piece = alt((is_not("\"\\\r\n\0"), escaped));
    let content = fold_many0(piece, Vec::new, |mut content, piece: &[u8]| {
        content.extend_from_slice(piece);
        content
    });
    delimited(tag("\""), content, tag("\"")).parse(text)
}

fn literal(text: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let size = delimited(tag("{"), usize, (opt(tag("+")), tag("}"), line_ending));
    map(size.flat_map(take), <[u8]>::to_vec).parse(text)
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
