//! What is known about a login when something is logged about it.

use std::net::SocketAddr;

use homing_login::{ClientIdentity, Secured, Service, UserName};
use homing_wire::{Fields, SessionId, printable};

/// Everything a log line may show. Keep one per connection and update it as more becomes known.
#[derive(Debug, Clone)]
pub struct LoginContext {
    /// Names the process in front of the line.
    pub service: Service,
    /// As of now: from the client, later from the auth service.
    pub user: UserName,
    /// As the client sent it.
    pub orig_user: UserName,
    /// Whose password was checked, if it was a master user's.
    pub auth_user: UserName,
    /// As the client spelled it; shown in upper case. Empty before any attempt.
    pub mechanism: String,
    /// Client address, `%r` and `%b`.
    pub remote: SocketAddr,
    /// Local address, `%l` and `%a`.
    pub local: SocketAddr,
    /// The connection's own.
    pub real_remote: SocketAddr,
    /// The connection's own.
    pub real_local: SocketAddr,
    /// Session id.
    pub session: SessionId,
    /// The address in `remote` is trusted: its failures must not lead to a ban.
    pub trusted: bool,
    /// For `%c`.
    pub tls: TlsState,
    /// For `%k`; see `TlsFacts::description`.
    pub cipher: String,
    /// Name of the listener.
    pub listener: String,
    /// SNI name or the like.
    pub local_name: String,
    /// Fields of the auth service's `OK`, for `%{passdb:FIELD}`.
    pub passdb: Fields,
}

/// How the connection is secured, with the last TLS error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsState {
    /// Not at all.
    #[default]
    None,
    /// Without TLS: the same machine or a trusted network.
    Secured,
    /// In the middle of the handshake.
    Handshaking(Option<String>),
    /// TLS is up, here or at the balancer.
    Up(Option<String>),
}

impl LoginContext {
    /// What is known at accept. A client whose address was given by a trusted proxy is not itself trusted.
    pub fn of(client: &ClientIdentity) -> Self {
        Self {
            service: client.service,
            user: UserName::default(),
            orig_user: UserName::default(),
            auth_user: UserName::default(),
            mechanism: String::new(),
            remote: client.remote,
            local: client.local,
            real_remote: client.real_remote,
            real_local: client.real_local,
            session: client.session.clone(),
            trusted: client.trusted && client.remote.ip() == client.real_remote.ip(),
            tls: TlsState::of(client.secured),
            cipher: String::new(),
            listener: String::new(),
            local_name: client.local_name.clone().unwrap_or_default(),
            passdb: Fields::new(),
        }
    }
}

impl TlsState {
    fn of(secured: Secured) -> Self {
        match secured {
            Secured::No => Self::None,
            Secured::Yes => Self::Secured,
            Secured::Tls => Self::Up(None),
        }
    }

    /// The value of `%c`.
    pub(super) fn text(&self) -> String {
        let with = |word: &str, error: &Option<String>| match error {
            None => word.to_owned(),
            Some(error) => format!("{word}: {}", printable(error.as_bytes())),
        };
        match self {
            Self::None => String::new(),
            Self::Secured => "secured".to_owned(),
            Self::Handshaking(error) => with("TLS handshaking", error),
            Self::Up(error) => with("TLS", error),
        }
    }
}
