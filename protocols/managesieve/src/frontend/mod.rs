//! The server side: from the greeting to the hand-over. This file owns the phases of a connection and what
//! events do to them; `command` runs commands, `exchange` the SASL dialogue.

mod capabilities;
mod command;
mod exchange;
mod refusal;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use homing_login::{
    BackendSuccess, ClientIdentity, CloseReason, Frontend, Goodbye, Input, Mechanism, Output, Refusal,
    Secured, SecurityPolicy, TlsFacts,
    limits::{INPUT_BYTES_MAX, LOGIN_TIMEOUT},
};
use homing_wire::InputBuffer;

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
    client: ClientIdentity,
    tls: Option<TlsFacts>,
    mechanisms: Arc<[Mechanism]>,
    auth_up: bool,
    phase: Phase,
    deadline: Instant,
    input: InputBuffer,
    scanner: Scanner,
    line: Line,
    bad_commands: u32,
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
            config,
            client,
            tls: None,
            mechanisms: Arc::default(),
            auth_up: false,
            phase: Phase::Silent,
            deadline: now + LOGIN_TIMEOUT,
            input: InputBuffer::new(INPUT_BYTES_MAX),
            scanner: Scanner::new(),
            line: Line::Fresh,
            bad_commands: 0,
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

    fn received(&mut self, bytes: &[u8]) {
        if self.input.extend(bytes).is_err() {
            self.close(CloseReason::InputBufferFull);
        }
    }

    /// Greets, if that is still to be done. Clients already greeted are not told of changes.
    fn auth_up(&mut self, mechanisms: Arc<[Mechanism]>) {
        self.mechanisms = mechanisms;
        self.auth_up = true;
        if matches!(self.phase, Phase::Silent) {
            self.phase = Phase::Commands;
            let greeting = self.config.greeting.clone();
            self.send_capabilities(&greeting);
        }
    }

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
        self.send_capabilities("TLS negotiation successful.");
    }

    fn secure(&mut self, facts: TlsFacts) {
        self.client.secured = Secured::Tls;
        if facts.server_name.is_some() {
            self.client.local_name.clone_from(&facts.server_name);
        }
        self.tls = Some(facts);
    }

    /// The backend's reply is the client's; what was pipelined behind the login follows it there.
    fn logged_in(&mut self, success: &BackendSuccess) {
        if !matches!(self.phase, Phase::Asked | Phase::Accepted) {
            return;
        }
        self.send([success.reply.as_slice(), b"\r\n"].concat());
        let unread = self.input.take();
        self.outputs.push_back(Output::Handoff { unread });
        self.phase = Phase::Over;
    }

    fn goodbye(&mut self, goodbye: Goodbye) {
        let (line, reason) = match goodbye {
            Goodbye::Shutdown => ("BYE (TRYLATER) \"Shutting down\"", CloseReason::Shutdown),
            Goodbye::QueueFull => ("BYE \"Connection queue full\"", CloseReason::QueueFull),
            Goodbye::TlsFailed => ("BYE \"TLS initialization failed.\"", CloseReason::TlsFailed),
        };
        // A client that waits for a handshake cannot read words; only a handshake that never comes is told.
        if goodbye == Goodbye::TlsFailed || !matches!(self.phase, Phase::Handshake) {
            self.say(line);
        }
        self.close(reason);
    }

    fn tick(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.phase {
            Phase::Handshake => self.close(CloseReason::Inactivity),
            Phase::Silent | Phase::Commands => {
                self.say("BYE \"Disconnected for inactivity.\"");
                self.close(CloseReason::Inactivity);
            }
            _ => {
                self.say("BYE \"Disconnected for inactivity during authentication.\"");
                self.close(CloseReason::InactivityDuringAuth);
            }
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
            Excess::Input => self.say("BYE \"Input buffer full, aborting\""),
            Excess::Literal => self.say("BYE \"Literal size too large\""),
            Excess::Sasl => return self.close(CloseReason::AuthResponseTooLarge),
        }
        self.close(CloseReason::InputBufferFull);
    }

    fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Asked | Phase::Challenged) {
            self.outputs.push_back(Output::CancelAuth);
        }
        self.phase = Phase::Over;
        self.input.consume(self.input.len());
        self.scanner.skip_line();
        self.outputs.push_back(Output::Close(reason));
    }

    /// Sends a line of our own words.
    fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").into_bytes());
    }

    /// Sends `head "text"`, with text that may be anybody's.
    fn say_text(&mut self, head: &str, text: &str) {
        self.send(text::reply(head, text.as_bytes()));
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(Bytes::from(bytes)));
    }
}

impl Frontend for SieveFrontend {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.received(bytes),
            Input::Eof => self.close(CloseReason::ConnectionClosed),
            Input::TlsUp(facts) => self.tls_up(facts),
            Input::AuthUp(mechanisms) => self.auth_up(mechanisms),
            Input::AuthDown => self.auth_up = false,
            Input::Challenge(challenge) => self.challenge(challenge),
            Input::AuthDone => self.accepted(),
            Input::Refused(refusal) => self.refused(refusal),
            // IMAP only.
            Input::BackendLine(_) => {}
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
        (!matches!(self.phase, Phase::Over)).then_some(self.deadline)
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
}

#[cfg(test)]
mod tests;
