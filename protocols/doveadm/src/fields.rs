//! Reading and writing the tab-separated fields of one line. Knows no command.

use std::{fmt, net::IpAddr, str::FromStr};

use homing_wire::tab;

/// The 32-bit hash by which a director knows a user (spec/director.md 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHash(pub u32);

impl fmt::Display for UserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The unescaped fields of a line. Missing fields are `None`; fields nobody asks for are ignored, as the reference
/// does.
#[derive(Debug)]
pub(crate) struct FieldReader(std::vec::IntoIter<Vec<u8>>);

impl FieldReader {
    pub(crate) fn new(line: &[u8]) -> Self {
        Self(tab::split(line).map(|field| field.into_owned()).collect::<Vec<_>>().into_iter())
    }

    /// Fields that are unescaped already.
    pub(crate) fn of(fields: Vec<Vec<u8>>) -> Self {
        Self(fields.into_iter())
    }

    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }

    /// The next field; empty if there is none.
    pub(crate) fn next_or_empty(&mut self) -> Vec<u8> {
        self.0.next().unwrap_or_default()
    }

    /// The next field as a decimal number; `None` also if it is missing.
    pub(crate) fn number<T: FromStr>(&mut self) -> Option<T> {
        number(&self.next()?)
    }

    /// The next field as an address; `None` also if it is missing.
    pub(crate) fn ip(&mut self) -> Option<IpAddr> {
        ip(&self.next()?)
    }

    /// All fields not read yet.
    pub(crate) fn rest(self) -> Vec<Vec<u8>> {
        self.0.collect()
    }

    /// All fields not read yet; none are left.
    pub(crate) fn all(&mut self) -> Vec<Vec<u8>> {
        self.0.by_ref().collect()
    }

    /// How many fields are not read yet.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

/// A decimal number without sign.
pub(crate) fn number<T: FromStr>(field: &[u8]) -> Option<T> {
    let digits = field.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(field).ok().filter(|_| digits)?.parse().ok()
}

/// An address, IPv6 with or without brackets. The reference also takes `12345` and `127.1` as IPv4 addresses, and
/// octets with a leading zero as octal; those are more likely typing errors.
pub(crate) fn ip(field: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(field).ok()?;
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Appends fields to a line, each escaped and preceded by a TAB.
#[derive(Debug)]
pub(crate) struct FieldWriter<'a>(pub(crate) &'a mut Vec<u8>);

impl FieldWriter<'_> {
    /// A first field: no TAB before it.
    pub(crate) fn first(&mut self, field: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend_from_slice(&tab::escape(field.as_ref()));
        self
    }

    pub(crate) fn field(&mut self, field: impl AsRef<[u8]>) -> &mut Self {
        self.0.push(b'\t');
        self.first(field)
    }

    pub(crate) fn text(&mut self, value: impl fmt::Display) -> &mut Self {
        self.field(value.to_string())
    }

    /// Nothing for a missing value.
    pub(crate) fn optional(&mut self, value: Option<impl fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_digits_only() {
        assert_eq!(number::<u32>(b"007"), Some(7));
        assert_eq!(number::<u32>(b"4294967295"), Some(u32::MAX));
        for bad in ["", "-1", "+7", "4294967296", "x", "1 ", "1x"] {
            assert_eq!(number::<u32>(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_complete() {
        for good in ["127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(ip(good.as_bytes()).is_some(), "{good}");
        }
        for bad in
            ["", "12345", "127.1", "127.0.0.010", " 127.0.0.1", "[127.0.0.1]", "fe80::1%lo", "a.test", "[::1"]
        {
            assert_eq!(ip(bad.as_bytes()), None, "{bad}");
        }
    }
}
