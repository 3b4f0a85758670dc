//! What commands print: a text for people or one JSON document for programs, on standard output. Knows no command.

mod table;
mod time;

use serde_json::Value;

use super::print;
pub(in crate::cli) use table::Table;
pub(in crate::cli) use time::{moment, span};

/// Something to print in either form.
pub(super) trait Shown {
    /// For people, line ends included; may be empty.
    fn text(&self) -> String;

    /// For programs. Field names stay as they are; later versions may add some.
    fn json(&self) -> Value;
}

/// Which form is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl Form {
    /// Prints it.
    pub(super) fn print(self, shown: &impl Shown) {
        match self {
            Self::Text => print(&shown.text()),
            Self::Json => print(&format!("{}\n", shown.json())),
        }
    }
}

/// A name as a JSON string; what is not UTF-8 in it becomes U+FFFD.
pub(super) fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number and what it counts, in the plural unless it is one.
pub(super) fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
