//! The SASL dialogue: AUTH, challenges, the client's answers, and how it ends (spec/login-proxy.md 5.2, 5.4,
//! auth-protocol.md 5.4, 7).

use homing_login::{CloseReason, Refusal};
use homing_wire::Secret;

use super::{Line, Pop3Frontend};

impl Pop3Frontend {
    /// `response` is passed on unchanged, `=` included.
    pub(super) fn authenticate(&mut self, name: &[u8], response: Option<Secret>) {
        if let Err(denial) = self.talk.ask(name, response) {
            self.say_denial(denial);
        }
    }

    pub(super) fn refused(&mut self, refusal: &Refusal, answering: bool) {
        if answering && !self.response.is_empty() {
            self.response.consume(self.response.len());
            self.line = Line::Skipped;
        }
        self.say_refusal(refusal);
    }

    /// Reads an initial or continued response as far as it has come; false if more input is needed.
    pub(super) fn read_response(&mut self) -> bool {
        let held = self.talk.input.as_slice();
        let end = held.iter().position(|b| *b == b'\n');
        let piece = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
        let used = piece.len() + usize::from(end.is_some());
        if self.response.extend(piece).is_err() {
            self.talk.close(CloseReason::AuthResponseTooLarge);
            return false;
        }
        self.talk.input.consume(used);
        if end.is_some() {
            self.take_response();
        }
        end.is_some()
    }

    fn take_response(&mut self) {
        let line = self.response.as_slice();
        let response = Secret::from(line.strip_suffix(b"\r").unwrap_or(line));
        self.response.consume(self.response.len());
        match std::mem::replace(&mut self.line, Line::Fresh) {
            Line::InitialResponse(mechanism) => {
                self.bad_commands = 0;
                // Nothing behind the space is no initial response (spec/login-proxy.md 4.6).
                self.authenticate(&mechanism, Some(response).filter(|r| !r.is_empty()));
            }
            Line::Fresh | Line::Skipped => self.respond(response),
        }
    }

    /// Drops a line, however long; false if its end has not come.
    pub(super) fn skip_line(&mut self) -> bool {
        let end = self.talk.input.as_slice().iter().position(|b| *b == b'\n');
        self.talk.input.consume(end.map_or(self.talk.input.len(), |at| at + 1));
        if end.is_none() {
            return false;
        }
        self.line = Line::Fresh;
        if let Some(refusal) = self.talk.part() {
            self.say_refusal(&refusal);
        }
        true
    }

    /// Base64 is the service's; a reference server sends nothing else, and nothing else may end the line.
    pub(super) fn show(&mut self, challenge: &[u8]) {
        let mut line = b"+ ".to_vec();
        line.extend(challenge.iter().filter(|b| !matches!(b, b'\r' | b'\n')));
        line.extend_from_slice(b"\r\n");
        self.talk.send(line);
    }

    fn respond(&mut self, response: Secret) {
        if let Err(denial) = self.talk.respond(response) {
            self.say_denial(denial);
        }
    }
}
