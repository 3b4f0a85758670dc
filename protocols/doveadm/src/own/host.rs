//! Backends with what `HOST-LIST` does not tell.

use std::net::IpAddr;

use super::record::Record;

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
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
    /// Unix time in seconds of the last change of `up`.
    pub changed: Option<u64>,
    /// Who made that change, in words for people.
    pub changed_by: Option<String>,
    /// Mappings to it.
    pub users: u64,
    /// Sessions there, logins in progress included.
    pub sessions: u64,
    /// Not in the table any more, or under another tag; it has sessions that have not ended.
    pub leaving: bool,
    /// It is being drained.
    pub draining: bool,
}

impl HostRow {
    pub(super) const WORD: &str = "host";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .show("ip", self.ip)
            .optional("hostname", self.hostname.as_deref())
            .bytes("tag", &self.tag)
            .show("vhosts", self.vhosts)
            .show("up", u8::from(self.up))
            .optional("changed", self.changed)
            .optional("changed-by", self.changed_by.as_deref())
            .show("users", self.users)
            .show("sessions", self.sessions)
            .show("leaving", u8::from(self.leaving))
            .show("draining", u8::from(self.draining))
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        let text = |key| record.has(key).then(|| record.text(key));
        let flag = |key| record.number(key) == Some(1_u8);
        Some(Self {
            ip: record.ip("ip")?,
            hostname: text("hostname"),
            tag: record.owned("tag"),
            vhosts: record.number("vhosts")?,
            up: flag("up"),
            changed: record.number("changed"),
            changed_by: text("changed-by"),
            users: record.number("users")?,
            sessions: record.number("sessions")?,
            leaving: flag("leaving"),
            draining: flag("draining"),
        })
    }
}
