//! The server side: from the greeting to the hand-over. This file says what events lead to; the phases of a
//! connection are those of [`Conversation`]. `command` runs commands, `exchange` is the SASL dialogue.

mod capabilities;
mod command;
mod exchange;
mod refusal;

use std::{sync::Arc, time::Instant};

use homing_login::{
    ClientIdentity, CloseReason, Frontend, Input, Mechanism, Output, SecurityPolicy, TlsFacts,
    conversation::{Conversation, Due, Farewells, Phase},
};

use crate::{
    scanner::{Excess, Scanner, Token},
    text,
};
use command::Line;

/// What every connection of one listener shares.
#[derive(Debug, Clone)]
pub struct SieveFrontendConfig {
    /// `login_greeting`, its variables already expanded.
    pub greeting: String,
    /// `managesieve_implementation_string`.
    pub implementation: String,
    /// `managesieve_sieve_capability`.
    pub sieve_capability: String,
    /// `managesieve_notify_capability`; `None`: no `NOTIFY` line.
    pub notify_capability: Option<String>,
    /// Plaintext and TLS.
    pub policy: SecurityPolicy,
}

/// One ManageSieve client before login (spec/login-proxy.md 3, 6).
///
/// Input goes in through `handle`, decisions come out of `poll_output`; see [`Frontend`]. Not `Debug`: arguments may
/// be passwords.
pub struct SieveFrontend {
    config: Arc<SieveFrontendConfig>,
    talk: Conversation,
    scanner: Scanner,
    line: Line,
    bad_commands: u32,
}

const FAREWELLS: Farewells = Farewells {
    shutdown: "BYE (TRYLATER) \"Shutting down\"",
    queue_full: "BYE \"Connection queue full\"",
    tls_failed: "BYE \"TLS initialization failed.\"",
    inactivity: "BYE \"Disconnected for inactivity.\"",
    inactivity_during_auth: "BYE \"Disconnected for inactivity during authentication.\"",
};

impl SieveFrontend {
    /// A connection accepted at `now`. `tls` is set on TLS listeners, where the handshake is done already;
    /// `mechanisms` if the auth service can be asked: then the greeting is the first output.
    pub fn new(
        config: Arc<SieveFrontendConfig>,
        client: ClientIdentity,
        now: Instant,
        tls: Option<TlsFacts>,
        mechanisms: Option<Arc<[Mechanism]>>,
    ) -> Self {
        let mut frontend = Self {
            talk: Conversation::new(client, config.policy, &FAREWELLS, now, tls),
            config,
            scanner: Scanner::new(),
            line: Line::Fresh,
            bad_commands: 0,
        };
        if let Some(mechanisms) = mechanisms {
            frontend.handle(now, Input::AuthUp(mechanisms));
        }
        frontend
    }

    /// Set if TLS is active.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.talk.tls()
    }

    fn greet(&mut self) {
        let greeting = self.config.greeting.clone();
        self.send_capabilities(&greeting);
    }

    /// Reads what is held as far as the phase allows.
    fn advance(&mut self) {
        while self.talk.reads() {
            let (used, token) = self.scanner.scan(self.talk.input.as_slice());
            self.talk.input.consume(used);
            let Some(token) = token else { return };
            self.take(token);
        }
    }

    fn take(&mut self, token: Token) {
        match (token, self.talk.phase()) {
            (Token::TooLong(excess), _) => self.too_long(excess),
            (token, Phase::Challenged) => self.take_response(token),
            (token, Phase::Parting(_)) => self.swallow(&token),
            (token, _) => self.take_command(token),
        }
    }

    fn too_long(&mut self, excess: Excess) {
        match excess {
            Excess::Input => self.say("BYE \"Input buffer full, aborting\""),
            Excess::Literal => self.say("BYE \"Literal size too large\""),
            Excess::Sasl => return self.talk.close(CloseReason::AuthResponseTooLarge),
        }
        self.talk.close(CloseReason::InputBufferFull);
    }

    /// Sends a line of our own words.
    fn say(&mut self, line: &str) {
        self.talk.say(line);
    }

    /// Sends `head "text"`, with text that may be anybody's.
    fn say_text(&mut self, head: &str, text: &str) {
        self.talk.send(text::reply(head, text.as_bytes()));
    }
}

impl Frontend for SieveFrontend {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match self.talk.handle(now, input) {
            Due::Greeting => self.greet(),
            Due::Secured => self.send_capabilities("TLS negotiation successful."),
            Due::Challenge(challenge) => self.show(challenge),
            Due::FinalChallenge(data) => self.show(&data),
            Due::Refusal { refusal, answering } => self.refused(&refusal, answering),
            Due::Success(success) => self.talk.hand_over([success.reply.as_slice(), b"\r\n"].concat()),
            Due::Nothing | Due::Waiting | Due::Time | Due::BackendLine(_) => {}
        }
        self.advance();
        if self.talk.is_over() {
            self.scanner.skip_line();
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.talk.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.talk.deadline()
    }

    fn room(&self) -> usize {
        self.talk.room()
    }

    fn client(&self) -> &ClientIdentity {
        &self.talk.client
    }
}

#[cfg(test)]
mod tests;
