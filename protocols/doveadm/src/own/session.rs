//! Live sessions, with what an administrator wants to know of each.

use std::net::{IpAddr, SocketAddr};

use super::record::Record;
use crate::fields::UserHash;

/// One session; a login in progress is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Login name.
    pub user: Vec<u8>,
    /// What the director knows the user by; may come from another name than `user`.
    pub hash: Option<UserHash>,
    /// `imap`, `pop3`, `sieve`, ...
    pub service: String,
    /// Where the client comes from.
    pub client: SocketAddr,
    /// The backend, once it is known.
    pub backend: Option<SocketAddr>,
    /// Name of the backend, if it has one.
    pub hostname: Option<String>,
    /// Unix time in seconds at which the client connected.
    pub since: Option<u64>,
}

impl SessionRow {
    pub(super) const WORD: &str = "session";

    pub(super) fn record(&self) -> Record {
        Record::new(Self::WORD)
            .bytes("user", &self.user)
            .optional("hash", self.hash)
            .show("service", &self.service)
            .show("client", self.client)
            .optional("backend", self.backend)
            .optional("hostname", self.hostname.as_deref())
            .optional("since", self.since)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        let address = |key| record.text(key).parse().ok();
        Some(Self {
            user: record.owned("user"),
            hash: record.number("hash").map(UserHash),
            service: record.text("service"),
            client: address("client")?,
            backend: address("backend"),
            hostname: record.has("hostname").then(|| record.text("hostname")),
            since: record.number("since"),
        })
    }

    /// Address of the backend.
    pub fn backend_ip(&self) -> Option<IpAddr> {
        self.backend.map(|backend| backend.ip())
    }
}
