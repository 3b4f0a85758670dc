//! Where the clients connect to, who they are, and how long they wait. Fixed before the first connection.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use clap::{Args, ValueEnum};
use tokio_rustls::TlsConnector;

use super::{LoadError, connect};
use crate::bench::Protocol;

/// Options of every scenario.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    /// Address of the proxy.
    #[arg(long, value_name = "IP:PORT")]
    pub(super) to: SocketAddr,
    /// What is spoken there.
    #[arg(long, value_enum, default_value_t = Protocol::Imap)]
    pub(super) protocol: Protocol,
    /// Whether it is encrypted, TLS 1.3 or 1.2.
    #[arg(long, value_enum, default_value_t = Tls::Off)]
    pub(super) tls: Tls,
    /// Resume TLS sessions: the first connections get tickets, the others use them. Otherwise each handshake is full.
    #[arg(long)]
    pub(super) resume: bool,
    /// Offer a post-quantum key exchange, too; otherwise X25519 and P-256 only, so that all servers do the same work.
    #[arg(long)]
    pub(super) post_quantum: bool,
    /// How many different users log in, as `user0`, `user1`, ...
    #[arg(long, default_value_t = 1000)]
    pub(super) users: usize,
    /// Everybody's password.
    #[arg(long, default_value = "pw")]
    pub(super) password: String,
    /// How many logins are under way at once.
    #[arg(long, default_value_t = 16)]
    pub(super) concurrency: usize,
    /// From how many addresses (127.9.x.y) the clients come, if the proxy is on loopback; 0: the kernel chooses.
    #[arg(long, default_value_t = 200)]
    pub(super) sources: usize,
    /// How long a login, a transfer or a round trip may take, in seconds.
    #[arg(long, default_value_t = 60)]
    pub(super) patience: u64,
    /// Say `ready` and go on at a line of standard input: `hold` before its logins, the others after those that they
    /// begin with.
    #[arg(long)]
    pub(super) gate: bool,
    /// Report as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Tls {
    /// None.
    Off,
    /// From the first byte.
    Implicit,
    /// By the protocol's command.
    Starttls,
}

/// The options, and what is made of them once.
pub(super) struct Site {
    /// The options.
    pub(super) common: Common,
    /// TLS, with the store of tickets.
    pub(super) tls: TlsConnector,
}

impl Site {
    pub(super) fn new(common: Common) -> Result<Self, LoadError> {
        let tls = connect::connector(common.resume, common.post_quantum)?;
        if common.users == 0 || common.concurrency == 0 {
            return Err(LoadError::Setup("--users and --concurrency must be at least 1".to_owned()));
        }
        Ok(Self { common, tls })
    }

    /// Name of the user of the n-th session.
    pub(super) fn user(&self, n: usize) -> String {
        format!("user{}", n.checked_rem(self.common.users).unwrap_or_default())
    }

    /// Address that the n-th session comes from; `None` leaves it to the kernel.
    pub(super) fn source(&self, n: usize) -> Option<SocketAddr> {
        let place = n.checked_rem(self.common.sources)?;
        if !self.common.to.ip().is_loopback() || !self.common.to.is_ipv4() {
            return None;
        }
        // 127.9.0.1 to 127.9.255.250: no address that ends in 0 or 255.
        let high = u8::try_from((place / 250) % 256).unwrap_or_default();
        let low = u8::try_from(place % 250).unwrap_or_default().saturating_add(1);
        Some(SocketAddr::new(Ipv4Addr::new(127, 9, high, low).into(), 0))
    }

    /// How long a step may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.common.patience)
    }
}
