//! The director as a deterministic state machine: operations and time go in, decisions come out. It reads no clock,
//! opens no socket, and its answers do not depend on the order of a hash map.
//!
//! The invariant that everything serves: no user has sessions on two backends at once. A session counts from the
//! moment its login is placed, before the backend is contacted, until it has ended; while it lives, the mapping
//! does.
//!
//! How to drive it: [`Core::place`] and [`Core::release`] for logins and their ends, [`Core::apply`] for everything
//! else, [`Core::step`] at [`Core::next_step`]. Each of them returns, with bounded work. What comes back is to be
//! performed in order.

mod action;
mod activity;
mod apply;
mod backends;
mod changes;
mod draining;
mod drains;
mod flush;
mod foreign;
mod hash;
mod hosts;
mod invariants;
mod leaving;
mod mail_servers;
mod moves;
mod moving;
mod operation;
mod pace;
mod plan;
mod ring;
mod saved;
mod time;
mod username_format;
mod users;
mod views;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

pub use action::{Action, Cause, FlushProgram, FlushRun, Movement, Wait};
pub use activity::{Activity, AllQuiet};
use backends::{Backends, HostNumber};
use drains::Drains;
pub use drains::{
    DRAIN_GRACE, DRAIN_GRACE_MAX, DRAIN_PAUSE, DRAIN_PER_SEC, DRAIN_QUIET, DRAINS_MAX, DrainEnd,
    DrainProgress, DrainState, Draining,
};
use flush::Flushes;
pub use flush::{FLUSHES_MAX, FlushId, FlushProgress};
pub use foreign::{ForeignSession, ForeignUse};
pub use hash::{Naming, UserHash};
pub use hosts::{Host, Hosts, VHOSTS_DEFAULT};
pub use mail_servers::{MailServer, MailServerError, ServerHost, hosts_of};
use moves::Moves;
pub use moves::{FLUSH_PROGRAM_TIME, MOVE_TIME};
pub use operation::{
    Flushing, HOSTS_MAX, Operation, OperationError, Origin, Rules, TAGS_MAX, Table, VHOSTS_MAX,
};
pub use plan::{Plan, PlanCount, PlanRow, Planner};
pub use ring::Ring;
pub use saved::{
    CHANGES_MAX, Change, Restored, Saved, SavedBackend, SavedDrain, SavedForeign, SavedHosts, SavedMove,
    SavedUser, UnsavedChanges,
};
pub use time::Moment;
pub use username_format::{FormatError, UsernameFormat};
use users::{Expiry, Slot, User, Users};
pub use users::{SessionKey, UserKey};
pub use views::{BackendRow, Lookup, UserCursor, UserMove, UserRow};

/// Users that one call may forget, look at for a flush, or move on. Some hundred microseconds of work, so that logins
/// never wait long for a table that is used by one at a time.
pub const STEP_USERS_MAX: usize = 500;

/// A session with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The session.
    pub session: SessionKey,
    /// Its backend, as known at the time.
    pub host: Arc<Host>,
    /// Why the user is there.
    pub cause: Cause,
    /// The mapping is new.
    pub fresh: bool,
}

/// The tables of one director.
#[derive(Debug)]
pub struct Core {
    rules: Rules,
    expiry: Expiry,
    /// How long users without session still count where they were seen, if that backend is gone.
    lingering: Expiry,
    /// Users whose logins wait for the end of that time.
    leavers: BTreeSet<(Moment, UserKey)>,
    /// The backends as the configuration has them, and their ring.
    configured: Hosts,
    configured_ring: Ring,
    backends: Backends,
    users: Users,
    moves: Moves,
    flushes: Flushes,
    drains: Drains,
    /// The latest time that was told. A clock that goes back stands still here.
    now: Moment,
}

impl Core {
    /// Tables without users.
    pub fn new(now: Moment, table: Table) -> Self {
        let mut core = Self::empty(now, table.rules.clone());
        // The rules are those of the table, so nothing can be refused.
        let _told = core.configure(Origin::Configuration, table);
        core
    }

    /// Without any backend.
    fn empty(now: Moment, rules: Rules) -> Self {
        let expiry = Expiry { time: rules.longest_use(), over: None };
        let lingering = Expiry { time: rules.kick_delay, over: None };
        Self {
            rules,
            expiry,
            lingering,
            leavers: BTreeSet::new(),
            configured: Hosts::default(),
            configured_ring: Ring::default(),
            backends: Backends::default(),
            users: Users::new(),
            moves: Moves::default(),
            flushes: Flushes::default(),
            drains: Drains::default(),
            now,
        }
    }

    /// Places a login: where the user is, else where the ring says. An existing mapping holds even if its backend
    /// is down or without vhosts (spec/director.md 3.2); a removed one holds while a session lives there, and keeps the
    /// user from all others for the kick delay behind it.
    pub fn place(&mut self, now: Moment, tag: &[u8], hash: UserHash) -> Result<Placed, Wait> {
        self.place_session(now, tag, hash, None)
    }

    fn place_session(
        &mut self,
        now: Moment,
        tag: &[u8],
        hash: UserHash,
        foreign: Option<ForeignUse>,
    ) -> Result<Placed, Wait> {
        self.set_time(now);
        let user = UserKey { tag: self.backends.tag(tag).ok_or(Wait::NoHost)?, hash };
        let (slot, fresh) = match self.find(user) {
            Some(slot) => (slot, self.bring_back(slot)),
            None => {
                let number = self.backends.hashed(tag, hash).ok_or(Wait::NoHost)?;
                (self.users.add(user, number, self.now, Cause::Hashed).ok_or(Wait::NoHost)?, true)
            }
        };
        let row = self.users.row(slot).ok_or(Wait::NoHost)?;
        let cause = row.cause;
        if let Some(moving) = self.moves.get(user) {
            return Err(moving.wait(row.sessions));
        }
        if let Some(until) = self.leaves_until(row, self.now) {
            self.leavers.insert((until, user));
            return Err(Wait::KickDelay { until });
        }
        let backend = self.backends.row(row.host).ok_or(Wait::NoHost)?;
        let host = Arc::clone(&backend.host);
        let session = match foreign {
            None => self.users.enter(slot),
            Some(purpose) => self.users.enter_foreign(slot, purpose, self.now),
        };
        let session = session.ok_or(Wait::NoHost)?;
        Ok(Placed { session, host, cause, fresh })
    }

    /// A session has ended, or its login failed. A user without sessions keeps the backend for a while; if it is gone,
    /// for the kick delay only. A user who is being moved is taken further.
    pub fn release(&mut self, now: Moment, session: SessionKey) -> Vec<Action> {
        self.set_time(now);
        let mut actions = Vec::new();
        let Some((slot, left)) = self.users.leave(session, self.now) else { return actions };
        let Some(user) = self.users.row(slot) else { return actions };
        let host = user.host;
        self.backends.note_left(host, self.now);
        if left > 0 {
            return actions;
        }
        if user.moving {
            self.sessions_over(slot, self.now, &mut actions);
        } else if self.is_over(user) {
            self.users.forget(slot);
        }
        self.drop_if_empty(host);
        actions
    }

    /// A user has been seen on the way, as by a lookup for mail delivery elsewhere: mappings without session live on,
    /// under all tags. Never makes a mapping (spec/director.md 5.5).
    pub fn refresh(&mut self, now: Moment, hash: UserHash) {
        self.set_time(now);
        let slots: Vec<_> =
            self.backends.tags().filter_map(|(_, tag)| self.users.find(UserKey { tag, hash })).collect();
        for slot in slots {
            if self.users.row(slot).is_some_and(|user| !self.is_forgotten(user)) {
                self.users.confirm(slot, self.now);
            }
        }
    }

    /// What the passing of time does: expired mappings are forgotten, moves, flushes and drains go on. At most some
    /// [`STEP_USERS_MAX`] users of each kind; [`Core::next_step`] tells if more is to be done. To drains all sessions
    /// are quiet.
    pub fn step(&mut self, now: Moment) -> Vec<Action> {
        self.step_among(now, &AllQuiet)
    }

    /// [`Core::step`], where `activity` tells drains whom to move first.
    pub fn step_among(&mut self, now: Moment, activity: &dyn Activity) -> Vec<Action> {
        self.set_time(now);
        let mut actions = Vec::new();
        self.users.expire(self.now, self.expiry, STEP_USERS_MAX);
        self.wake_leavers(STEP_USERS_MAX, &mut actions);
        self.advance_moves(STEP_USERS_MAX, &mut actions);
        self.advance_flushes(STEP_USERS_MAX, &mut actions);
        self.advance_drains(STEP_USERS_MAX, activity, &mut actions);
        self.drop_empty_backends();
        actions
    }

    /// When [`Core::step`] has something to do; a moment that has passed means at once.
    pub fn next_step(&self) -> Option<Moment> {
        let flush = self.flush_can_go_on().then_some(self.now);
        let expiry = self.users.next_expiry(self.expiry);
        let leaver = self.leavers.first().map(|(until, _)| *until);
        let all = [flush, expiry, leaver, self.moves.next_deadline(), self.next_drain_step()];
        all.into_iter().flatten().min()
    }

    /// Changes the tables. All or nothing.
    pub fn apply(
        &mut self,
        now: Moment,
        origin: Origin,
        operation: Operation,
    ) -> Result<Vec<Action>, OperationError> {
        self.set_time(now);
        let mut outcome = self.perform(origin, operation);
        if let Ok(actions) = &mut outcome {
            self.end_contradicted_drains(origin, actions);
        }
        self.drop_empty_backends();
        outcome
    }

    /// The row of a user: the mapping, or what is left of one while the user leaves. One that means nothing any more is
    /// taken out of the way.
    fn find(&mut self, user: UserKey) -> Option<Slot> {
        let slot = self.users.find(user)?;
        let row = self.users.row(slot)?;
        if !self.is_over(row) {
            return Some(slot);
        }
        let host = row.host;
        self.users.forget(slot);
        self.drop_if_empty(host);
        None
    }

    /// True if a row in the table is no mapping any more: too old, or to a backend that is gone.
    fn is_forgotten(&self, user: &User) -> bool {
        user.is_expired(self.now, self.expiry) || (!user.is_held() && self.backends.is_gone(user.host))
    }

    /// True for a backend of the table, and for one that is gone while users are held there.
    fn is_in_use(&self, number: HostNumber) -> bool {
        !self.backends.is_gone(number) || self.users.census(number).held > 0
    }

    /// Backends that are gone are kept while mappings name them.
    fn drop_empty_backends(&mut self) {
        let gone: Vec<_> = self.backends.gone().collect();
        gone.into_iter().for_each(|number| self.drop_if_empty(number));
    }

    fn drop_if_empty(&mut self, number: HostNumber) {
        if self.users.census(number).users == 0 && self.left_until(number).is_none() {
            self.backends.drop_row(number);
        }
    }

    fn set_time(&mut self, now: Moment) {
        self.now = self.now.max(now);
    }
}
