//! Why an own request was not done.

use thiserror::Error;

use super::record::Record;

/// The last row of a request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Failure {
    /// What kind of reason.
    pub kind: FailureKind,
    /// In words, for people.
    pub text: String,
}

/// Reasons that make a difference to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// There is no such backend, user or drain.
    NotFound,
    /// Not now; later perhaps.
    TryAgain,
    /// Not in this way.
    Refused,
    /// No such word here, or arguments that cannot be read: the other side is older or newer.
    Unknown,
}

impl FailureKind {
    const ALL: [Self; 4] = [Self::NotFound, Self::TryAgain, Self::Refused, Self::Unknown];

    fn word(self) -> &'static str {
        match self {
            Self::NotFound => "notfound",
            Self::TryAgain => "tryagain",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl Failure {
    pub(super) const WORD: &str = "error";

    /// Of a kind, with words for people.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD).show("kind", self.kind.word()).show("text", &self.text)
    }

    /// A kind of a later version is a refusal.
    pub(super) fn read(record: &Record) -> Self {
        let word = record.get("kind").unwrap_or_default();
        let known = FailureKind::ALL.into_iter().find(|kind| kind.word().as_bytes() == word);
        Self { kind: known.unwrap_or(FailureKind::Refused), text: record.text("text") }
    }
}
