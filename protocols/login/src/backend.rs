//! The client side of a login dialogue with the user's backend.

use bytes::Bytes;
use homing_wire::Secret;

use crate::{ClientIdentity, ForwardField, UserName};

/// What a backend dialogue needs to log one user in.
#[derive(Debug, Clone)]
pub struct BackendLogin {
    /// User at the backend (`destuser`).
    pub user: UserName,
    /// Password at the backend, or the token for token mechanisms.
    pub password: Secret,
    /// Authenticate as this user on behalf of `user`.
    pub master: Option<UserName>,
    /// SASL mechanism, upper case, one of those in `homing-sasl`; `None`: the dialect's own login.
    pub mechanism: Option<String>,
    /// Upgrade by STARTTLS before the login.
    pub starttls: bool,
    /// TLS is up from the start.
    pub tls: bool,
    /// Send no ID (IMAP) and no XCLIENT (POP3).
    pub not_trusted: bool,
    /// Wait for each answer (IMAP).
    pub no_pipelining: bool,
    /// The client: addresses, session id, ttl (its own; the dialogue sends `ttl - 1`), retained ID.
    pub client: ClientIdentity,
    /// `forward_` fields of the auth reply, prefix removed, in order.
    pub forward: Vec<ForwardField>,
    /// IMAP: the client ignores the greeting's capabilities, so ask the backend for its own.
    pub ask_capabilities: bool,
    /// IMAP: the backend's capabilities remembered from an earlier attempt of this client connection.
    pub known_capabilities: Option<String>,
}

/// What happens to a backend dialogue.
#[derive(Debug)]
pub enum BackendInput<'a> {
    /// Bytes from the backend. Any amount; the dialogue bounds what it keeps.
    Bytes(&'a [u8]),
    /// The handshake asked for by [`BackendOutput::StartTls`] is done.
    TlsUp,
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum BackendOutput {
    /// Write to the backend. May hold credentials.
    Send(Secret),
    /// Do the TLS handshake and report [`BackendInput::TlsUp`].
    StartTls,
    /// Pass this line (with CR LF) on to the client.
    ClientLine(Bytes),
    /// Something odd but harmless, for the log; already escaped.
    Warning(String),
    /// Logged in. No output follows.
    LoggedIn(BackendSuccess),
    /// The attempt failed. No output follows.
    Failed(BackendFailure),
}

/// A finished backend login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSuccess {
    /// IMAP: the text behind `L OK `. POP3 and ManageSieve: the whole line. Without CR LF.
    pub reply: Vec<u8>,
    /// IMAP: capabilities known from the banner or an untagged CAPABILITY.
    pub capabilities: Option<String>,
    /// Bytes that arrived behind the success line; they go to the client next.
    pub unread: Bytes,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendFailure {
    /// Decides retries, the client's text and the log level.
    pub class: FailureClass,
    /// For the log, escaped, without secrets.
    pub text: String,
    /// The backend's refusal where the client may see it (see [`crate::RefusalKind::Backend`]).
    pub reply: Option<Vec<u8>>,
}

/// Failure classes (spec/login-proxy.md 7.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// No connection, or it ended before the answer.
    Connect,
    /// Our side cannot do it.
    Internal,
    /// The backend does not speak the protocol.
    Protocol,
    /// The backend refused a preparatory command.
    Remote,
    /// The backend can never accept this login as configured.
    RemoteConfig,
    /// The backend says: try later.
    AuthTempFail,
    /// The backend refused the login.
    Auth,
}

impl FailureClass {
    /// True if another attempt may help.
    pub fn is_retried(self) -> bool {
        matches!(self, Self::Connect | Self::Protocol | Self::Remote | Self::AuthTempFail)
    }
}

/// The client side of one backend connection. Methods by kind as in [`crate::Frontend`]; time limits are the
/// driver's.
pub trait BackendDialogue: Send {
    /// One event.
    fn handle(&mut self, input: BackendInput<'_>);

    /// The next decision, until `None`.
    fn poll_output(&mut self) -> Option<BackendOutput>;

    /// Name of the state for log lines (spec/login-proxy.md 8.4).
    fn state(&self) -> String;

    /// True while the backend may let the user in: it may have got the password, and has not answered.
    fn may_let_in(&self) -> bool;

    /// IMAP: the backend's capabilities as known now, to be remembered over attempts.
    fn capabilities(&self) -> Option<&str> {
        None
    }
}
