//! Settings of the listeners.

use std::{net::SocketAddr, time::Duration};

use homing_login::Service;
use ipnet::IpNet;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenerSettings {
    /// Name of the `inet_listener` block, for messages.
    pub name: String,
    /// Which dialect.
    pub service: Service,
    /// Resolved address; one entry per address of `listen` and listener.
    pub address: SocketAddr,
    /// TLS from the first byte (behind a PROXY header, if one is expected).
    pub ssl: bool,
    /// Expect a PROXY header.
    pub haproxy: bool,
}

/// PROXY headers (spec/login-proxy.md 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHeaderSettings {
    /// `haproxy_trusted_networks`; empty trusts nobody.
    pub trusted_networks: Vec<IpNet>,
    /// `haproxy_timeout`: time for a complete header.
    pub timeout: Duration,
}
