//! How the dialogue ends: by the hand-over to the backend, in time, or in the middle
//! (spec/login-proxy.md 3.7, 3.8, 8.1.7, 9.1).

use bytes::Bytes;
use homing_login::{BackendSuccess, CloseReason, Goodbye, Output};

use super::{ImapFrontend, Phase};

impl ImapFrontend {
    /// An untagged line of the backend, which has its CR LF.
    pub(super) fn pass_on(&mut self, line: &[u8]) {
        if matches!(self.phase, Phase::Asked | Phase::Accepted) {
            self.outputs.push_back(Output::Send(Bytes::copy_from_slice(line)));
        }
    }

    /// The backend's reply is the client's, under its tag; what was pipelined behind the login follows it there.
    pub(super) fn logged_in(&mut self, success: &BackendSuccess) {
        if !matches!(self.phase, Phase::Asked | Phase::Accepted) {
            return;
        }
        let lines = self.success_lines(success);
        self.send(lines);
        let unread = self.input.take();
        self.outputs.push_back(Output::Handoff { unread });
        self.phase = Phase::Over;
    }

    /// Clients that ignore the greeting's capabilities get the backend's untagged; for others they are put into
    /// the reply if it has none (spec/login-proxy.md 8.1.7).
    fn success_lines(&self, success: &BackendSuccess) -> Vec<u8> {
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

    pub(super) fn goodbye(&mut self, goodbye: Goodbye) {
        let (line, reason) = match goodbye {
            Goodbye::Shutdown => ("* BYE Shutting down", CloseReason::Shutdown),
            Goodbye::QueueFull => ("* BYE Connection queue full", CloseReason::QueueFull),
            Goodbye::TlsFailed => ("* BYE [UNAVAILABLE] TLS initialization failed.", CloseReason::TlsFailed),
        };
        // A client that waits for a handshake cannot read words; only a handshake that never comes is told.
        if goodbye == Goodbye::TlsFailed || !matches!(self.phase, Phase::Handshake) {
            self.say(line);
        }
        self.close(reason);
    }

    pub(super) fn time_out(&mut self) {
        match self.phase {
            Phase::Handshake => self.close(CloseReason::Inactivity),
            Phase::Silent | Phase::Commands => {
                self.say("* BYE Disconnected for inactivity.");
                self.close(CloseReason::Inactivity);
            }
            _ => {
                self.say("* BYE Disconnected for inactivity during authentication.");
                self.close(CloseReason::InactivityDuringAuth);
            }
        }
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Asked | Phase::Challenged) {
            self.outputs.push_back(Output::CancelAuth);
        }
        self.phase = Phase::Over;
        self.input.consume(self.input.len());
        self.scanner.skip_line();
        self.outputs.push_back(Output::Close(reason));
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
