//! What events do to a connection, and what they leave for the dialect to do.

use std::{sync::Arc, time::Instant};

use super::{Conversation, Due, Phase};
use crate::{CloseReason, Goodbye, Input, Mechanism, Refusal, Secured, TlsFacts};

impl Conversation {
    /// One event; what does not fit the phase is ignored.
    pub fn handle<'a>(&mut self, now: Instant, input: Input<'a>) -> Due<'a> {
        if self.is_over() {
            return Due::Nothing;
        }
        match input {
            Input::Bytes(bytes) => return self.received(bytes),
            Input::Eof => self.close(CloseReason::ConnectionClosed),
            Input::TlsUp(facts) => return self.tls_up(facts),
            Input::AuthUp(mechanisms) => return self.auth_up(mechanisms),
            Input::AuthDown => self.auth_up = false,
            Input::Challenge(challenge) => return self.challenged(challenge),
            Input::AuthDone => self.accepted(),
            Input::Refused(refusal) => return self.refused(refusal),
            Input::BackendLine(line) if self.logs_in() => return Due::BackendLine(line),
            Input::LoggedIn(success) if self.logs_in() => return Due::Success(success),
            Input::BackendLine(_) | Input::LoggedIn(_) => {}
            Input::Goodbye(goodbye) => self.goodbye(goodbye),
            Input::Tick if now >= self.deadline => self.time_out(),
            Input::Tick => return Due::Time,
        }
        Due::Nothing
    }

    fn received<'a>(&mut self, bytes: &[u8]) -> Due<'a> {
        if self.input.extend(bytes).is_err() {
            self.close(CloseReason::InputBufferFull);
            return Due::Nothing;
        }
        let waits = matches!(self.phase, Phase::Commands) && !self.auth_up;
        if waits { Due::Waiting } else { Due::Nothing }
    }

    fn tls_up<'a>(&mut self, facts: TlsFacts) -> Due<'a> {
        self.secure(facts);
        if !matches!(self.phase, Phase::Handshake) {
            return Due::Nothing;
        }
        // Whatever is held now arrived in the clear.
        if !self.input.is_empty() {
            self.close(CloseReason::PlaintextBehindStartTls);
            return Due::Nothing;
        }
        self.phase = Phase::Commands;
        Due::Secured
    }

    pub(super) fn secure(&mut self, facts: TlsFacts) {
        self.client.secured = Secured::Tls;
        if facts.server_name.is_some() {
            self.client.local_name.clone_from(&facts.server_name);
        }
        self.tls = Some(facts);
    }

    /// Clients already greeted are not told of changes.
    fn auth_up<'a>(&mut self, mechanisms: Arc<[Mechanism]>) -> Due<'a> {
        self.mechanisms = mechanisms;
        self.auth_up = true;
        if !matches!(self.phase, Phase::Silent) {
            return Due::Nothing;
        }
        self.phase = Phase::Commands;
        Due::Greeting
    }

    fn challenged<'a>(&mut self, challenge: &'a [u8]) -> Due<'a> {
        if !matches!(self.phase, Phase::Asked) {
            return Due::Nothing;
        }
        self.phase = Phase::Challenged;
        Due::Challenge(challenge)
    }

    fn accepted(&mut self) {
        if matches!(self.phase, Phase::Asked) {
            self.phase = Phase::Accepted;
        }
    }

    /// The login has failed; what the client sent behind it is read next.
    fn refused<'a>(&mut self, refusal: Refusal) -> Due<'a> {
        match (&self.phase, &refusal.final_challenge) {
            (Phase::Asked, Some(data)) => {
                let data = data.clone();
                self.phase = Phase::Parting(refusal);
                Due::FinalChallenge(data)
            }
            (Phase::Asked | Phase::Accepted | Phase::Challenged, _) => {
                // The request is gone while the client answers, perhaps.
                let answering = matches!(self.phase, Phase::Challenged);
                self.phase = Phase::Commands;
                Due::Refusal { refusal, answering }
            }
            _ => Due::Nothing,
        }
    }

    fn goodbye(&mut self, goodbye: Goodbye) {
        let (line, reason) = match goodbye {
            Goodbye::Shutdown => (self.farewells.shutdown, CloseReason::Shutdown),
            Goodbye::QueueFull => (self.farewells.queue_full, CloseReason::QueueFull),
            Goodbye::TlsFailed => (self.farewells.tls_failed, CloseReason::TlsFailed),
        };
        // A client that waits for a handshake cannot read words; only a handshake that never comes is told.
        if goodbye == Goodbye::TlsFailed || !matches!(self.phase, Phase::Handshake) {
            self.say(line);
        }
        self.close(reason);
    }

    fn time_out(&mut self) {
        match self.phase {
            Phase::Handshake => self.close(CloseReason::Inactivity),
            Phase::Silent | Phase::Commands => {
                self.say(self.farewells.inactivity);
                self.close(CloseReason::Inactivity);
            }
            _ => {
                self.say(self.farewells.inactivity_during_auth);
                self.close(CloseReason::InactivityDuringAuth);
            }
        }
    }
}
