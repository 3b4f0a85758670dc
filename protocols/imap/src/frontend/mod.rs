//! The server side: from the greeting to the hand-over. This file owns the phases of a connection and what
//! events do to them; `scanner` reads, `command` runs commands, `exchange` is the SASL dialogue, `ending` has the
//! words for logins that succeed, fail or are cut short.

mod capabilities;
mod command;
mod ending;
mod exchange;
mod id;
mod refusal;
mod scanner;
mod text;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use homing_login::{
    ClientIdentity, CloseReason, Frontend, Input, Mechanism, Output, Refusal, Secured, SecurityPolicy,
    TlsFacts,
    limits::{AUTH_CONNECT_NOTICE, INPUT_BYTES_MAX, LOGIN_TIMEOUT},
};
use homing_wire::InputBuffer;

use command::Line;
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
    client: ClientIdentity,
    tls: Option<TlsFacts>,
    mechanisms: Arc<[Mechanism]>,
    auth_up: bool,
    phase: Phase,
    /// Time of the event being handled.
    now: Instant,
    deadline: Instant,
    /// When the client is told that the auth service keeps it waiting.
    notice: Option<Instant>,
    input: InputBuffer,
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
    outputs: VecDeque<Output>,
}

/// Where a connection stands.
#[derive(Debug)]
enum Phase {
    /// No greeting yet: the auth service has not told its mechanisms.
    Silent,
    /// Commands are read.
    Commands,
    /// The TLS handshake runs.
    Handshake,
    /// The auth service works on a request.
    Asked,
    /// The client owes an answer to a challenge.
    Challenged,
    /// The auth service accepted; the backend login runs.
    Accepted,
    /// The final data of a refusal was shown; one line is swallowed before the refusal is told.
    Parting(Refusal),
    /// Closed or handed over.
    Over,
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
            config,
            client,
            tls: None,
            mechanisms: Arc::default(),
            auth_up: false,
            phase: Phase::Silent,
            now,
            deadline: now + LOGIN_TIMEOUT,
            notice: Some(now + AUTH_CONNECT_NOTICE),
            input: InputBuffer::new(INPUT_BYTES_MAX),
            scanner,
            tag: Vec::new(),
            line: Line::Fresh,
            bad_commands: 0,
            identified: false,
            started_tls: false,
            ignores_greeting_capabilities: false,
            outputs: VecDeque::new(),
        };
        if let Some(facts) = tls {
            frontend.secure(facts);
        }
        if let Some(mechanisms) = mechanisms {
            frontend.auth_up(mechanisms);
        }
        frontend
    }

    /// Set if TLS is active.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Commands that come while the auth service is away wait, and the client is told with each read
    /// (spec/auth-protocol.md 5.6).
    fn received(&mut self, bytes: &[u8]) {
        if self.input.extend(bytes).is_err() {
            return self.close(CloseReason::InputBufferFull);
        }
        if matches!(self.phase, Phase::Commands) && !self.auth_up {
            self.say_waiting();
        }
    }

    /// Greets, if that is still to be done. Clients already greeted are not told of changes.
    fn auth_up(&mut self, mechanisms: Arc<[Mechanism]>) {
        self.mechanisms = mechanisms;
        self.auth_up = true;
        if matches!(self.phase, Phase::Silent) {
            self.phase = Phase::Commands;
            self.notice = None;
            let greeting = format!("* OK [CAPABILITY {}] {}", self.capabilities(), self.config.greeting);
            self.say(&greeting);
        }
    }

    /// Nothing is said after STARTTLS (spec/login-proxy.md 4.5).
    fn tls_up(&mut self, facts: TlsFacts) {
        self.secure(facts);
        if !matches!(self.phase, Phase::Handshake) {
            return;
        }
        // Whatever is held now arrived in the clear.
        if !self.input.is_empty() {
            return self.close(CloseReason::PlaintextBehindStartTls);
        }
        self.phase = Phase::Commands;
    }

    fn secure(&mut self, facts: TlsFacts) {
        self.client.secured = Secured::Tls;
        if facts.server_name.is_some() {
            self.client.local_name.clone_from(&facts.server_name);
        }
        self.tls = Some(facts);
    }

    fn tick(&mut self, now: Instant) {
        if now >= self.deadline {
            return self.time_out();
        }
        if self.notice.take_if(|notice| now >= *notice).is_some() {
            self.say_waiting();
        }
    }

    /// Reads what is held as far as the phase allows.
    fn advance(&mut self) {
        while self.reads() {
            let (used, token) = self.scanner.scan(self.input.as_slice());
            self.input.consume(used);
            let Some(token) = token else { return };
            self.take(token);
        }
    }

    fn reads(&self) -> bool {
        match self.phase {
            Phase::Commands => self.auth_up,
            Phase::Challenged | Phase::Parting(_) => true,
            _ => false,
        }
    }

    fn take(&mut self, token: Token) {
        match (token, &self.phase) {
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
            Excess::Sasl => return self.close(CloseReason::AuthResponseTooLarge),
        }
        self.close(CloseReason::InputBufferFull);
    }

    fn say_waiting(&mut self) {
        self.say("* OK Waiting for authentication process to respond..");
    }

    /// Sends a line of our own words.
    fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").into_bytes());
    }

    /// Answers the command with its tag, or untagged if it has none that can be used.
    fn answer(&mut self, text: &str) {
        self.send(self.tagged(text.as_bytes()));
    }

    /// `tag text` and CR LF.
    fn tagged(&self, text: &[u8]) -> Vec<u8> {
        let tag = if self.tag.is_empty() { b"*" } else { self.tag.as_slice() };
        [tag, b" ", text, b"\r\n"].concat()
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(Bytes::from(bytes)));
    }
}

impl Frontend for ImapFrontend {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.now = now;
        match input {
            Input::Bytes(bytes) => self.received(bytes),
            Input::Eof => self.close(CloseReason::ConnectionClosed),
            Input::TlsUp(facts) => self.tls_up(facts),
            Input::AuthUp(mechanisms) => self.auth_up(mechanisms),
            Input::AuthDown => self.auth_up = false,
            Input::Challenge(challenge) => self.challenge(challenge),
            Input::AuthDone => self.accepted(),
            Input::Refused(refusal) => self.refused(refusal),
            Input::BackendLine(line) => self.pass_on(line),
            Input::LoggedIn(success) => self.logged_in(&success),
            Input::Goodbye(goodbye) => self.goodbye(goodbye),
            Input::Tick => self.tick(now),
        }
        self.advance();
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let over = matches!(self.phase, Phase::Over);
        (!over).then(|| self.notice.map_or(self.deadline, |notice| notice.min(self.deadline)))
    }

    fn room(&self) -> usize {
        match self.phase {
            Phase::Handshake | Phase::Asked | Phase::Accepted | Phase::Over => 0,
            _ => self.input.room(),
        }
    }

    fn client(&self) -> &ClientIdentity {
        &self.client
    }

    fn ignores_greeting_capabilities(&self) -> bool {
        self.ignores_greeting_capabilities
    }
}

#[cfg(test)]
mod tests;
