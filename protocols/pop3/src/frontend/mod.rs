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
    limits::{INPUT_BYTES_MAX, LOGIN_TIMEOUT, SASL_RESPONSE_BYTES_MAX},
};
use homing_wire::InputBuffer;

/// What every connection of one listener shares.
#[derive(Debug, Clone)]
pub struct Pop3FrontendConfig {
    /// `login_greeting`, its variables already expanded.
    pub greeting: String,
    /// Plaintext and TLS.
    pub policy: SecurityPolicy,
}

/// One POP3 client before login (spec/login-proxy.md 3, 5).
///
/// Input goes in through `handle`, decisions come out of `poll_output`; see [`Frontend`]. Not `Debug`: input
/// may be passwords.
pub struct Pop3Frontend {
    config: Arc<Pop3FrontendConfig>,
    client: ClientIdentity,
    tls: Option<TlsFacts>,
    mechanisms: Arc<[Mechanism]>,
    auth_up: bool,
    phase: Phase,
    deadline: Instant,
    input: InputBuffer,
    /// A SASL response whose line has not ended yet; it may be longer than the input buffer.
    response: InputBuffer,
    line: Line,
    /// Name from USER, for one PASS.
    user: Option<Vec<u8>>,
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

/// What the line being read is.
#[derive(Debug)]
enum Line {
    /// A command, or the client's answer if the phase says so.
    Fresh,
    /// The initial response of AUTH with this mechanism.
    InitialResponse(Vec<u8>),
    /// The rest of a line that nobody waits for any more.
    Skipped,
}

impl Pop3Frontend {
    /// A connection accepted at `now`. `tls` is set on TLS listeners, where the handshake is done already;
    /// `mechanisms` if the auth service can be asked: then the greeting is the first output.
    pub fn new(
        config: Arc<Pop3FrontendConfig>,
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
            response: InputBuffer::new(SASL_RESPONSE_BYTES_MAX),
            line: Line::Fresh,
            user: None,
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
            let xclient = if self.client.trusted { "[XCLIENT] " } else { "" };
            let greeting = format!("+OK {xclient}{}", self.config.greeting);
            self.say(&greeting);
        }
    }

    /// What the client said in the clear is forgotten (RFC 2595 section 4); nothing is sent.
    fn tls_up(&mut self, facts: TlsFacts) {
        self.secure(facts);
        if !matches!(self.phase, Phase::Handshake) {
            return;
        }
        // Whatever is held now arrived in the clear.
        if !self.input.is_empty() {
            return self.close(CloseReason::PlaintextBehindStartTls);
        }
        self.user = None;
        self.phase = Phase::Commands;
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
            Goodbye::Shutdown => ("-ERR Shutting down", CloseReason::Shutdown),
            Goodbye::QueueFull => ("-ERR Connection queue full", CloseReason::QueueFull),
            Goodbye::TlsFailed => ("-ERR [SYS/TEMP] TLS initialization failed.", CloseReason::TlsFailed),
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
                self.say("-ERR Disconnected for inactivity.");
                self.close(CloseReason::Inactivity);
            }
            _ => {
                self.say("-ERR Disconnected for inactivity during authentication.");
                self.close(CloseReason::InactivityDuringAuth);
            }
        }
    }

    /// Reads what is held as far as the phase allows.
    fn advance(&mut self) {
        while self.reads() && self.step() {}
    }

    fn reads(&self) -> bool {
        match self.phase {
            Phase::Commands => self.auth_up,
            Phase::Challenged | Phase::Parting(_) => true,
            _ => false,
        }
    }

    /// Reads one line or a part of one; false if more input is needed.
    fn step(&mut self) -> bool {
        match (&self.line, &self.phase) {
            (Line::Skipped, _) | (_, Phase::Parting(_)) => self.skip_line(),
            (Line::InitialResponse(_), _) | (_, Phase::Challenged) => self.read_response(),
            _ => self.read_command(),
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Asked | Phase::Challenged) {
            self.outputs.push_back(Output::CancelAuth);
        }
        self.phase = Phase::Over;
        self.input.consume(self.input.len());
        self.response.consume(self.response.len());
        self.outputs.push_back(Output::Close(reason));
    }

    /// Sends a line.
    fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").into_bytes());
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(Bytes::from(bytes)));
    }
}

impl Frontend for Pop3Frontend {
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
