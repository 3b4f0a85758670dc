//! Settings of a login dialogue.

use std::net::IpAddr;

use ipnet::IpNet;

/// How one service treats clients before login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginSettings {
    /// `login_greeting`, with variables.
    pub greeting: String,
    /// `login_trusted_networks`.
    pub trusted_networks: Vec<IpNet>,
    /// `disable_plaintext_auth`.
    pub disable_plaintext: bool,
    /// Most connections of this service at once; pre-login ones give way when it is reached
    /// (`service X-login { client_limit, process_limit, service_count }` combined).
    pub connections_max: usize,
    /// Only meaningful for IMAP.
    pub imap: ImapSettings,
    /// Only meaningful for ManageSieve.
    pub sieve: SieveSettings,
}

impl LoginSettings {
    /// True if the address is in `login_trusted_networks`.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_networks.iter().any(|net| net.contains(&ip))
    }
}

/// IMAP's own settings (spec/login-proxy.md 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapSettings {
    /// `imap_capability`: empty, `+MORE`, or a full replacement.
    pub capability: String,
    /// `imap_id_send`: `key value` pairs; `*` values are filled in.
    pub id_send: String,
    /// `imap_id_log`: keys, or `*`.
    pub id_log: String,
    /// `imap_id_retain`.
    pub id_retain: bool,
    /// `imap_literal_minus`.
    pub literal_minus: bool,
}

/// ManageSieve's own settings (spec/login-proxy.md 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SieveSettings {
    /// `managesieve_implementation_string`.
    pub implementation: String,
    /// `managesieve_sieve_capability`.
    pub sieve_capability: String,
    /// `managesieve_notify_capability`.
    pub notify_capability: String,
}
