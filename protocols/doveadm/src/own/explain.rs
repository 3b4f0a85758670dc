//! Why a user is where they are.

use std::net::IpAddr;

use super::record::Record;

/// The mapping of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentRow {
    /// Where.
    pub ip: IpAddr,
    /// Since when, in Unix seconds.
    pub since: u64,
    /// Why, in words for people.
    pub cause: String,
    /// Sessions there, logins in progress included.
    pub sessions: u64,
    /// Unix time in seconds at which it is forgotten; with sessions: if all ended now.
    pub expires: u64,
}

/// The move of a user under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovingRow {
    /// Where to; `None` if no backend is left.
    pub to: Option<IpAddr>,
    /// Why, in words for people.
    pub cause: String,
    /// What logins wait for, in words for people.
    pub wait: String,
}

/// Where a new mapping would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingRow {
    /// With the backends as they are; `None` without a usable one.
    pub hashed: Option<IpAddr>,
    /// With the backends as configured.
    pub initial: Option<IpAddr>,
    /// Why a login now would get what it would get, in words for people.
    pub why: String,
}

/// Something that happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// When, in Unix milliseconds.
    pub msecs: u64,
    /// What, in words for people.
    pub text: String,
}

impl CurrentRow {
    pub(super) const WORD: &str = "current";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .show("ip", self.ip)
            .show("since", self.since)
            .show("cause", &self.cause)
            .show("sessions", self.sessions)
            .show("expires", self.expires)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self {
            ip: record.ip("ip")?,
            since: record.number("since")?,
            cause: record.text("cause"),
            sessions: record.number("sessions")?,
            expires: record.number("expires")?,
        })
    }
}

impl MovingRow {
    pub(super) const WORD: &str = "moving";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD).optional("to", self.to).show("cause", &self.cause).show("wait", &self.wait)
    }

    pub(super) fn read(record: &Record) -> Self {
        Self { to: record.ip("to"), cause: record.text("cause"), wait: record.text("wait") }
    }
}

impl RingRow {
    pub(super) const WORD: &str = "ring";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .optional("hashed", self.hashed)
            .optional("initial", self.initial)
            .show("why", &self.why)
    }

    pub(super) fn read(record: &Record) -> Self {
        Self { hashed: record.ip("hashed"), initial: record.ip("initial"), why: record.text("why") }
    }
}

impl EventRow {
    pub(super) const WORD: &str = "event";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD).show("time", self.msecs).show("text", &self.text)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self { msecs: record.number("time")?, text: record.text("text") })
    }
}
