//! The server side: from the greeting to the hand-over. This file says what events lead to; the phases of a
//! connection are those of [`Conversation`]. `command` runs commands, `exchange` is the SASL dialogue.

mod capabilities;
mod command;
mod exchange;
mod refusal;

use std::{sync::Arc, time::Instant};

use homing_login::{
    ClientIdentity, Frontend, Input, Mechanism, Output, SecurityPolicy, TlsFacts,
    conversation::{Conversation, Due, Farewells, Phase},
    limits::SASL_RESPONSE_BYTES_MAX,
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
    talk: Conversation,
    /// A SASL response whose line has not ended yet; it may be longer than the input buffer.
    response: InputBuffer,
    line: Line,
    /// Name from USER, for one PASS.
    user: Option<Vec<u8>>,
    bad_commands: u32,
}

const FAREWELLS: Farewells = Farewells {
    shutdown: "-ERR Shutting down",
    queue_full: "-ERR Connection queue full",
    tls_failed: "-ERR [SYS/TEMP] TLS initialization failed.",
    inactivity: "-ERR Disconnected for inactivity.",
    inactivity_during_auth: "-ERR Disconnected for inactivity during authentication.",
};

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
            talk: Conversation::new(client, config.policy, &FAREWELLS, now, tls),
            config,
            response: InputBuffer::new(SASL_RESPONSE_BYTES_MAX),
            line: Line::Fresh,
            user: None,
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
        let xclient = if self.talk.client.trusted { "[XCLIENT] " } else { "" };
        let greeting = format!("+OK {xclient}{}", self.config.greeting);
        self.say(&greeting);
    }

    /// Reads what is held as far as the phase allows.
    fn advance(&mut self) {
        while self.talk.reads() && self.step() {}
    }

    /// Reads one line or a part of one; false if more input is needed.
    fn step(&mut self) -> bool {
        match (&self.line, self.talk.phase()) {
            (Line::Skipped, _) | (_, Phase::Parting(_)) => self.skip_line(),
            (Line::InitialResponse(_), _) | (_, Phase::Challenged) => self.read_response(),
            _ => self.read_command(),
        }
    }

    /// Sends a line.
    fn say(&mut self, line: &str) {
        self.talk.say(line);
    }
}

impl Frontend for Pop3Frontend {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match self.talk.handle(now, input) {
            Due::Greeting => self.greet(),
            // What the client said in the clear is forgotten (RFC 2595 section 4); nothing is sent.
            Due::Secured => self.user = None,
            Due::Challenge(challenge) => self.show(challenge),
            Due::FinalChallenge(data) => self.show(&data),
            Due::Refusal { refusal, answering } => self.refused(&refusal, answering),
            Due::Success(success) => self.talk.hand_over([success.reply.as_slice(), b"\r\n"].concat()),
            Due::Nothing | Due::Waiting | Due::Time | Due::BackendLine(_) => {}
        }
        self.advance();
        if self.talk.is_over() {
            self.response.consume(self.response.len());
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
