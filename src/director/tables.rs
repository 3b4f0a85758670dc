//! The core behind a lock, with a clock. The one place where its actions are performed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use homing_login::UserName;
use tokio_util::sync::CancellationToken;

use super::{
    PlaceError, PlaceRequest,
    core::{Action, Core, Hosts, Operation, OperationError, Origin, Placed, SessionKey, Table, UserHash},
};

/// Longest pause between two looks at the mappings: keeps sums of times small, whatever is configured.
const EXPIRE_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// What all clones of a director and all placements share.
pub(super) struct Tables(Mutex<State>);

struct State {
    core: Core,
    /// False without `director_mail_servers`.
    configured: bool,
    /// How to end each session.
    stops: HashMap<SessionKey, CancellationToken>,
}

impl Tables {
    pub(super) fn new(table: Table, configured: bool) -> Self {
        Self(Mutex::new(State { core: Core::new(table), configured, stops: HashMap::new() }))
    }

    /// Registers a session. `None`: no backend is usable.
    ///
    /// The name is hashed under the lock, since a reload must not change the rules between hashing and placing.
    pub(super) fn place(
        &self,
        request: PlaceRequest<'_>,
    ) -> Result<Option<(Placed, CancellationToken)>, PlaceError> {
        let mut state = self.lock();
        let hash = state.core.hash(request.user.as_bytes());
        let Some(placed) = state.core.place(Instant::now(), request.tag, hash) else {
            return if state.configured { Ok(None) } else { Err(PlaceError::NoDirector) };
        };
        let stop = CancellationToken::new();
        state.stops.insert(placed.session, stop.clone());
        Ok(Some((placed, stop)))
    }

    /// A session has ended.
    pub(super) fn release(&self, session: SessionKey) {
        let mut state = self.lock();
        state.stops.remove(&session);
        state.core.release(Instant::now(), session);
    }

    /// Forgets expired mappings; returns when to come back.
    pub(super) fn expire(&self) -> Instant {
        let core = &mut self.lock().core;
        let now = Instant::now();
        core.expire(now);
        // What becomes idle later expires later.
        core.next_expiry().unwrap_or_else(|| now + core.expire_time().min(EXPIRE_PAUSE_MAX))
    }

    pub(super) fn configure(&self, table: Table, configured: bool) -> Result<(), OperationError> {
        let mut state = self.lock();
        let actions = state.core.apply(Origin::Configuration, Operation::Configure(table))?;
        state.configured = configured;
        tracing::debug!("hosts_hash={}", state.core.hosts().checksum());
        perform(state, actions);
        Ok(())
    }

    pub(super) fn kick(&self, user: &UserName) {
        let mut state = self.lock();
        let user = state.core.hash(user.as_bytes());
        if let Ok(actions) = state.core.apply(Origin::Operator, Operation::Kick { user }) {
            perform(state, actions);
        }
    }

    pub(super) fn hash(&self, user: &UserName) -> UserHash {
        self.lock().core.hash(user.as_bytes())
    }

    pub(super) fn hosts(&self) -> Hosts {
        self.lock().core.hosts().clone()
    }

    /// Numbers of mappings and of sessions.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let core = &self.lock().core;
        (core.user_count(), core.session_count())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Performs the actions. Lets go of the lock before sessions wake up: they give their placements back.
fn perform(state: MutexGuard<'_, State>, actions: Vec<Action>) {
    let stop = |action: Action| match action {
        Action::Kick { session } => state.stops.get(&session).cloned(),
        Action::HostAdded { host, origin } => {
            tracing::info!("backend {} added by {origin}", host.ip);
            None
        }
        Action::HostRemoved { ip, users, origin } => {
            tracing::info!("backend {ip} removed by {origin}; users whose sessions go on there: {users}");
            None
        }
    };
    let stops: Vec<_> = actions.into_iter().filter_map(stop).collect();
    drop(state);
    stops.iter().for_each(CancellationToken::cancel);
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}
