//! The real ends of things (spec/director.md 10, W22), each awaited for a bounded time.

use std::time::Duration;

use homing_doveadm::own::{Awaited, Failure, FailureKind, Row, WAIT_SECS_MAX};
use tokio::time::{sleep, timeout};

use super::Access;
use crate::{admin::ipc::has_alternative, director::core::UserHash, session::SessionLogin};

/// Pause between two looks at all sessions: on a busy machine some session ends all the time, and a look at 100,000 of
/// them takes some milliseconds, for each of [`crate::admin::WAITING_MAX`] who wait.
const PAUSE: Duration = Duration::from_millis(100);

/// Returns when it has ended, or after so many seconds.
pub(super) async fn until_ended(access: &Access, what: Awaited, secs: u32) -> Result<Row, Failure> {
    let Ok(_place) = access.waiting.try_acquire() else {
        return Err(Failure::new(FailureKind::TryAgain, "too many wait already"));
    };
    let time = Duration::from_secs(secs.min(WAIT_SECS_MAX).into());
    let ended = timeout(time, ended(access, &what)).await.is_ok();
    Ok(if ended { Row::End } else { Row::Waiting(left(access, &what)) })
}

async fn ended(access: &Access, what: &Awaited) {
    match what {
        Awaited::Move(user) => access.director.move_ended(UserHash::from_number(user.0)).await,
        Awaited::Flush(scope) => {
            if let Some(flush) = access.flushes.of(*scope) {
                access.director.flush_ended(flush).await;
            }
        }
        Awaited::Sessions(_) | Awaited::SessionsByField { .. } => loop {
            let left_one = access.registry.seat_left();
            tokio::pin!(left_one);
            left_one.as_mut().enable();
            if left(access, what) == Some(0) {
                return;
            }
            left_one.await;
            sleep(PAUSE).await;
        },
    }
}

/// Sessions that were told to go and are there still; those of users who have logged in again since do not matter.
fn left(access: &Access, what: &Awaited) -> Option<u64> {
    let leaving = |is_meant: &dyn Fn(&SessionLogin) -> bool| Some(access.registry.leaving(is_meant));
    match what {
        Awaited::Sessions(user) => leaving(&|login| user.matches(login.user.as_bytes())),
        Awaited::SessionsByField { field, value } => leaving(&|login| has_alternative(login, field, value)),
        Awaited::Move(_) | Awaited::Flush(_) => None,
    }
}
