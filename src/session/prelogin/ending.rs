//! How the time before forwarding ends: with a handover, or with last words.

use std::time::{Duration, Instant};

use bytes::Bytes;
use homing_login::{CloseReason, Output};

use super::{Dialogue, Pending};
use crate::{
    session::{
        farewell,
        log::End,
        login::{Attempt, ClientSide, Handover},
    },
    transport::{CLOSING_TIME_HURRIED, CLOSING_TIME_MAX},
};

impl Dialogue {
    /// What forwarding needs; the client's rest `unread` included.
    pub(super) fn hand_over(self, unread: Bytes) -> Option<Handover> {
        let client = self.frontend.client().clone();
        let transport = self.transport?;
        let login = self.login?;
        login.into_handover(ClientSide {
            transport,
            unread,
            client,
            sent: self.session.sent,
            seat: self.session.seat,
            shared: self.session.shared,
            generation: self.session.generation,
            log: self.log,
        })
    }

    /// The attempt at a backend that is under way.
    pub(super) fn take_attempt(&mut self) -> Option<Attempt> {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Backend(attempt) => Some(attempt),
            _ => None,
        }
    }

    /// How long a backend may take to be done with a user who leaves.
    pub(super) fn leaving_limit(&self) -> Duration {
        self.session.generation.settings().director.user_kick_delay
    }

    /// A login that is kicked is answered: the client need not ask its user for another password.
    async fn refuse_kicked(&mut self) {
        if !self.session.generation.settings.process.kick_farewell {
            return;
        }
        self.refuse_temporarily(Instant::now());
        let mut said = Vec::new();
        while let Some(output) = self.frontend.poll_output() {
            if let Output::Send(bytes) = output {
                said.extend_from_slice(&bytes);
            }
        }
        said.extend(farewell::of_kick(self.frontend.client().service).into_iter().flatten());
        // The connection is closed whether the client has read it or not.
        let _ = self.send(&said).await;
    }

    /// Says what is left to say, closes, and writes the log line.
    pub(super) async fn finish(mut self, end: End) -> Option<Handover> {
        let (attempt, limit) = (self.take_attempt(), self.leaving_limit());
        // Before the client's end, which takes a moment.
        if let Some(login) = self.login.take() {
            login.abandon(attempt, limit);
        }
        if matches!(end, End::Kicked | End::KickedByAdmin) {
            self.refuse_kicked().await;
        }
        let time = match &end {
            End::Closed(CloseReason::Shutdown | CloseReason::QueueFull) => CLOSING_TIME_HURRIED,
            _ => CLOSING_TIME_MAX,
        };
        self.log.ended(self.frontend.client(), end);
        if let Some(transport) = self.transport.take() {
            transport.close_within(time).await;
        }
        None
    }
}
