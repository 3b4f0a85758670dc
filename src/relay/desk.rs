//! Where answers get their backend. The number of those that wait is bounded.

use std::{future::Future, sync::Arc};

use homing_dovecot_auth::{AnswersOf, HostQuestion, Place};
use homing_wire::Secret;
use tokio::sync::Semaphore;

use crate::director::{Director, ForeignPlace, ForeignUse, PlaceRequest};

/// Shared by all connections.
pub(super) struct Desk {
    director: Director,
    waiting: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(director: Director, waiting_max: usize) -> Self {
        Self { director, waiting: Arc::new(Semaphore::new(waiting_max)) }
    }

    pub(super) fn director(&self) -> &Director {
        &self.director
    }

    /// Asks for a backend; the future ends with the line to send. Without room for one more, the line comes back at
    /// once.
    pub(super) fn ask(
        &self,
        question: HostQuestion,
        answers: AnswersOf,
    ) -> Result<impl Future<Output = Secret> + Send + use<>, Secret> {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
            let user = question.user();
            tracing::error!(target: "homing::relay", "auth: user=<{user}>: too many requests wait for a backend");
            return Err(question.failed());
        };
        let director = self.director.clone();
        Ok(async move {
            let _permit = permit;
            place(&director, &question, answers).await
        })
    }
}

async fn place(director: &Director, question: &HostQuestion, answers: AnswersOf) -> Secret {
    let purpose = match answers {
        AnswersOf::Logins => ForeignUse::Session,
        AnswersOf::Lookups => ForeignUse::Lookup,
    };
    let request = PlaceRequest { user: question.user(), tag: question.tag() };
    match director.place_foreign(purpose, request).await {
        Ok(ForeignPlace { ip, hostname, refresh_secs }) => {
            question.placed(&Place { ip, hostname, refresh_secs })
        }
        Err(error) => {
            let user = question.user();
            tracing::error!(target: "homing::relay", "auth: user=<{user}>: {error}");
            question.failed()
        }
    }
}
