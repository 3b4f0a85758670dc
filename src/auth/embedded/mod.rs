//! Authentication without an auth service: passdbs that Homing reads itself, asked in order, with the answers that
//! Dovecot's auth process would give. Master passdbs, other drivers, the penalty per address and mechanisms besides
//! PLAIN and LOGIN are left to a real auth service.

mod check;
mod dialogue;
mod fields;
mod passdb;
mod passwd_file;
mod path_template;
mod reply;
mod scheme;
mod subject;
mod turns;
mod variables;

use std::{sync::Arc, time::Duration};

use homing_login::{AuthReply, AuthRequest, FailReply, Mechanism};
use homing_wire::{Fields, Secret};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{
    AuthError, Exchange,
    exchange::{Conversation, REPLIES_WAITING_MAX},
};
use crate::config::settings::{AuthSettings, PassdbSettings};
use check::Verdict;
use passdb::Passdb;
use subject::{Refused, Subject};
use turns::Turns;

/// For one reply, waiting for a verification included.
const PATIENCE: Duration = Duration::from_secs(150);

/// The passdbs and what requests share.
pub(super) struct Embedded {
    shared: Arc<Shared>,
    availability: watch::Sender<Option<Arc<[Mechanism]>>>,
}

struct Shared {
    passdbs: Vec<Passdb>,
    /// A name with it asks for a master login, which needs a master passdb.
    master_user_separator: Option<char>,
    failure_delay: Duration,
    turns: Turns,
}

impl Embedded {
    /// Checks the settings. Files are read when the first user asks for them.
    pub(super) fn new(passdbs: &[PassdbSettings], settings: &AuthSettings) -> Result<Self, AuthError> {
        if passdbs.is_empty() {
            return Err(AuthError::NoPassdb);
        }
        let passdbs = passdbs.iter().map(Passdb::new).collect::<Result<_, _>>()?;
        let shared = Shared {
            passdbs,
            master_user_separator: settings.master_user_separator,
            failure_delay: Duration::from_millis(settings.failure_delay_millis),
            turns: Turns::new(),
        };
        let mechanism = |name: &str| Mechanism {
            name: name.to_owned(),
            private: false,
            anonymous: false,
            plaintext: true,
        };
        let mechanisms: Arc<[Mechanism]> = Arc::from(["PLAIN", "LOGIN"].map(mechanism));
        Ok(Self { shared: Arc::new(shared), availability: watch::Sender::new(Some(mechanisms)) })
    }

    /// Always there.
    pub(super) fn availability(&self) -> watch::Receiver<Option<Arc<[Mechanism]>>> {
        self.availability.subscribe()
    }

    /// Serves a request in a task of its own; the number of sessions bounds the number of tasks.
    pub(super) fn begin(&self, request: AuthRequest) -> Exchange {
        let (responses, asked) = mpsc::channel(REPLIES_WAITING_MAX);
        let (sender, replies) = mpsc::channel(REPLIES_WAITING_MAX);
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let mut dialogue = dialogue::Dialogue::new(sender.clone(), asked);
            let reply = match dialogue.credentials(&request).await {
                Ok(credentials) => shared.authenticate(&request, credentials).await,
                Err(refused) => shared.refuse(refused).await,
            };
            // The session may be gone.
            let _ = sender.send(reply).await;
        });
        Exchange::new(replies, Ticket { responses, _task: AbortOnDropHandle::new(task) }, PATIENCE)
    }
}

impl Shared {
    async fn authenticate(
        self: &Arc<Self>,
        request: &AuthRequest,
        given: dialogue::Credentials,
    ) -> AuthReply {
        let subject = match Subject::new(request, given, self.master_user_separator) {
            Ok(subject) => Arc::new(subject),
            Err(refused) => return self.refuse(refused).await,
        };
        let (user, original) = (subject.user.as_bytes(), subject.original_user.as_bytes());
        match self.verdict(&subject).await {
            Verdict::Accepted(gathered) => match reply::accepted(&subject, gathered).await {
                Some(reply) => AuthReply::Ok(reply),
                None => self.refuse(Refused::temporarily(user)).await,
            },
            Verdict::Refused(name) => {
                let user = name.as_deref().map_or(user, str::as_bytes);
                self.refuse(Refused::user(user, original)).await
            }
            Verdict::Unknowable => self.refuse(Refused::temporarily(user)).await,
        }
    }

    /// Files and hashes block, so this happens aside, for a few requests at a time.
    async fn verdict(self: &Arc<Self>, subject: &Arc<Subject>) -> Verdict {
        let Some(turn) = self.turns.next(subject.client.remote.ip()).await else {
            return Verdict::Unknowable;
        };
        let (shared, subject) = (Arc::clone(self), Arc::clone(subject));
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            check::check(&shared.passdbs, &subject)
        });
        checked.await.unwrap_or_else(|error| {
            tracing::error!(target: "homing::auth", "password check failed: {error}");
            Verdict::Unknowable
        })
    }

    /// Failures are held back, so that guessing takes time (spec/auth-protocol.md 4.4).
    async fn refuse(&self, refused: Refused) -> AuthReply {
        if refused.delayed {
            tokio::time::sleep(self.failure_delay).await;
        }
        AuthReply::Fail(FailReply { fields: refused.fields })
    }
}

/// The session's hold on the task.
struct Ticket {
    responses: mpsc::Sender<Secret>,
    _task: AbortOnDropHandle<()>,
}

impl Conversation for Ticket {
    fn respond(&mut self, response: Secret) {
        // A response that was not asked for finds no room in the end, and is dropped.
        let _ = self.responses.try_send(response);
    }
}

/// `code=` and `reason=` of a failure.
fn failure(code: &str, reason: &str) -> Fields {
    Fields::new().with("code", code).with("reason", reason)
}

#[cfg(test)]
pub(super) mod tests;
