//! One request under way, as a session sees it. Does not know who answers.

use std::time::Duration;

use homing_login::AuthReply;
use homing_wire::Secret;
use tokio::{sync::mpsc, time::Instant};

use crate::observe::tally::{AuthResult, tally};

/// Replies that may wait to be fetched: a challenge, and then the end.
pub(super) const REPLIES_WAITING_MAX: usize = 4;

/// The service's end of a request. Dropping it cancels the request.
pub(super) trait Conversation: Send {
    /// Passes on the answer to a challenge.
    fn respond(&mut self, response: Secret);
}

/// One request under way. Dropping it cancels the request.
pub struct Exchange {
    replies: mpsc::Receiver<AuthReply>,
    /// `None` once the request has ended.
    conversation: Option<Box<dyn Conversation>>,
    /// How long the service may take for one reply.
    patience: Duration,
    /// Set while it is the service's turn.
    deadline: Option<Instant>,
}

impl Exchange {
    pub(super) fn new(
        replies: mpsc::Receiver<AuthReply>,
        conversation: impl Conversation + 'static,
        patience: Duration,
    ) -> Self {
        tally().auth_requests.count();
        let deadline = Instant::now().checked_add(patience);
        Self { replies, conversation: Some(Box::new(conversation)), patience, deadline }
    }

    /// A request that ended before anybody was asked.
    pub(super) fn ended(reply: AuthReply) -> Self {
        tally().auth_requests.count();
        let (sender, replies) = mpsc::channel(1);
        // There is room for one.
        let _ = sender.try_send(reply);
        Self { replies, conversation: None, patience: Duration::ZERO, deadline: None }
    }

    #[cfg(test)]
    pub(super) fn is_clients_turn(&self) -> bool {
        self.conversation.is_some() && self.deadline.is_none()
    }

    /// Answers a challenge with base64 as the client sent it.
    pub fn respond(&mut self, response: Secret) {
        if let Some(conversation) = &mut self.conversation {
            conversation.respond(response);
            self.deadline = Instant::now().checked_add(self.patience);
        }
    }

    /// Waits for the next reply. Nothing is lost if the future is dropped. After the last reply: `Lost`.
    pub async fn reply(&mut self) -> AuthReply {
        let next = self.replies.recv();
        let reply = match self.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, next).await.unwrap_or_else(|_| {
                tracing::warn!(target: "homing::auth", "auth service did not answer in {:?}", self.patience);
                None
            }),
            None => next.await,
        };
        let reply = reply.unwrap_or(AuthReply::Lost);
        self.deadline = None;
        if !matches!(reply, AuthReply::Challenge(_)) {
            self.conversation = None;
        }
        count(&reply);
        reply
    }
}

fn count(reply: &AuthReply) {
    let result = match reply {
        AuthReply::Challenge(_) => return,
        AuthReply::Ok(_) => AuthResult::Ok,
        AuthReply::Fail(reply) if reply.fields.value("code") == Some(b"temp_fail") => AuthResult::TempFail,
        AuthReply::Fail(_) => AuthResult::Fail,
        AuthReply::Lost => AuthResult::Lost,
    };
    tally().auth_replies.of(result).count();
}
