//! The SASL dialogue: AUTHENTICATE, challenges, the client's answers, and how it ends
//! (spec/login-proxy.md 4.6, auth-protocol.md 5.4, 7).

use homing_login::{Refusal, conversation::Denial, limits::AUTH_REPLY_NOTICE};
use homing_wire::Secret;

use super::{ImapFrontend, Line, scanner::Token};

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

    pub(super) fn ask(&mut self, name: &[u8], response: Option<Secret>) {
        let asked = self.talk.ask(name, response);
        self.wait_for_auth(asked);
    }

    pub(super) fn challenge(&mut self, challenge: &[u8]) {
        self.show(challenge);
        self.scanner.expect_response();
    }

    pub(super) fn final_challenge(&mut self, data: &[u8]) {
        self.show(data);
        self.scanner.skip_line();
    }

    pub(super) fn refused(&mut self, refusal: &Refusal, answering: bool) {
        if answering {
            let begun = self.scanner.abandon_response();
            self.line = if begun { Line::Answered } else { Line::Fresh };
        }
        self.say_refusal(refusal);
    }

    /// The client's answer to a challenge.
    pub(super) fn take_response(&mut self, token: Token) {
        let Token::Response(response) = token else { return };
        let asked = self.talk.respond(response);
        self.wait_for_auth(asked);
    }

    /// The line that a final challenge waits for; its content does not matter.
    pub(super) fn swallow(&mut self, token: &Token) {
        if *token != Token::End {
            return;
        }
        if let Some(refusal) = self.talk.part() {
            self.say_refusal(&refusal);
        }
    }

    /// `+ data`; the space is there even without data.
    fn show(&mut self, challenge: &[u8]) {
        self.talk.send([b"+ ", challenge, b"\r\n"].concat());
    }

    fn wait_for_auth(&mut self, asked: Result<(), Denial>) {
        match asked {
            Ok(()) => self.notice = Some(self.now + AUTH_REPLY_NOTICE),
            Err(denial) => self.say_denial(denial),
        }
    }
}
