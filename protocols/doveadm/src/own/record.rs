//! How own rows are written: a word, then `key=value` fields. A reader skips words and keys it does not know, so that
//! both can be added later. Knows no particular row.

use std::{fmt, net::IpAddr, str::FromStr};

use homing_wire::{Field, Fields};

use crate::fields::{ip, number};

/// Bytes of one value; longer ones are cut. User names and reasons are far shorter, and a row of a dozen such values
/// stays below [`crate::ANSWER_LINE_BYTES_MAX`] even if every byte has to be escaped.
pub const VALUE_BYTES_MAX: usize = 512;

/// A row in the making, or one that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    word: Vec<u8>,
    fields: Fields,
}

impl Record {
    pub(super) fn new(word: &str) -> Self {
        Self { word: word.into(), fields: Fields::new() }
    }

    /// Reads the fields of a row; `None` without any.
    pub(super) fn read(fields: &[Vec<u8>]) -> Option<Self> {
        let (word, rest) = fields.split_first()?;
        let field = |field: &Vec<u8>| {
            let mut parts = field.splitn(2, |byte| *byte == b'=');
            let key = parts.next().unwrap_or_default().to_vec();
            Field { key, value: parts.next().map(<[u8]>::to_vec) }
        };
        Some(Self { word: word.clone(), fields: rest.iter().map(field).collect() })
    }

    pub(super) fn into_fields(self) -> Vec<Vec<u8>> {
        let field = |field: &Field| match &field.value {
            Some(value) => [field.key.as_slice(), b"=", value].concat(),
            None => field.key.clone(),
        };
        std::iter::once(self.word).chain(self.fields.iter().map(field)).collect()
    }

    pub(super) fn word(&self) -> &[u8] {
        &self.word
    }

    /// Adds bytes, at most [`VALUE_BYTES_MAX`].
    pub(super) fn bytes(mut self, key: &str, value: &[u8]) -> Self {
        let kept = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
        self.fields.push(key, Some(kept.to_vec()));
        self
    }

    /// Adds anything that can be shown.
    pub(super) fn show(self, key: &str, value: impl fmt::Display) -> Self {
        self.bytes(key, value.to_string().as_bytes())
    }

    /// Adds nothing for a missing value.
    pub(super) fn optional(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.show(key, value),
            None => self,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.has(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.fields.value(key)
    }

    /// Bytes; empty if they are missing.
    pub(super) fn owned(&self, key: &str) -> Vec<u8> {
        self.get(key).unwrap_or_default().to_vec()
    }

    /// Text for people; what is not UTF-8 is shown as replacement characters.
    pub(super) fn text(&self, key: &str) -> String {
        String::from_utf8_lossy(self.get(key).unwrap_or_default()).into_owned()
    }

    pub(super) fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        number(self.get(key)?)
    }

    pub(super) fn ip(&self, key: &str) -> Option<IpAddr> {
        ip(self.get(key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let record = Record::new("a").show("n", 5).bytes("b", b"x=y").optional("no", None::<u8>);
        let fields = record.clone().into_fields();
        assert_eq!(fields, [&b"a"[..], b"n=5", b"b=x=y"]);
        let read = Record::read(&fields).unwrap();
        assert_eq!(read, record);
        assert_eq!(
            (read.word(), read.number::<u8>("n"), read.get("b")),
            (&b"a"[..], Some(5), Some(&b"x=y"[..]))
        );
        assert!(read.has("n") && !read.has("no"));
    }

    #[test]
    fn long_values_are_cut() {
        let record = Record::new("a").bytes("b", &[b'x'; VALUE_BYTES_MAX + 1]);
        assert_eq!(record.get("b").map(<[u8]>::len), Some(VALUE_BYTES_MAX));
    }
}
