//! Why a login was refused, in a form that each dialect turns into its own words
//! (spec/auth-protocol.md 6, spec/login-proxy.md 7.8).

use homing_wire::url_encode;

/// Text shown when no better one is known.
pub const AUTHENTICATION_FAILED: &str = "Authentication failed.";
/// Text shown when the user's backend cannot be used.
pub const TEMPORARILY_UNAVAILABLE: &str = "Account is temporarily unavailable.";

/// A refused login. The connection stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// Text of the auth service for the client, without control characters.
    pub reason: Option<String>,
    /// Final SASL data (base64) to show as a challenge before the failure; one line of input is swallowed
    /// (spec/auth-protocol.md 5.4).
    pub final_challenge: Option<Vec<u8>>,
}

impl Refusal {
    /// A refusal without reason and final data.
    pub fn new(kind: RefusalKind) -> Self {
        Self { kind, reason: None, final_challenge: None }
    }
}

/// Kinds of refusal; the table in spec/auth-protocol.md 6 has a row for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// Wrong user or password; also unknown codes.
    AuthFailed,
    /// `code=temp_fail`, a lost auth service, or no backend. `stamp` is `HOST:YYYY-MM-DD HH:MM:SS`.
    TempFail {
        /// Host name and local time, to find the log line.
        stamp: String,
    },
    /// `code=authz_fail`.
    AuthzFailed,
    /// `code=user_disabled`.
    UserDisabled,
    /// `code=pass_expired`.
    PassExpired,
    /// `code=invalid_base64`.
    InvalidBase64,
    /// `code=auth_mech_invalid`.
    MechInvalid,
    /// `code=auth_mech_ssl_required`.
    MechSslRequired,
    /// `code=anonymous_denied`.
    AnonymousDenied,
    /// `nologin` without a host.
    LoginDisabled,
    /// `nologin` with a host.
    Referral {
        /// `destuser` or `user`.
        user: Vec<u8>,
        /// Mechanism the client used.
        mechanism: String,
        /// Where to go.
        host: String,
        /// Only if not the default of the service.
        port: Option<u16>,
    },
    /// The backend cannot be used now (classes connect, internal, protocol, remote).
    Unavailable,
    /// The backend cannot be used until somebody fixes it (class remote config).
    ServerBug,
    /// The backend refused the login in words that are not shown.
    BackendAuthFailed,
    /// The backend refused the login; its words are shown. IMAP: the line without its tag (`NO [LIMIT] ...`);
    /// POP3 and ManageSieve: the whole line. Without CR LF.
    Backend(Vec<u8>),
}

/// `user;AUTH=mechanism@host[:port]` of a referral's URL (RFC 5092 sections 3, 4). It may stand in the open, so every
/// part is encoded.
pub fn referral_server(user: &[u8], mechanism: &str, host: &str, port: Option<u16>) -> String {
    let (user, mechanism) = (url_encode(user), url_encode(mechanism.as_bytes()));
    let host = match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => url_encode(host.as_bytes()),
    };
    let port = port.map(|p| format!(":{p}")).unwrap_or_default();
    format!("{user};AUTH={mechanism}@{host}{port}")
}
