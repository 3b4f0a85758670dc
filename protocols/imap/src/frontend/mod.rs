//! The server side: from the greeting to the hand-over. This file says what events lead to; the phases of a
//! connection are those of [`Conversation`]. `scanner` reads, `command` runs commands, `exchange` is the SASL
//! dialogue, `ending` has the words for logins that succeed or are cut short, `refusal` those for failed ones.

mod capabilities;
mod command;
mod ending;
mod exchange;
mod id;
mod refusal;
mod scanner;
mod text;

use std::{sync::Arc, time::Instant};

use homing_login::{
    ClientIdentity, CloseReason, Frontend, Input, Mechanism, Output, SecurityPolicy, TlsFacts,
    conversation::{Conversation, Due, Phase},
    limits::AUTH_CONNECT_NOTICE,
};

use command::Line;
use ending::FAREWELLS;
use scanner::{Excess, Scanner, Token};

/// What every connection of one listener shares.
#[derive(Debug, Clone)]
pub struct ImapFrontendConfig {
    /// `login_greeting`, its variables already expanded.
    pub greeting: String,
    /// Plaintext and TLS.
    pub policy: SecurityPolicy,
    /// `imap_capability`: empty, `+MORE`, or a full replacement.
    pub capability: String,
    /// `imap_id_send`: `key value` pairs; `*` values are filled in.
    pub id_send: String,
    /// `imap_id_log`: keys, or `*`; empty: none.
    pub id_log: String,
    /// `imap_id_retain`.
    pub id_retain: bool,
    /// `imap_literal_minus`.
    pub literal_minus: bool,
}

/// One IMAP client before login (spec/login-proxy.md 3, 4).
///
/// Input goes in through `handle`, decisions come out of `poll_output`; see [`Frontend`]. Not `Debug`: arguments may
/// be passwords.
pub struct ImapFrontend {
    config: Arc<ImapFrontendConfig>,
    talk: Conversation,
    /// Time of the event being handled.
    now: Instant,
    /// When the client is told that the auth service keeps it waiting, should it still do so then.
    notice: Option<Instant>,
    scanner: Scanner,
    /// Of the command being read or answered; empty if it has none that can be used.
    tag: Vec<u8>,
    line: Line,
    bad_commands: u32,
    /// An ID command was answered.
    identified: bool,
    /// TLS was started by the client's command.
    started_tls: bool,
    ignores_greeting_capabilities: bool,
}

impl ImapFrontend {
    /// A connection accepted at `now`. `tls` is set on TLS listeners, where the handshake is done already;
    /// `mechanisms` if the auth service can be asked: then the greeting is the first output.
    pub fn new(
        config: Arc<ImapFrontendConfig>,
        client: ClientIdentity,
        now: Instant,
        tls: Option<TlsFacts>,
        mechanisms: Option<Arc<[Mechanism]>>,
    ) -> Self {
        let scanner = Scanner::new(config.literal_minus);
        let mut frontend = Self {
            talk: Conversation::new(client, config.policy, &FAREWELLS, now, tls),
            config,
            now,
            notice: Some(now + AUTH_CONNECT_NOTICE),
            scanner,
            tag: Vec::new(),
            line: Line::Fresh,
            bad_commands: 0,
            identified: false,
            started_tls: false,
            ignores_greeting_capabilities: false,
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
        let greeting = format!("* OK [CAPABILITY {}] {}", self.capabilities(), self.config.greeting);
        self.say(&greeting);
    }

    /// The notice, while the auth service is what the client waits for.
    fn notice(&self) -> Option<Instant> {
        let waits = matches!(self.talk.phase(), Phase::Silent | Phase::Asked);
        self.notice.filter(|_| waits)
    }

    fn tick(&mut self) {
        if self.notice().is_some_and(|notice| self.now >= notice) {
            self.notice = None;
            self.say_waiting();
        }
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
            Excess::Input => self.say("* BYE Input buffer full, aborting"),
            Excess::Literal => self.say("* BYE Literal size too large"),
            Excess::NonSynchronizing => self.say("* BYE Non-synchronizing literal size too large"),
            Excess::Sasl => return self.talk.close(CloseReason::AuthResponseTooLarge),
        }
        self.talk.close(CloseReason::InputBufferFull);
    }

    fn say_waiting(&mut self) {
        self.say("* OK Waiting for authentication process to respond..");
    }

    /// Sends a line of our own words.
    fn say(&mut self, line: &str) {
        self.talk.say(line);
    }

    /// Answers the command with its tag, or untagged if it has none that can be used.
    fn answer(&mut self, text: &str) {
        self.talk.send(self.tagged(text.as_bytes()));
    }

    /// `tag text` and CR LF.
    fn tagged(&self, text: &[u8]) -> Vec<u8> {
        let tag = if self.tag.is_empty() { b"*" } else { self.tag.as_slice() };
        [tag, b" ", text, b"\r\n"].concat()
    }
}

impl Frontend for ImapFrontend {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        match self.talk.handle(now, input) {
            // Commands that come while the auth service is away wait, and the client is told with each read
            // (spec/auth-protocol.md 5.6).
            Due::Waiting => self.say_waiting(),
            Due::Time => self.tick(),
            Due::Greeting => self.greet(),
            Due::Challenge(challenge) => self.challenge(challenge),
            Due::FinalChallenge(data) => self.final_challenge(&data),
            Due::Refusal { refusal, answering } => self.refused(&refusal, answering),
            Due::BackendLine(line) => self.talk.send(line.to_vec()),
            Due::Success(success) => self.talk.hand_over(self.success_lines(&success)),
            // Nothing is said after STARTTLS (spec/login-proxy.md 4.5).
            Due::Nothing | Due::Secured => {}
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
        let deadline = self.talk.deadline()?;
        Some(self.notice().map_or(deadline, |notice| notice.min(deadline)))
    }

    fn room(&self) -> usize {
        self.talk.room()
    }

    fn client(&self) -> &ClientIdentity {
        &self.talk.client
    }

    fn ignores_greeting_capabilities(&self) -> bool {
        self.ignores_greeting_capabilities
    }
}

#[cfg(test)]
mod tests;
