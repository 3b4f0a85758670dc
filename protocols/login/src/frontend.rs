//! The server side of a login dialogue, as its driver sees it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use homing_wire::Secret;

use crate::{BackendSuccess, ClientIdentity, Mechanism, Refusal, TlsFacts};

/// What happens to a frontend.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the client, at most [`Frontend::room`] of them.
    Bytes(&'a [u8]),
    /// The client closed its sending side.
    Eof,
    /// The TLS handshake is done: after [`Output::StartTls`], or before the greeting on a TLS listener.
    TlsUp(TlsFacts),
    /// The auth service can be asked; the mechanisms it offers. Sent again after every reconnect.
    AuthUp(Arc<[Mechanism]>),
    /// The auth service cannot be asked for now.
    AuthDown,
    /// Base64 challenge for the client; answered by [`Output::Respond`] or [`Output::CancelAuth`].
    Challenge(&'a [u8]),
    /// The auth service accepted; placing the user and the backend login follow.
    AuthDone,
    /// The login ended without success, by the auth service, the director or the backend.
    Refused(Refusal),
    /// An untagged line of the backend to be passed on during login (IMAP only), with its CR LF.
    BackendLine(&'a [u8]),
    /// The backend accepted.
    LoggedIn(BackendSuccess),
    /// End the connection with the dialect's words for this reason.
    Goodbye(Goodbye),
    /// [`Frontend::poll_timeout`] has passed.
    Tick,
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Output {
    /// Write to the client. Never holds secrets.
    Send(Bytes),
    /// Flush what was sent, then do the TLS handshake and report [`Input::TlsUp`].
    StartTls,
    /// Ask the auth service. Nothing is read until the answer.
    Authenticate(AuthStart),
    /// The client's answer to a challenge: base64, checked to have only base64 characters.
    Respond(Secret),
    /// Forget the open auth request.
    CancelAuth,
    /// The dialogue is over: forward bytes from now on, these first.
    Handoff {
        /// What the client pipelined behind its login, in order, once.
        unread: Bytes,
    },
    /// Something for the log.
    Note(Note),
    /// Flush, then close the connection. No output follows.
    Close(CloseReason),
}

/// The start of a SASL exchange.
#[derive(Debug)]
pub struct AuthStart {
    /// Mechanism as the auth service spells it.
    pub mechanism: String,
    /// Base64 as the client sent it, only base64 characters; `Some` and empty means an empty response.
    pub initial_response: Option<Secret>,
}

/// Why the driver ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// The program stops.
    Shutdown,
    /// Room is needed for newer connections.
    QueueFull,
    /// TLS cannot be set up on our side.
    TlsFailed,
}

/// Why a frontend closes; the words of the log line `Disconnected: REASON` (spec/login-proxy.md 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed.
    ConnectionClosed,
    /// [`crate::limits::LOGIN_TIMEOUT`] passed.
    Inactivity,
    /// The same, with an auth request open.
    InactivityDuringAuth,
    /// LOGOUT or QUIT.
    Logout,
    /// Too many bad commands.
    TooManyBadCommands,
    /// A line or argument over [`crate::limits::INPUT_BYTES_MAX`], or a literal over its limit.
    InputBufferFull,
    /// A SASL response over [`crate::limits::SASL_RESPONSE_BYTES_MAX`].
    AuthResponseTooLarge,
    /// Bytes arrived behind STARTTLS in the clear.
    PlaintextBehindStartTls,
    /// [`Goodbye::QueueFull`].
    QueueFull,
    /// [`Goodbye::Shutdown`].
    Shutdown,
    /// [`Goodbye::TlsFailed`].
    TlsFailed,
}

/// Things a frontend sees that belong in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A plaintext login was refused on an unsecured connection.
    PlaintextRefused,
    /// A login was refused because TLS is required.
    TlsRequired,
    /// The mechanism is unknown.
    UnsupportedMechanism(String),
    /// The client aborted a SASL exchange.
    AuthAborted,
    /// The client's IMAP ID, as `imap_id_log` selects it: `key=value, key2=NIL`.
    ClientId(String),
}

/// The settings every dialect obeys about plaintext and TLS (spec/login-proxy.md 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityPolicy {
    /// STARTTLS can be offered (`ssl` is not `no` and a certificate is there).
    pub tls_available: bool,
    /// `ssl = required`.
    pub tls_required: bool,
    /// `disable_plaintext_auth`.
    pub disable_plaintext: bool,
}

/// The server side of one client connection before login.
///
/// Methods by kind: `handle` takes events in; `poll_output` gives decisions out and is drained until `None`
/// after every `handle`; `poll_timeout`, `room`, `client`, `tls` are getters.
pub trait Frontend: Send {
    /// One event. `now` never goes backwards.
    fn handle(&mut self, now: Instant, input: Input<'_>);

    /// The next decision.
    fn poll_output(&mut self) -> Option<Output>;

    /// When [`Input::Tick`] is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// How many bytes the driver may read and pass in now; 0 while nothing may be read.
    fn room(&self) -> usize;

    /// The client as known now, changes by a trusted proxy included.
    fn client(&self) -> &ClientIdentity;

    /// IMAP: the client asked for capabilities itself and so ignores those of the greeting
    /// (spec/login-proxy.md 4.4). Other dialects: false.
    fn ignores_greeting_capabilities(&self) -> bool {
        false
    }
}
