//! What a dialect decides: to ask the auth service, to secure, to hand over, to close.

use bytes::Bytes;
use homing_wire::{Secret, is_base64, printable};

use super::{Conversation, Denial, Phase};
use crate::{AuthStart, CloseReason, Mechanism, Note, Output, Refusal};

impl Conversation {
    /// The refusals, in their order, and then the request. `response` is base64, or the denial says that it is not.
    pub fn ask(&mut self, name: &[u8], response: Option<Secret>) -> Result<(), Denial> {
        let secured = self.client.secured.is_secured();
        if !secured && self.policy.tls_required {
            self.note(Note::TlsRequired);
            return Err(Denial::TlsRequired);
        }
        let Some(mechanism) = Mechanism::find(&self.mechanisms, name) else {
            self.note(Note::UnsupportedMechanism(printable(name)));
            return Err(Denial::UnsupportedMechanism);
        };
        if !secured && self.policy.disable_plaintext && mechanism.plaintext {
            self.note(Note::PlaintextRefused);
            return Err(Denial::PlaintextDisabled);
        }
        if response.as_ref().is_some_and(|r| !is_base64(r.expose())) {
            return Err(Denial::InitialResponse);
        }
        let start = AuthStart { mechanism: mechanism.name.clone(), initial_response: response };
        self.phase = Phase::Asked;
        self.outputs.push_back(Output::Authenticate(start));
        Ok(())
    }

    /// The client's answer to a challenge; a denial has cancelled the request. The auth protocol carries it
    /// unescaped, so only base64 may pass (spec/auth-protocol.md 10.6).
    pub fn respond(&mut self, response: Secret) -> Result<(), Denial> {
        if response.expose() == b"*" {
            self.note(Note::AuthAborted);
            self.cancel();
            return Err(Denial::Aborted);
        }
        if !is_base64(response.expose()) {
            self.cancel();
            return Err(Denial::Response);
        }
        self.phase = Phase::Asked;
        self.outputs.push_back(Output::Respond(response));
        Ok(())
    }

    /// Gives up the open request; commands are read next.
    pub fn cancel(&mut self) {
        self.phase = Phase::Commands;
        self.outputs.push_back(Output::CancelAuth);
    }

    /// The line behind a final challenge has ended: what is to be told now, if anything.
    pub fn part(&mut self) -> Option<Refusal> {
        if !matches!(self.phase, Phase::Parting(_)) {
            return None;
        }
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Parting(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The client was told to begin TLS. Plaintext held behind the command is never executed: its sender need not
    /// be the client (spec/login-proxy.md 4.5).
    pub fn start_tls(&mut self) {
        if !self.input.is_empty() {
            return self.close(CloseReason::PlaintextBehindStartTls);
        }
        self.phase = Phase::Handshake;
        self.outputs.push_back(Output::StartTls);
    }

    /// `reply` is the backend's, with line end; what was pipelined behind the login follows it there.
    pub fn hand_over(&mut self, reply: Vec<u8>) {
        self.send(reply);
        let unread = self.input.take();
        self.outputs.push_back(Output::Handoff { unread });
        self.phase = Phase::Over;
    }

    /// Ends the connection; an open request is cancelled.
    pub fn close(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Asked | Phase::Challenged) {
            self.outputs.push_back(Output::CancelAuth);
        }
        self.phase = Phase::Over;
        self.input.consume(self.input.len());
        self.outputs.push_back(Output::Close(reason));
    }

    /// Sends a line of our own words.
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").into_bytes());
    }

    /// Sends whole lines.
    pub fn send(&mut self, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(Bytes::from(bytes)));
    }

    /// Something for the log.
    pub fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }
}
