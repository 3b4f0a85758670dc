//! The SASL dialogue: AUTH, challenges, the client's answers, and how it ends (spec/login-proxy.md 5.2, 5.4,
//! auth-protocol.md 5.4, 7).

use homing_login::{AuthStart, CloseReason, Mechanism, Note, Output, Refusal};
use homing_wire::{Secret, is_base64, printable};

use super::{Line, Phase, Pop3Frontend};

impl Pop3Frontend {
    /// The refusals, in their order, and then the request. `response` is passed on unchanged, `=` included.
    pub(super) fn authenticate(&mut self, name: &[u8], response: Option<Secret>) {
        let policy = self.config.policy;
        let secured = self.client.secured.is_secured();
        if !secured && policy.tls_required {
            self.note(Note::TlsRequired);
            return self.say("-ERR [AUTH] Authentication not allowed until SSL/TLS is enabled.");
        }
        let Some(mechanism) = Mechanism::find(&self.mechanisms, name) else {
            self.note(Note::UnsupportedMechanism(printable(name)));
            return self.say("-ERR [AUTH] Unsupported authentication mechanism.");
        };
        if !secured && policy.disable_plaintext && mechanism.plaintext {
            self.note(Note::PlaintextRefused);
            return self.say("-ERR [AUTH] Plaintext authentication disabled.");
        }
        if response.as_ref().is_some_and(|r| !is_base64(r.expose())) {
            return self.say("-ERR [AUTH] Invalid base64 data in initial response");
        }
        let start = AuthStart { mechanism: mechanism.name.clone(), initial_response: response };
        self.phase = Phase::Asked;
        self.outputs.push_back(Output::Authenticate(start));
    }

    pub(super) fn challenge(&mut self, challenge: &[u8]) {
        if matches!(self.phase, Phase::Asked) {
            self.ask(challenge);
            self.phase = Phase::Challenged;
        }
    }

    pub(super) fn accepted(&mut self) {
        if matches!(self.phase, Phase::Asked) {
            self.phase = Phase::Accepted;
        }
    }

    /// The login has failed; what the client sent behind it is read next.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        match self.phase {
            Phase::Asked | Phase::Accepted => {}
            // The request is gone while the client answers, perhaps in the middle of a line.
            Phase::Challenged => {
                if !self.response.is_empty() {
                    self.response.consume(self.response.len());
                    self.line = Line::Skipped;
                }
            }
            _ => return,
        }
        match &refusal.final_challenge {
            Some(data) if matches!(self.phase, Phase::Asked) => {
                self.ask(data);
                self.phase = Phase::Parting(refusal);
            }
            _ => {
                self.phase = Phase::Commands;
                self.say_refusal(&refusal);
            }
        }
    }

    /// Reads an initial or continued response as far as it has come; false if more input is needed.
    pub(super) fn read_response(&mut self) -> bool {
        let held = self.input.as_slice();
        let end = held.iter().position(|b| *b == b'\n');
        let piece = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
        let used = piece.len() + usize::from(end.is_some());
        if self.response.extend(piece).is_err() {
            self.close(CloseReason::AuthResponseTooLarge);
            return false;
        }
        self.input.consume(used);
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
        let end = self.input.as_slice().iter().position(|b| *b == b'\n');
        self.input.consume(end.map_or(self.input.len(), |at| at + 1));
        if end.is_none() {
            return false;
        }
        self.line = Line::Fresh;
        if matches!(self.phase, Phase::Parting(_))
            && let Phase::Parting(refusal) = std::mem::replace(&mut self.phase, Phase::Commands)
        {
            self.say_refusal(&refusal);
        }
        true
    }

    /// Base64 is the service's; a reference server sends nothing else, and nothing else may end the line.
    fn ask(&mut self, challenge: &[u8]) {
        let mut line = b"+ ".to_vec();
        line.extend(challenge.iter().filter(|b| !matches!(b, b'\r' | b'\n')));
        line.extend_from_slice(b"\r\n");
        self.send(line);
    }

    /// The auth protocol carries the response unescaped, so only base64 may pass (auth-protocol.md 10.6).
    fn respond(&mut self, response: Secret) {
        if response.expose() == b"*" {
            self.note(Note::AuthAborted);
            self.cancel("-ERR Authentication aborted by client.");
        } else if is_base64(response.expose()) {
            self.phase = Phase::Asked;
            self.outputs.push_back(Output::Respond(response));
        } else {
            self.cancel("-ERR [AUTH] Invalid base64 data in continued response");
        }
    }

    fn cancel(&mut self, line: &str) {
        self.phase = Phase::Commands;
        self.outputs.push_back(Output::CancelAuth);
        self.say(line);
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
