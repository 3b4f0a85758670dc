//! The SASL dialogue: AUTHENTICATE, challenges, the client's answers, and how it ends
//! (spec/login-proxy.md 6.4, auth-protocol.md 5.4, 7).

use homing_login::Refusal;
use homing_wire::Secret;

use super::{Line, SieveFrontend};
use crate::{
    scanner::{Arg, Token},
    text,
};

impl SieveFrontend {
    /// Without an initial response none is sent, whatever earlier attempts had (row MS-23).
    pub(super) fn authenticate(&mut self, name: &Secret, response: Option<&Secret>) {
        if let Err(denial) = self.talk.ask(name.expose(), response.cloned()) {
            self.say_denial(denial);
        }
    }

    pub(super) fn refused(&mut self, refusal: &Refusal, answering: bool) {
        if answering {
            let begun = self.scanner.abandon_response();
            self.line = if begun { Line::Answered } else { Line::Fresh };
        }
        self.say_refusal(refusal);
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
                if let Some(refusal) = self.talk.part() {
                    self.say_refusal(&refusal);
                }
            }
            Token::Arg(_) => self.scanner.skip_line(),
            Token::Word(_) | Token::Failed(_) | Token::TooLong(_) => {}
        }
    }

    pub(super) fn show(&mut self, challenge: &[u8]) {
        self.talk.send(text::string_line(challenge));
        self.scanner.expect_response();
        self.line = Line::Response(None);
    }

    fn respond(&mut self, response: Secret) {
        if let Err(denial) = self.talk.respond(response) {
            self.say_denial(denial);
        }
    }

    fn cancel(&mut self, text: &str) {
        self.talk.cancel();
        self.say_text("NO", text);
    }
}
