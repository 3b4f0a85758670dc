//! The end of a user's time at a backend. The user is there until the backend has closed, too: only then may a login
//! come to another one. A backend that takes longer than the limit is taken for dead (`director_user_kick_delay`,
//! spec/director.md 3.3).

use std::{future::Future, time::Duration};

use crate::{director::Placement, transport::Transport};

/// A session is over, or a login without an answer.
pub(super) async fn leave(placement: Placement, backend: Transport, limit: Duration) {
    backend.close_within(limit).await;
    drop(placement);
}

/// Nobody waits for a login any more. A backend that has got the password may let the user in nevertheless, and would
/// do so behind our back if the connection was just dropped; so the login goes on to its end and is left then.
pub(super) async fn abandon(
    placement: Placement,
    login: impl Future<Output = Option<Transport>>,
    limit: Duration,
) {
    let all = async {
        if let Some(backend) = login.await {
            backend.close_within(limit).await;
        }
    };
    let _ = tokio::time::timeout(limit, all).await;
    drop(placement);
}
