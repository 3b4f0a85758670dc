//! What the server sides of all dialects do alike: the phases of a connection, what events do to them, and the
//! rules for asking the auth service. It knows when something is to be said, but no words: those, and the
//! grammar of commands, are the dialect's.

mod decisions;
mod events;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use homing_wire::InputBuffer;

use crate::{
    BackendSuccess, ClientIdentity, Mechanism, Output, Refusal, SecurityPolicy, TlsFacts,
    limits::{INPUT_BYTES_MAX, LOGIN_TIMEOUT},
};

/// Where a connection stands.
#[derive(Debug)]
pub enum Phase {
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

/// What an event leaves for the dialect to do.
#[derive(Debug)]
pub enum Due<'a> {
    /// Nothing; held input may be read, if [`Conversation::reads`].
    Nothing,
    /// Bytes came that must wait, because the auth service is away.
    Waiting,
    /// Time has passed, but not the login's limit.
    Time,
    /// Greet the client.
    Greeting,
    /// The handshake that the client asked for is done.
    Secured,
    /// Show this challenge (base64) and expect an answer.
    Challenge(&'a [u8]),
    /// Show this final data (base64) and expect a line, to be ended by [`Conversation::part`].
    FinalChallenge(Vec<u8>),
    /// Tell the refusal.
    Refusal {
        /// What to tell.
        refusal: Refusal,
        /// The client was answering a challenge, perhaps in the middle of a line.
        answering: bool,
    },
    /// IMAP: pass the line on.
    BackendLine(&'a [u8]),
    /// Hand over with the words for this; see [`Conversation::hand_over`].
    Success(BackendSuccess),
}

/// Why the auth service was not asked, or is no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// `ssl = required`, and the connection is not secured.
    TlsRequired,
    /// No such mechanism.
    UnsupportedMechanism,
    /// The mechanism sends passwords readable, and the connection is not secured.
    PlaintextDisabled,
    /// The initial response is no base64.
    InitialResponse,
    /// The client aborted with `*`.
    Aborted,
    /// The answer to a challenge is no base64.
    Response,
}

/// How a dialect ends a connection, in whole lines without CR LF (spec/login-proxy.md 3.7, 3.8).
#[derive(Debug)]
pub struct Farewells {
    /// [`crate::Goodbye::Shutdown`].
    pub shutdown: &'static str,
    /// [`crate::Goodbye::QueueFull`].
    pub queue_full: &'static str,
    /// [`crate::Goodbye::TlsFailed`].
    pub tls_failed: &'static str,
    /// [`LOGIN_TIMEOUT`] passed.
    pub inactivity: &'static str,
    /// The same, during a login.
    pub inactivity_during_auth: &'static str,
}

/// One client connection before login, as far as the dialects agree.
///
/// Methods by kind: `handle` takes events in; `ask`, `respond`, `cancel`, `part`, `start_tls`, `hand_over`, `close` and
/// `send`, `say`, `note` are what a dialect decides; `poll_output` gives the outputs. Not `Debug`: input may be
/// passwords.
pub struct Conversation {
    /// The client as known now.
    pub client: ClientIdentity,
    /// What the client sent and the dialect has not consumed.
    pub input: InputBuffer,
    policy: SecurityPolicy,
    farewells: &'static Farewells,
    tls: Option<TlsFacts>,
    mechanisms: Arc<[Mechanism]>,
    auth_up: bool,
    phase: Phase,
    deadline: Instant,
    outputs: VecDeque<Output>,
}

impl Conversation {
    /// A connection accepted at `now`. `tls` is set if the handshake is done already.
    pub fn new(
        client: ClientIdentity,
        policy: SecurityPolicy,
        farewells: &'static Farewells,
        now: Instant,
        tls: Option<TlsFacts>,
    ) -> Self {
        let mut conversation = Self {
            client,
            input: InputBuffer::new(INPUT_BYTES_MAX),
            policy,
            farewells,
            tls: None,
            mechanisms: Arc::default(),
            auth_up: false,
            phase: Phase::Silent,
            deadline: now + LOGIN_TIMEOUT,
            outputs: VecDeque::new(),
        };
        if let Some(facts) = tls {
            conversation.secure(facts);
        }
        conversation
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the login's time is up; `None` if the connection is over.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.is_over()).then_some(self.deadline)
    }

    /// See [`crate::Frontend::room`].
    pub fn room(&self) -> usize {
        match self.phase {
            Phase::Handshake | Phase::Asked | Phase::Accepted | Phase::Over => 0,
            _ => self.input.room(),
        }
    }

    /// True if held input may be read now.
    pub fn reads(&self) -> bool {
        match self.phase {
            Phase::Commands => self.auth_up,
            Phase::Challenged | Phase::Parting(_) => true,
            _ => false,
        }
    }

    /// Where the connection stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// True if it is closed or handed over.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// True while a request is open that the backend may answer.
    fn logs_in(&self) -> bool {
        matches!(self.phase, Phase::Asked | Phase::Accepted)
    }

    /// Set if TLS is active.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// True if the client may start TLS.
    pub fn offers_tls(&self) -> bool {
        self.policy.tls_available && self.tls.is_none()
    }

    /// True if a password may be sent readable.
    pub fn allows_plaintext(&self) -> bool {
        let policy = self.policy;
        self.client.secured.is_secured() || !(policy.disable_plaintext || policy.tls_required)
    }

    /// What the auth service offers.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// Mechanisms that the client may use on this connection as it is now, anonymous ones included.
    pub fn usable_mechanisms(&self) -> impl Iterator<Item = &Mechanism> {
        let (policy, secured) = (self.policy, self.client.secured.is_secured());
        let allowed = move |m: &Mechanism| {
            secured || !(policy.tls_required || (policy.disable_plaintext && m.plaintext))
        };
        self.mechanisms.iter().filter(move |m| !m.private && allowed(m))
    }
}

#[cfg(test)]
mod tests;
