//! Settings of connections to backends.

use std::{net::IpAddr, time::Duration};

use super::Pem;

/// Connections to backends (spec/login-proxy.md 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSettings {
    /// `login_proxy_timeout` for one attempt; zero: no limit.
    pub timeout: Duration,
    /// `login_proxy_max_reconnects`.
    pub reconnects_max: u32,
    /// `login_proxy_max_disconnect_delay`; zero: off.
    pub disconnect_delay_max: Duration,
    /// `login_source_ips`.
    pub source_ips: SourceIps,
    /// `ssl_ca` or `ssl_client_ca_file`: trusted for backend certificates; `None`: the system's store.
    pub ca: Option<Pem>,
    /// `ssl_client_require_valid_cert`.
    pub require_valid_cert: bool,
    /// `ssl_client_cert` and `ssl_client_key`.
    pub client_certificate: Option<ClientCertificate>,
}

/// Source addresses, used in turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceIps {
    /// The addresses; empty: the system's choice.
    pub ips: Vec<IpAddr>,
    /// A leading `?`: leave out those that cannot be bound at start.
    pub optional: bool,
}

/// A certificate shown to backends that ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Chain.
    pub cert: Pem,
    /// Key.
    pub key: Pem,
}
