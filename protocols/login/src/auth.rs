//! Auth requests and replies, independent of how they are carried (spec/auth-protocol.md 3, 4).

use homing_wire::{Fields, Secret};

use crate::{ClientIdentity, TlsFacts};

/// One SASL mechanism the auth service offers (spec/auth-protocol.md 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mechanism {
    /// Name as the service spells it.
    pub name: String,
    /// Never advertised, never accepted from clients.
    pub private: bool,
    /// Gives access without identity.
    pub anonymous: bool,
    /// Sends the password readable: only on secured connections, unless allowed by the settings.
    pub plaintext: bool,
}

impl Mechanism {
    /// Finds a mechanism that clients may use, ignoring case.
    pub fn find<'a>(list: &'a [Self], name: &[u8]) -> Option<&'a Self> {
        list.iter().find(|m| !m.private && m.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// A request to authenticate one client.
#[derive(Debug, Clone)]
pub struct AuthRequest {
    /// Mechanism name as the service spells it.
    pub mechanism: String,
    /// Base64 as the client sent it. `Some` and empty: an empty initial response; `None`: none.
    pub initial_response: Option<Secret>,
    /// Addresses, session id, forward fields and the like.
    pub client: ClientIdentity,
    /// Set if TLS is active here.
    pub tls: Option<TlsFacts>,
}

/// What the auth service says next.
#[derive(Debug, Clone)]
pub enum AuthReply {
    /// Ask the client for more: base64, passed on as it is.
    Challenge(Vec<u8>),
    /// Accepted.
    Ok(OkReply),
    /// Refused.
    Fail(FailReply),
    /// The service went away while the request was open: a temporary failure.
    Lost,
}

/// Fields of an `OK` line. `Debug` shows keys only.
#[derive(Debug, Clone, Default)]
pub struct OkReply {
    /// In the order received.
    pub fields: Fields,
}

/// Fields of a `FAIL` line. Only `user`, `code`, `reason` and `resp` may be used
/// (spec/auth-protocol.md 10.5).
#[derive(Debug, Clone, Default)]
pub struct FailReply {
    /// In the order received.
    pub fields: Fields,
}
