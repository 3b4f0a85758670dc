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
    /// Where the client comes from, if that is known.
    pub client: Option<IpAddr>,
    /// The client's port; Dovecot's login processes do not tell it.
    pub client_port: Option<u16>,
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
            .optional("client", self.client_address())
            .optional("backend", self.backend)
            .optional("hostname", self.hostname.as_deref())
            .optional("since", self.since)
    }

    pub(super) fn read(record: &Record) -> Option<Self> {
        let address = |key| record.text(key).parse::<SocketAddr>().ok();
        let client = address("client");
        Some(Self {
            user: record.get("user")?.to_vec(),
            hash: record.number("hash").map(UserHash),
            service: record.text("service"),
            client: client.map(|client| client.ip()).or_else(|| record.ip("client")),
            client_port: client.map(|client| client.port()),
            backend: address("backend"),
            hostname: record.has("hostname").then(|| record.text("hostname")),
            since: record.number("since"),
        })
    }

    /// Address of the client, with the port if that is known.
    pub fn client_address(&self) -> Option<String> {
        let ip = self.client?;
        let with_port = |port| SocketAddr::new(ip, port).to_string();
        Some(self.client_port.map_or_else(|| ip.to_string(), with_port))
    }

    /// Address of the backend.
    pub fn backend_ip(&self) -> Option<IpAddr> {
        self.backend.map(|backend| backend.ip())
    }
}
