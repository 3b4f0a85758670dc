//! Where answers get their backend. The number of those that wait is bounded.

use std::{future::Future, sync::Arc, time::Duration};

use homing_dovecot_auth::{AnswersOf, HostQuestion, Place};
use homing_wire::Secret;
use tokio::sync::Semaphore;

use super::hub::{
    Hub,
    logins::{Delivery, PeerId},
};
use crate::director::{Director, ForeignPlace, ForeignUse, PlaceRequest};

/// Longest login that is reckoned with, where the auth service sets another limit or none.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(3600);

/// Shared by all connections.
pub(super) struct Desk {
    director: Director,
    hub: Arc<Hub>,
    waiting: Arc<Semaphore>,
    /// How long login processes take to log in at a backend, if the auth service does not say.
    login_time: Duration,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// A login process, which comes to the hub when it forwards.
    LoginProcess(PeerId),
    /// Somebody whose sessions nobody can end.
    Other,
    /// Somebody who looks users up.
    Lookups,
}

impl Asker {
    /// What is spoken with it.
    pub(super) fn answers(self) -> AnswersOf {
        match self {
            Self::LoginProcess(_) | Self::Other => AnswersOf::Logins,
            Self::Lookups => AnswersOf::Lookups,
        }
    }
}

/// A line to send. The login counts as under way there from when the rest is dropped: after sending it.
pub(super) type Answered = (Secret, Option<Delivery>);

impl Desk {
    /// `login_time` is that of one attempt; zero: no limit.
    pub(super) fn new(director: Director, hub: Arc<Hub>, waiting_max: usize, login_time: Duration) -> Self {
        Self { director, hub, waiting: Arc::new(Semaphore::new(waiting_max)), login_time }
    }

    pub(super) fn director(&self) -> &Director {
        &self.director
    }

    /// Asks for a backend; the future ends with the line to send. Without room for one more, the line comes back at
    /// once.
    pub(super) fn ask(
        self: &Arc<Self>,
        question: HostQuestion,
        asker: Asker,
    ) -> Result<impl Future<Output = Answered> + Send + use<>, Secret> {
        let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() else {
            let user = question.user();
            tracing::error!(target: "homing::relay", "director: User {user} host lookup failed: too many requests wait for a backend");
            return Err(question.failed());
        };
        let desk = Arc::clone(self);
        Ok(async move {
            let _permit = permit;
            desk.place(&question, asker).await
        })
    }

    async fn place(&self, question: &HostQuestion, asker: Asker) -> Answered {
        let request = PlaceRequest { user: question.user(), tag: question.tag() };
        match self.director.place_foreign(self.purpose(question, asker), request).await {
            Ok(ForeignPlace { user, ip, hostname, refresh_secs }) => {
                let delivery = match asker {
                    Asker::LoginProcess(peer) => self.hub.login(user, peer, self.login_time(question)),
                    Asker::Other | Asker::Lookups => None,
                };
                (question.placed(&Place { ip, hostname, refresh_secs }), delivery)
            }
            Err(error) => {
                let user = question.user();
                tracing::error!(target: "homing::relay", "director: User {user} host lookup failed: {error}");
                (question.failed(), None)
            }
        }
    }

    fn purpose(&self, question: &HostQuestion, asker: Asker) -> ForeignUse {
        match asker {
            Asker::LoginProcess(_)
                if self.director.is_found_by_hash(question.user(), question.login_name()) =>
            {
                ForeignUse::Session
            }
            Asker::LoginProcess(_) | Asker::Other => ForeignUse::Unreachable,
            Asker::Lookups => ForeignUse::Lookup,
        }
    }

    fn login_time(&self, question: &HostQuestion) -> Duration {
        question.timeout().map_or_else(|| self.usual_login_time(), |limit| all_attempts(time(limit)))
    }

    /// How long login processes may take if the auth service does not say.
    pub(super) fn usual_login_time(&self) -> Duration {
        all_attempts((!self.login_time.is_zero()).then_some(self.login_time))
    }
}

/// Attempts follow one another while there is time, so that two are the most.
fn all_attempts(limit: Option<Duration>) -> Duration {
    limit.map_or(LOGIN_TIME_MAX, |limit| limit.saturating_mul(2).min(LOGIN_TIME_MAX))
}

/// Seconds, or milliseconds; `None` for what may be anything.
fn time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    let secs = || text.parse().ok().map(Duration::from_secs);
    let msecs = |number: &str| number.trim_end().parse().ok().map(Duration::from_millis);
    let time = text.strip_suffix("ms").map_or_else(secs, msecs)?;
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_login_processes() {
        assert_eq!(time(b"30"), Some(Duration::from_secs(30)));
        assert_eq!(time(b"2500ms"), Some(Duration::from_millis(2500)));
        assert_eq!(time(b"2500 ms"), Some(Duration::from_millis(2500)));
        for unclear in ["", "0", "5 mins", "x", "-1"] {
            assert_eq!(time(unclear.as_bytes()), None, "{unclear}");
        }
    }
}
