//! The last line of an answer.

use homing_wire::printable;
use thiserror::Error;

use crate::fields::number;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done, or nobody there to do it.
    Done,
    /// Done, for so many sessions.
    Count(u64),
    /// Not done.
    Refused(Refusal),
}

/// Why a command was not done. The texts are the reference's; doveadm shows them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not a group, an id and a command.
    #[error("Invalid input")]
    InvalidInput,
    /// The id is no number.
    #[error("Invalid IPC connection id: {0}")]
    InvalidId(String),
    /// No process of this group.
    #[error("Unknown IPC group: {0}")]
    UnknownGroup(String),
    /// No process with this id.
    #[error("Unknown IPC connection id: {0}")]
    UnknownId(u32),
    /// Unknown word.
    #[error("Unknown command")]
    UnknownCommand,
    /// Nothing to kick.
    #[error("Missing parameter")]
    MissingParameter,
    /// A hash that is none.
    #[error("Invalid parameters")]
    InvalidParameters,
    /// An address that is none.
    #[error("Invalid except_ip parameter")]
    InvalidExceptIp,
    /// Any other text.
    #[error("{0}")]
    Other(String),
}

impl Answer {
    /// The answer of two who were asked the same: numbers add up, and the first refusal counts. The reference's hub
    /// tells only the last number (W25).
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refused(refusal), _) | (_, Self::Refused(refusal)) => Self::Refused(refusal),
            (Self::Count(a), Self::Count(b)) => Self::Count(a.saturating_add(b)),
            (Self::Done, other) => other,
            (count, Self::Done) => count,
        }
    }

    /// The line without tag and LF.
    pub(super) fn to_line(&self) -> Vec<u8> {
        match self {
            Self::Done => b"+".to_vec(),
            Self::Count(count) => format!("+{count}").into_bytes(),
            Self::Refused(refusal) => format!("-{}", printable(refusal.to_string().as_bytes())).into_bytes(),
        }
    }

    /// Reads a last line; `None` for any other.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        match line.split_first()? {
            (b'+', data) => Some(number(data).map_or(Self::Done, Self::Count)),
            (b'-', text) => Some(Self::Refused(Refusal::parse(text))),
            _ => None,
        }
    }
}

impl Refusal {
    fn parse(text: &[u8]) -> Self {
        let fixed = [
            Self::InvalidInput,
            Self::UnknownCommand,
            Self::MissingParameter,
            Self::InvalidParameters,
            Self::InvalidExceptIp,
        ];
        let known = fixed.into_iter().find(|refusal| refusal.to_string().as_bytes() == text);
        let id = || number(text.strip_prefix(b"Unknown IPC connection id: ")?).map(Self::UnknownId);
        let after = |start: &[u8]| text.strip_prefix(start).map(printable);
        known
            .or_else(id)
            .or_else(|| after(b"Unknown IPC group: ").map(Self::UnknownGroup))
            .or_else(|| after(b"Invalid IPC connection id: ").map(Self::InvalidId))
            .unwrap_or_else(|| Self::Other(printable(text)))
    }
}
