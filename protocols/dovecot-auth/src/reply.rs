//! The three reply lines of a server (spec/auth-protocol.md 4). Knows no open requests.

use homing_login::{AuthReply, FailReply, OkReply};
use homing_wire::{Fields, is_base64, printable};

use crate::ProtocolError;

/// Reads one line without its line end: the request id, and what is said about it.
pub(crate) fn parse(line: &[u8]) -> Result<(u32, AuthReply), ProtocolError> {
    let mut parts = line.splitn(3, |b| *b == b'\t');
    let word = parts.next().unwrap_or_default();
    let (id, rest) = (parts.next(), parts.next());
    if !matches!(word, b"OK" | b"FAIL" | b"CONT") {
        return Err(ProtocolError::UnknownReply(printable(word)));
    }
    let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok()).ok_or(ProtocolError::MissingId)?;
    let fields = || Fields::parse(rest.unwrap_or_default());
    let reply = match word {
        b"OK" => AuthReply::Ok(OkReply { fields: fields() }),
        b"FAIL" => AuthReply::Fail(FailReply { fields: fields() }),
        _ => AuthReply::Challenge(challenge(rest)?),
    };
    Ok((id, reply))
}

/// The challenge goes into a line of the client's protocol, so anything but base64 could forge such lines.
fn challenge(rest: Option<&[u8]>) -> Result<Vec<u8>, ProtocolError> {
    let data = rest.and_then(|rest| rest.split(|b| *b == b'\t').next());
    data.filter(|data| is_base64(data)).map(<[u8]>::to_vec).ok_or(ProtocolError::BrokenCont)
}

/// True if the service keeps the finished request for a local login that a proxy never makes
/// (spec/auth-protocol.md 4.2, 5.3).
pub(crate) fn awaits_local_login(reply: &AuthReply) -> bool {
    matches!(reply, AuthReply::Ok(ok) if !ok.fields.has("proxy") && !ok.fields.has("nologin"))
}

/// What the service itself says about a response that is not base64 (spec/auth-protocol.md 3.3).
pub(crate) fn invalid_base64() -> AuthReply {
    let fields = Fields::new()
        .with("code", "invalid_base64")
        .with("reason", "Invalid base64 data in continued response");
    AuthReply::Fail(FailReply { fields })
}
