//! The SASL dialogue: AUTHENTICATE, challenges, the client's answers, and how it ends
//! (spec/login-proxy.md 4.6, auth-protocol.md 5.4, 7).

use homing_login::{AuthStart, Mechanism, Note, Output, Refusal, limits::AUTH_REPLY_NOTICE};
use homing_wire::{Secret, is_base64, printable};

use super::{ImapFrontend, Line, Phase, scanner::Token};

impl ImapFrontend {
    /// `response` is what follows the mechanism: nothing for no initial response, `=` for an empty one
    /// (RFC 4959 section 3).
    pub(super) fn authenticate(&mut self, name: &[u8], response: Secret) {
        let response = match response.expose() {
            b"" => None,
            b"=" => Some(Secret::default()),
            _ => Some(response),
        };
        self.ask(name, response);
    }

    /// The refusals, in their order, and then the request.
    pub(super) fn ask(&mut self, name: &[u8], response: Option<Secret>) {
        let policy = self.config.policy;
        let secured = self.client.secured.is_secured();
        if !secured && policy.tls_required {
            self.note(Note::TlsRequired);
            return self.answer("NO [PRIVACYREQUIRED] Authentication not allowed until SSL/TLS is enabled.");
        }
        let Some(mechanism) = Mechanism::find(&self.mechanisms, name) else {
            self.note(Note::UnsupportedMechanism(printable(name)));
            return self.answer("NO [ALERT] Unsupported authentication mechanism.");
        };
        if !secured && policy.disable_plaintext && mechanism.plaintext {
            self.note(Note::PlaintextRefused);
            return self.answer("NO [PRIVACYREQUIRED] Plaintext authentication disabled.");
        }
        if response.as_ref().is_some_and(|r| !is_base64(r.expose())) {
            return self.answer("BAD Invalid base64 data in initial response");
        }
        let start = AuthStart { mechanism: mechanism.name.clone(), initial_response: response };
        self.wait_for_auth();
        self.outputs.push_back(Output::Authenticate(start));
    }

    pub(super) fn challenge(&mut self, challenge: &[u8]) {
        if matches!(self.phase, Phase::Asked) {
            self.show(challenge);
            self.scanner.expect_response();
            self.phase = Phase::Challenged;
        }
    }

    pub(super) fn accepted(&mut self) {
        if matches!(self.phase, Phase::Asked) {
            self.notice = None;
            self.phase = Phase::Accepted;
        }
    }

    /// The login has failed; what the client sent behind it is read next.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        match self.phase {
            Phase::Asked | Phase::Accepted => {}
            // The request is gone while the client answers, perhaps in the middle of a line.
            Phase::Challenged => {
                let begun = self.scanner.abandon_response();
                self.line = if begun { Line::Answered } else { Line::Fresh };
            }
            _ => return,
        }
        self.notice = None;
        match &refusal.final_challenge {
            Some(data) if matches!(self.phase, Phase::Asked) => {
                let data = data.clone();
                self.show(&data);
                self.scanner.skip_line();
                self.phase = Phase::Parting(refusal);
            }
            _ => {
                self.phase = Phase::Commands;
                self.say_refusal(&refusal);
            }
        }
    }

    /// The client's answer to a challenge. The auth protocol carries it unescaped, so only base64 may pass
    /// (auth-protocol.md 10.6).
    pub(super) fn take_response(&mut self, token: Token) {
        let Token::Response(response) = token else { return };
        if response.expose() == b"*" {
            self.note(Note::AuthAborted);
            self.cancel("BAD Authentication aborted by client.");
        } else if is_base64(response.expose()) {
            self.wait_for_auth();
            self.outputs.push_back(Output::Respond(response));
        } else {
            self.cancel("BAD Invalid base64 data in continued response");
        }
    }

    /// The line that a final challenge waits for; its content does not matter.
    pub(super) fn swallow(&mut self, token: &Token) {
        if *token != Token::End {
            return;
        }
        if let Phase::Parting(refusal) = std::mem::replace(&mut self.phase, Phase::Commands) {
            self.say_refusal(&refusal);
        }
    }

    /// `+ data`; the space is there even without data.
    fn show(&mut self, challenge: &[u8]) {
        self.notice = None;
        self.send([b"+ ", challenge, b"\r\n"].concat());
    }

    fn wait_for_auth(&mut self) {
        self.notice = Some(self.now + AUTH_REPLY_NOTICE);
        self.phase = Phase::Asked;
    }

    fn cancel(&mut self, text: &str) {
        self.phase = Phase::Commands;
        self.outputs.push_back(Output::CancelAuth);
        self.answer(text);
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
