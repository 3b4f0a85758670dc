//! Dovecot's tab-escaped lines (spec/auth-protocol.md 1.2, 1.3): fields separated by TAB, in which NUL, SOH, TAB,
//! LF and CR are written as SOH and a letter.

use std::borrow::Cow;

const SOH: u8 = 0x01;

/// Escapes one field.
pub fn escape(field: &[u8]) -> Cow<'_, [u8]> {
    if field.iter().all(|b| code_of(*b).is_none()) {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len() + 8);
    for byte in field {
        match code_of(*byte) {
            Some(code) => out.extend_from_slice(&[SOH, code]),
            None => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

/// Undoes [`escape`]. SOH with an unknown letter gives that letter; a trailing lone SOH is dropped.
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&SOH) {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        if *byte != SOH {
            out.push(*byte);
        } else if let Some(code) = bytes.next() {
            out.push(byte_of(*code));
        }
    }
    Cow::Owned(out)
}

/// Splits a line (without its LF) at TABs and unescapes every field.
pub fn split(line: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    line.split(|b| *b == b'\t').map(unescape)
}

/// Joins fields into a line without LF, escaping each.
pub fn join<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut line = Vec::new();
    for (i, field) in fields.into_iter().enumerate() {
        if i > 0 {
            line.push(b'\t');
        }
        line.extend_from_slice(&escape(field));
    }
    line
}

fn code_of(byte: u8) -> Option<u8> {
    match byte {
        0x00 => Some(b'0'),
        SOH => Some(b'1'),
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        _ => None,
    }
}

fn byte_of(code: u8) -> u8 {
    match code {
        b'0' => 0x00,
        b'1' => SOH,
        b't' => b'\t',
        b'n' => b'\n',
        b'r' => b'\r',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_exactly_five_bytes() {
        assert_eq!(&*escape(b"a\0\x01\t\n\rb"), b"a\x010\x011\x01t\x01n\x01rb");
        assert!(matches!(escape(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn unescape_is_lenient() {
        assert_eq!(&*unescape(b"a\x01xb\x01"), b"axb");
    }

    #[test]
    fn any_field_survives_the_round_trip() {
        bolero::check!().for_each(|input: &[u8]| {
            let line = join([input, input]);
            assert!(!line.contains(&b'\n'));
            let fields: Vec<_> = split(&line).collect();
            assert_eq!(fields.len(), 2);
            assert!(fields.iter().all(|f| &**f == input));
        });
    }
}
