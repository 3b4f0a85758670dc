//! An ordered list of `key` and `key=value` fields, as Dovecot's protocols carry them.

use std::fmt;

use crate::{printable, tab};

/// One field. `key=` has an empty value, which is not the same as no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    /// Case-sensitive key.
    pub key: Vec<u8>,
    /// What follows the first `=`, unescaped.
    pub value: Option<Vec<u8>>,
}

/// Fields in the order received. Lookups take the last one of a key, as Dovecot's login processes do
/// (spec/auth-protocol.md 5.1).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the tail of a line: TAB-separated, escaped fields. Empty fields are skipped.
    pub fn parse(tail: &[u8]) -> Self {
        Self(tab::split(tail).filter(|f| !f.is_empty()).map(|f| Field::parse(&f)).collect())
    }

    /// Appends `key` or `key=value`.
    pub fn push(&mut self, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        self.0.push(Field { key: key.into(), value });
    }

    /// Builder form of [`Fields::push`] with a value.
    pub fn with(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.push(key, Some(value.as_ref().to_vec()));
        self
    }

    /// Builder form of [`Fields::push`] without a value.
    pub fn with_flag(mut self, key: &str) -> Self {
        self.push(key, None);
        self
    }

    /// The value of the last field `key`; a bare word has the empty value.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        let field = self.0.iter().rev().find(|f| f.key == key.as_bytes())?;
        Some(field.value.as_deref().unwrap_or_default())
    }

    /// The value as text; `None` also if it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.value(key)?).ok()
    }

    /// True if the field occurs, bare or with a value.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the fields as the tail of a line, each preceded by TAB.
    pub fn write_to(&self, line: &mut Vec<u8>) {
        for field in &self.0 {
            line.push(b'\t');
            line.extend_from_slice(&tab::escape(&field.key));
            if let Some(value) = &field.value {
                line.push(b'=');
                line.extend_from_slice(&tab::escape(value));
            }
        }
    }
}

impl Field {
    fn parse(field: &[u8]) -> Self {
        let mut parts = field.splitn(2, |b| *b == b'=');
        let key = parts.next().unwrap_or_default().to_vec();
        Self { key, value: parts.next().map(<[u8]>::to_vec) }
    }
}

impl FromIterator<Field> for Fields {
    fn from_iter<I: IntoIterator<Item = Field>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// Shows keys only: values may be passwords.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.key))?;
        if self.value.is_some() { f.write_str("=..") } else { Ok(()) }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_words_and_values() {
        let fields = Fields::parse(b"user=a\x01tb\tproxy\tpass=\thost=x\thost=y=z");
        assert_eq!(fields.value("user"), Some(&b"a\tb"[..]));
        assert_eq!(fields.value("proxy"), Some(&b""[..]));
        assert_eq!(fields.value("pass"), Some(&b""[..]));
        assert_eq!(fields.text("host"), Some("y=z"));
        assert_eq!(fields.value("absent"), None);
    }

    #[test]
    fn debug_output_has_no_values() {
        let fields = Fields::parse(b"user=a\tpass=secret\tproxy");
        assert_eq!(format!("{fields:?}"), "[user=.., pass=.., proxy]");
    }

    #[test]
    fn writing_and_parsing_agree() {
        let fields = Fields::new().with("a", b"\t\n").with_flag("b").with("c", b"");
        let mut line = Vec::new();
        fields.write_to(&mut line);
        assert_eq!(Fields::parse(&line), fields);
    }
}
