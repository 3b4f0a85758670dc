//! Who the client is: addresses, session id, how the connection is secured, and what a trusted proxy said.

use std::net::SocketAddr;

use homing_wire::SessionId;

use crate::limits::PROXY_TTL;

/// The mail service a client talks to. The names are those of the auth protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// RFC 3501 / RFC 9051.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5804.
    Sieve,
}

impl Service {
    /// The name in auth requests: `imap`, `pop3`, `sieve`.
    pub fn auth_name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Sieve => "sieve",
        }
    }

    /// The name of the login process in logs: `imap-login`, `pop3-login`, `managesieve-login`.
    pub fn login_name(self) -> &'static str {
        match self {
            Self::Imap => "imap-login",
            Self::Pop3 => "pop3-login",
            Self::Sieve => "managesieve-login",
        }
    }

    /// The port of a backend when the auth reply names none (spec/auth-protocol.md 5.1).
    pub fn default_port(self, tls_from_start: bool) -> u16 {
        match (self, tls_from_start) {
            (Self::Imap, false) => 143,
            (Self::Imap, true) => 993,
            (Self::Pop3, false) => 110,
            (Self::Pop3, true) => 995,
            (Self::Sieve, _) => 4190,
        }
    }
}

/// Whether passwords may be sent in the clear on this connection (spec/login-proxy.md 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secured {
    /// Not secured.
    #[default]
    No,
    /// A trusted network or this machine itself.
    Yes,
    /// TLS ends here, or a PROXY header says that it ended at the balancer.
    Tls,
}

impl Secured {
    /// True unless [`Secured::No`].
    pub fn is_secured(self) -> bool {
        self != Self::No
    }
}

/// What a finished TLS handshake told about the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// Name in the SNI extension, as sent.
    pub server_name: Option<String>,
    /// A certificate was presented and verified.
    pub valid_client_cert: bool,
    /// User name taken from a valid certificate (`ssl_cert_username_field`).
    pub cert_username: Option<String>,
    /// Protocol and cipher for `%k` in the log, e.g. `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384`.
    pub description: String,
}

/// One `forward_` field: passed from trusted proxies to the auth service, and from there to backends.
#[derive(Clone, PartialEq, Eq)]
pub struct ForwardField {
    /// Key without any prefix, case kept.
    pub key: Vec<u8>,
    /// `None` for a bare word.
    pub value: Option<Vec<u8>>,
}

/// Shows the key only; the value may be confidential.
impl std::fmt::Debug for ForwardField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&homing_wire::printable(&self.key))
    }
}

/// Everything known about one client. A trusted proxy may change `remote`, `local`, `session`, `ttl` and
/// `forward` by ID or XCLIENT; `secured` and `trusted` are decided at accept and by TLS only.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// Which service it talks to.
    pub service: Service,
    /// Client address, after a PROXY header and a trusted ID or XCLIENT.
    pub remote: SocketAddr,
    /// Address the client connected to, likewise.
    pub local: SocketAddr,
    /// The TCP connection's own peer address.
    pub real_remote: SocketAddr,
    /// The TCP connection's own local address.
    pub real_local: SocketAddr,
    /// Session id, own or from a trusted proxy.
    pub session: SessionId,
    /// Hops left (spec/login-proxy.md 7.2).
    pub ttl: u32,
    /// The client's address is in `login_trusted_networks`.
    pub trusted: bool,
    /// Whether plaintext passwords are acceptable.
    pub secured: Secured,
    /// Forward fields from a trusted proxy.
    pub forward: Vec<ForwardField>,
    /// What `imap_id_retain` keeps: `"key" "value" ...`, at most
    /// [`crate::limits::RETAINED_ID_BYTES_MAX`] bytes.
    pub retained_id: String,
    /// SNI name, or the AUTHORITY of a PROXY v2 header.
    pub local_name: Option<String>,
}

impl ClientIdentity {
    /// A fresh connection without PROXY header or TLS.
    pub fn new(service: Service, remote: SocketAddr, local: SocketAddr, session: SessionId) -> Self {
        Self {
            service,
            remote,
            local,
            real_remote: remote,
            real_local: local,
            session,
            ttl: PROXY_TTL,
            trusted: false,
            secured: Secured::No,
            forward: Vec::new(),
            retained_id: String::new(),
            local_name: None,
        }
    }
}
