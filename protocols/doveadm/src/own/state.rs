//! The whole state of a director in rows, and users that are brought to a director with a table that was written down
//! elsewhere.

use std::net::IpAddr;

use super::record::Record;
use crate::fields::{FieldReader, UserHash};

/// Users of one [`LoadRequest`]: a line of them fits the limit of the protocol, at ten digits each.
pub const LOAD_USERS_MAX: usize = 80;

/// Brings users to a backend. Nobody is kicked: a user with sessions elsewhere stays there and is told of, in a
/// [`LoadRow`]; then comes [`super::Row::Loaded`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// Only says what would be done.
    pub dry_run: bool,
    /// Where to.
    pub host: IpAddr,
    /// Who; at most [`LOAD_USERS_MAX`].
    pub users: Vec<UserHash>,
}

impl LoadRequest {
    const DRY_RUN: &[u8] = b"dry-run";
    const FOR_GOOD: &[u8] = b"do";

    pub(super) fn read(fields: &mut FieldReader) -> Option<Self> {
        let dry_run = match fields.next()?.as_slice() {
            Self::DRY_RUN => true,
            Self::FOR_GOOD => false,
            _ => return None,
        };
        let host = fields.ip()?;
        let mut users = Vec::new();
        while fields.left() > 0 {
            users.push(UserHash(fields.number()?));
        }
        (users.len() <= LOAD_USERS_MAX).then_some(Self { dry_run, host, users })
    }

    pub(super) fn arguments(&self) -> Vec<Vec<u8>> {
        let how = if self.dry_run { Self::DRY_RUN } else { Self::FOR_GOOD };
        let users = self.users.iter().map(|user| user.to_string().into_bytes());
        [how.to_vec(), self.host.to_string().into_bytes()].into_iter().chain(users).collect()
    }
}

/// A user who was not brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRow {
    /// Who.
    pub user: UserHash,
    /// Why, in words for people.
    pub why: String,
}

/// What became of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadedRow {
    /// Are there now, or are on the way.
    pub loaded: u64,
    /// Were there already.
    pub kept: u64,
}

/// A backend of the table, or one that is configured but removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHostRow {
    /// Address.
    pub ip: IpAddr,
    /// Name it was configured by.
    pub hostname: Option<String>,
    /// Tag; empty for none.
    pub tag: Vec<u8>,
    /// Weight.
    pub vhosts: u32,
    /// Up or down.
    pub up: bool,
    /// Unix time of the last change of `up` in seconds, and who made it, in words for people.
    pub changed: Option<(u64, String)>,
    /// It is configured, but was removed while running.
    pub removed: bool,
}

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateUserRow {
    /// Who.
    pub user: UserHash,
    /// Where.
    pub ip: IpAddr,
    /// Unix time in seconds at which it is forgotten; `None` while there are sessions.
    pub expires: Option<u64>,
    /// Since when, as Unix time in seconds.
    pub since: u64,
    /// Why, in words for people.
    pub why: String,
    /// Target of the move under way.
    pub moving_to: Option<IpAddr>,
}

impl LoadRow {
    pub(super) const WORD: &str = "not-loaded";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD).show("user", self.user).show("why", &self.why)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self { user: UserHash(record.number("user")?), why: record.text("why") })
    }
}

impl LoadedRow {
    pub(super) const WORD: &str = "loaded";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD).show("users", self.loaded).show("kept", self.kept)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self { loaded: record.number("users")?, kept: record.number("kept")? })
    }
}

impl StateHostRow {
    pub(super) const WORD: &str = "dump-host";

    pub(super) fn record(&self) -> Record {
        let record = Record::new(Self::WORD).show("ip", self.ip).optional("name", self.hostname.as_ref());
        let record = record.bytes("tag", &self.tag).show("vhosts", self.vhosts);
        let record = record.show("state", if self.up { "up" } else { "down" });
        let (when, who) = self.changed.as_ref().map(|(when, who)| (when, who)).unzip();
        let record = record.optional("changed", when).optional("by", who);
        record.optional("removed", self.removed.then_some("y"))
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self {
            ip: record.ip("ip")?,
            hostname: record.has("name").then(|| record.text("name")),
            tag: record.owned("tag"),
            vhosts: record.number("vhosts")?,
            up: record.get("state")? == b"up",
            changed: record.number("changed").map(|when| (when, record.text("by"))),
            removed: record.has("removed"),
        })
    }
}

impl StateUserRow {
    pub(super) const WORD: &str = "dump-user";

    pub(super) fn record(&self) -> Record {
        let record = Record::new(Self::WORD).show("user", self.user).show("ip", self.ip);
        let record =
            record.optional("expires", self.expires).show("since", self.since).show("why", &self.why);
        record.optional("to", self.moving_to)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        Some(Self {
            user: UserHash(record.number("user")?),
            ip: record.ip("ip")?,
            expires: record.number("expires"),
            since: record.number("since")?,
            why: record.text("why"),
            moving_to: record.ip("to"),
        })
    }
}
