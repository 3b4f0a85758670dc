//! The SASL dialogue: AUTHENTICATE, challenges, the client's answers, and how it ends
//! (spec/login-proxy.md 6.4, auth-protocol.md 5.4, 7).

use homing_login::{AuthStart, Mechanism, Note, Output, Refusal};
use homing_wire::{Secret, is_base64, printable};

use super::{Line, Phase, SieveFrontend};
use crate::{
    scanner::{Arg, Token},
    text,
};

impl SieveFrontend {
    /// The refusals, in their order, and then the request. Without an initial response none is sent, whatever
    /// earlier attempts had (row MS-23).
    pub(super) fn authenticate(&mut self, name: &Secret, response: Option<&Secret>) {
        let policy = self.config.policy;
        let secured = self.client.secured.is_secured();
        if !secured && policy.tls_required {
            self.note(Note::TlsRequired);
            return self.say("NO (ENCRYPT-NEEDED) \"Authentication not allowed until SSL/TLS is enabled.\"");
        }
        let Some(mechanism) = Mechanism::find(&self.mechanisms, name.expose()) else {
            self.note(Note::UnsupportedMechanism(printable(name.expose())));
            return self.say("NO \"Unsupported authentication mechanism.\"");
        };
        if !secured && policy.disable_plaintext && mechanism.plaintext {
            self.note(Note::PlaintextRefused);
            return self.say("NO \"Plaintext authentication disabled.\"");
        }
        if response.is_some_and(|r| !is_base64(r.expose())) {
            return self.say("NO \"Invalid base64 data in initial response\"");
        }
        let start = AuthStart { mechanism: mechanism.name.clone(), initial_response: response.cloned() };
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
                let begun = self.scanner.abandon_response();
                self.line = if begun { Line::Answered } else { Line::Fresh };
            }
            _ => return,
        }
        match &refusal.final_challenge {
            Some(data) if matches!(self.phase, Phase::Asked) => {
                let data = data.clone();
                self.ask(&data);
                self.phase = Phase::Parting(refusal);
            }
            _ => {
                self.phase = Phase::Commands;
                self.say_refusal(&refusal);
            }
        }
    }

    /// One token of the client's answer to a challenge.
    pub(super) fn take_response(&mut self, token: Token) {
        match token {
            Token::Arg(Arg::Text(response)) => {
                self.line = Line::Response(Some(response));
                self.scanner.skip_line();
            }
            Token::Arg(Arg::Atom(_)) => self.answer_line(|this| {
                this.cancel("Invalid AUTHENTICATE client response.");
            }),
            Token::Failed(text) => self.answer_line(|this| this.cancel(text)),
            Token::End => match std::mem::replace(&mut self.line, Line::Fresh) {
                Line::Response(Some(response)) => self.respond(response),
                _ => self.cancel("Received empty AUTHENTICATE client response line."),
            },
            Token::Word(_) | Token::TooLong(_) => {}
        }
    }

    /// One token of the line that a final challenge waits for; its content does not matter.
    pub(super) fn swallow(&mut self, token: &Token) {
        match token {
            Token::End => {
                self.line = Line::Fresh;
                if let Phase::Parting(refusal) = std::mem::replace(&mut self.phase, Phase::Commands) {
                    self.say_refusal(&refusal);
                }
            }
            Token::Arg(_) => self.scanner.skip_line(),
            Token::Word(_) | Token::Failed(_) | Token::TooLong(_) => {}
        }
    }

    fn ask(&mut self, challenge: &[u8]) {
        self.send(text::string_line(challenge));
        self.scanner.expect_response();
        self.line = Line::Response(None);
    }

    /// The auth protocol carries the response unescaped, so only base64 may pass (auth-protocol.md 10.6).
    fn respond(&mut self, response: Secret) {
        if response.expose() == b"*" {
            self.note(Note::AuthAborted);
            self.cancel("Authentication aborted by client.");
        } else if is_base64(response.expose()) {
            self.phase = Phase::Asked;
            self.outputs.push_back(Output::Respond(response));
        } else {
            self.cancel("Invalid base64 data in continued response");
        }
    }

    fn cancel(&mut self, text: &str) {
        self.phase = Phase::Commands;
        self.outputs.push_back(Output::CancelAuth);
        self.say_text("NO", text);
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
