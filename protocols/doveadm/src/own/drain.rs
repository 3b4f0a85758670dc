//! How far a drain is.

use std::net::IpAddr;

use super::record::Record;

/// One drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainRow {
    /// The backend.
    pub host: IpAddr,
    /// What it does.
    pub state: DrainState,
    /// The backend has no users, no sessions and no logins in progress, and gets no new users: it can be powered off.
    pub safe: bool,
    /// Users at the beginning.
    pub users: u64,
    /// Users who have moved away since.
    pub moved: u64,
    /// Users still there.
    pub left: u64,
    /// Sessions still there, logins in progress included.
    pub sessions: u64,
    /// Moves under way.
    pub moving: u64,
    /// Those of them whose sessions do not end although they should have.
    pub stuck: u64,
    /// Unix time in seconds at which it began.
    pub since: u64,
    /// Milliseconds it may still take if it goes on as so far.
    pub eta_msecs: Option<u64>,
    /// Weight of the backend before; `None` if it still has it.
    pub vhosts_before: Option<u32>,
    /// How fast it goes.
    pub pace: super::DrainPace,
    /// What else there is to say, in words for people; empty for nothing.
    pub note: String,
}

/// What a drain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainState {
    /// Moves users away.
    Moving,
    /// Waits for sessions that are in the middle of something.
    Waiting,
    /// No other backend is usable.
    Blocked,
    /// Nobody is left, and nobody comes.
    Safe,
    /// It is over, whether the backend is empty or not.
    Ended,
}

impl DrainState {
    const ALL: [Self; 5] = [Self::Moving, Self::Waiting, Self::Blocked, Self::Safe, Self::Ended];

    /// As it is written and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Safe => "safe",
            Self::Ended => "ended",
        }
    }
}

impl DrainRow {
    pub(super) const WORD: &str = "drain";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .show("host", self.host)
            .show("state", self.state.word())
            .show("safe", u8::from(self.safe))
            .show("users", self.users)
            .show("moved", self.moved)
            .show("left", self.left)
            .show("sessions", self.sessions)
            .show("moving", self.moving)
            .show("stuck", self.stuck)
            .show("since", self.since)
            .optional("eta", self.eta_msecs)
            .optional("vhosts-before", self.vhosts_before)
            .optional("parallel", self.pace.parallel)
            .optional("per-sec", self.pace.per_sec)
            .optional("grace", self.pace.grace_msecs)
            .optional("note", Some(self.note.as_str()).filter(|note| !note.is_empty()))
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        let word = record.get("state")?;
        let count = |key| record.number(key).unwrap_or_default();
        Some(Self {
            host: record.ip("host")?,
            state: DrainState::ALL.into_iter().find(|state| state.word().as_bytes() == word)?,
            safe: record.number("safe") == Some(1_u8),
            users: count("users"),
            moved: count("moved"),
            left: count("left"),
            sessions: count("sessions"),
            moving: count("moving"),
            stuck: count("stuck"),
            since: count("since"),
            eta_msecs: record.number("eta"),
            vhosts_before: record.number("vhosts-before"),
            pace: super::DrainPace {
                parallel: record.number("parallel"),
                per_sec: record.number("per-sec"),
                grace_msecs: record.number("grace"),
            },
            note: record.text("note"),
        })
    }
}
