//! What can go wrong at the auth service's end, in words for the log. No variant carries fields of a reply: they
//! may be passwords.

use thiserror::Error;

/// The service broke the protocol: the connection must be closed (spec/auth-protocol.md 2.4, 5.5). The texts are
/// those of the reference where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// No VERSION line first, or another major version than 1.
    #[error("Authentication server not compatible with this client (mixed old and new binaries?)")]
    Incompatible,
    /// An opening line with an unknown command word.
    #[error("Auth server sent unknown handshake: {0}")]
    UnknownOpening(String),
    /// `MECH` without a name.
    #[error("BUG: Authentication server sent broken MECH line")]
    BrokenMech,
    /// More mechanisms than [`crate::MECHANISMS_MAX`].
    #[error("Authentication server sent too many mechanisms")]
    TooManyMechs,
    /// `SPID` or `CUID` without a number; the word.
    #[error("BUG: Authentication server sent broken {0} line")]
    BrokenNumber(&'static str),
    /// An empty or second `COOKIE`.
    #[error("BUG: Authentication server sent invalid cookie")]
    BrokenCookie,
    /// `DONE` before any `MECH`.
    #[error("BUG: Authentication server returned no mechanisms")]
    NoMechs,
    /// `DONE` before `COOKIE`.
    #[error("BUG: Authentication server sent handshake without a cookie")]
    NoCookie,
    /// A reply word other than OK, FAIL and CONT; also an empty line.
    #[error("Auth server sent unknown response: {0}")]
    UnknownReply(String),
    /// A reply without a request id, or with one that is no number.
    #[error("BUG: Authentication server input missing ID")]
    MissingId,
    /// `CONT` without data, or with data that is no base64.
    #[error("BUG: Authentication server sent broken CONT line")]
    BrokenCont,
    /// A second `CONT` although the first one was not answered yet.
    #[error("Authentication server sent CONT twice")]
    UnexpectedCont,
    /// `OK` although a `CONT` was not answered yet: nobody has proven anything.
    #[error("Authentication server sent OK before its CONT was answered")]
    UnexpectedOk,
    /// A line over [`homing_login::limits::AUTH_LINE_BYTES_MAX`].
    #[error("BUG: Auth server sent us more than 16384 bytes of data")]
    LineTooLong,
}

/// Why a request cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BeginError {
    /// The opening is not complete: there is nobody to ask.
    #[error("the auth service is not connected")]
    NotReady,
    /// The service does not have the mechanism (any more). Asking would make it close the connection.
    #[error("the auth service does not have this mechanism")]
    UnknownMechanism,
    /// [`crate::REQUESTS_OPEN_MAX`] requests are open, or the service does not read what is sent.
    #[error("too many requests wait for the auth service")]
    Busy,
    /// The request does not fit into one line.
    #[error("the auth request is too long")]
    TooLong,
}
