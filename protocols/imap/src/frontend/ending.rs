//! How the dialogue ends: by the hand-over to the backend, in time, or in the middle
//! (spec/login-proxy.md 3.7, 3.8, 8.1.7, 9.1).

use homing_login::{BackendSuccess, conversation::Farewells};

use super::ImapFrontend;

pub(super) const FAREWELLS: Farewells = Farewells {
    shutdown: "* BYE Shutting down",
    queue_full: "* BYE Connection queue full",
    tls_failed: "* BYE [UNAVAILABLE] TLS initialization failed.",
    inactivity: "* BYE Disconnected for inactivity.",
    inactivity_during_auth: "* BYE Disconnected for inactivity during authentication.",
};

impl ImapFrontend {
    /// The backend's reply under the client's tag.
    ///
    /// Clients that ignore the greeting's capabilities get the backend's untagged; for others they are put into
    /// the reply if it has none (spec/login-proxy.md 8.1.7).
    pub(super) fn success_lines(&self, success: &BackendSuccess) -> Vec<u8> {
        let reply = success.reply.as_slice();
        let listed = capabilities_in(reply);
        let known = listed.or(success.capabilities.as_deref().map(str::as_bytes));
        match known {
            Some(known) if self.ignores_greeting_capabilities => {
                let untagged = [b"* CAPABILITY ", known, b"\r\n"].concat();
                [untagged, self.tagged(&[b"OK ", reply].concat())].concat()
            }
            Some(known) if listed.is_none() => {
                self.tagged(&[b"OK [CAPABILITY ", known, b"] ", without_code(reply)].concat())
            }
            _ => self.tagged(&[b"OK ", reply].concat()),
        }
    }
}

/// The list in a response code at the start of a reply.
fn capabilities_in(reply: &[u8]) -> Option<&[u8]> {
    let list = reply.strip_prefix(b"[CAPABILITY ")?;
    list.split(|b| *b == b']').next()
}

/// The reply without the response code at its start, whose place is needed. The reference leaves a `]`
/// (spec/login-proxy.md 15, row 2).
fn without_code(reply: &[u8]) -> &[u8] {
    if !reply.starts_with(b"[") {
        return reply;
    }
    let end = reply.iter().position(|b| *b == b']').map_or(reply.len(), |at| at + 1);
    let rest = reply.get(end..).unwrap_or_default();
    rest.strip_prefix(b" ").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_are_found_and_dropped() {
        assert_eq!(capabilities_in(b"[CAPABILITY A B] x"), Some(&b"A B"[..]));
        assert_eq!(capabilities_in(b"[CAPABILITY A"), Some(&b"A"[..]));
        assert_eq!(capabilities_in(b"x [CAPABILITY A]"), None);
        for (reply, rest) in
            [("[A 1] x", "x"), ("[A]x", "x"), ("[A", ""), ("[]", ""), ("x [A]", "x [A]"), ("", "")]
        {
            assert_eq!(without_code(reply.as_bytes()), rest.as_bytes(), "{reply}");
        }
    }
}
