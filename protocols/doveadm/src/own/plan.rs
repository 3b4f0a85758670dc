//! What a request would do to users.

use std::net::IpAddr;

use super::record::Record;

/// Users who would fare the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRow {
    /// What would become of them.
    pub effect: PlanEffect,
    /// Where they are.
    pub from: Option<IpAddr>,
    /// Where they would be; `None` for nowhere, and where it is no question.
    pub to: Option<IpAddr>,
    /// How many users.
    pub users: u64,
    /// How many sessions they have, logins in progress included.
    pub sessions: u64,
}

/// What would become of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanEffect {
    /// Their sessions end and their next login goes elsewhere.
    Moved,
    /// Their sessions end.
    Kicked,
    /// Nothing yet; with the first login after all their sessions and the mapping have ended they are elsewhere.
    Later,
    /// Nothing.
    Kept,
    /// Nothing, although they should go: there is no usable backend for them. Also counted as kept.
    Blocked,
}

impl PlanEffect {
    const ALL: [Self; 5] = [Self::Moved, Self::Kicked, Self::Later, Self::Kept, Self::Blocked];

    /// As it is written and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Kicked => "kicked",
            Self::Later => "later",
            Self::Kept => "kept",
            Self::Blocked => "blocked",
        }
    }
}

impl PlanRow {
    pub(super) const WORD: &str = "plan";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .show("effect", self.effect.word())
            .optional("from", self.from)
            .optional("to", self.to)
            .show("users", self.users)
            .show("sessions", self.sessions)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        let word = record.get("effect")?;
        Some(Self {
            effect: PlanEffect::ALL.into_iter().find(|effect| effect.word().as_bytes() == word)?,
            from: record.ip("from"),
            to: record.ip("to"),
            users: record.number("users")?,
            sessions: record.number("sessions")?,
        })
    }
}
