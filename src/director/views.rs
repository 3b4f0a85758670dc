//! What administrators see of the tables, and what they wait for. Each call holds the lock for bounded work.

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    Director,
    core::{
        BackendRow, Core, DrainProgress, FlushId, FlushProgress, Host, Lookup, Moment, Operation,
        OperationError, Origin, Plan, UserCursor, UserHash, UserRow,
    },
    history::{HistoryEntry, HostEntry},
};

/// Places of the user table that one call looks at: some hundred microseconds.
const USERS_PAGE: usize = 500;

/// Pages that are looked at at a time. However many administrators list or plan, a login waits for no more than these.
pub(super) const WALKS_MAX: usize = 2;

/// What there is, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Mappings.
    pub users: usize,
    /// Sessions, logins in progress and those of other programs included.
    pub sessions: usize,
    /// Moves under way.
    pub moves: usize,
    /// Those of them whose sessions do not end.
    pub stuck: usize,
    /// Flushes that have not ended.
    pub flushes: usize,
}

impl Director {
    /// Everything that is counted anyway: the work does not depend on the number of users.
    pub fn census(&self) -> Census {
        self.tables.read(|core, _| {
            let (moves, stuck) = core.move_counts();
            let flushes = core.flushes().count();
            Census { users: core.user_count(), sessions: core.session_count(), moves, stuck, flushes }
        })
    }

    /// The moment of now, on the clock of everything that is shown here.
    pub fn now(&self) -> Moment {
        self.tables.moment(Instant::now())
    }

    /// The backends of the table in order, then those that are leaving.
    pub fn backends(&self) -> Vec<BackendRow> {
        self.tables.read(|core, _| core.backend_rows())
    }

    /// The name of a backend of the table, if it was configured by name.
    pub fn hostname_of(&self, ip: IpAddr) -> Option<String> {
        self.tables.read(|core, _| core.hosts().get(ip).and_then(|host| host.hostname.clone()))
    }

    /// Backends that are configured but not in the table.
    pub fn removed_hosts(&self) -> Vec<IpAddr> {
        self.tables.read(|core, _| {
            let configured = core.configured_hosts().iter().map(|host| host.ip);
            configured.filter(|ip| !core.hosts().contains(*ip)).collect()
        })
    }

    /// The same as they were configured.
    pub fn removed_backends(&self) -> Vec<Arc<Host>> {
        self.tables.read(|core, _| {
            let configured = core.configured_hosts().iter();
            configured.filter(|host| !core.hosts().contains(host.ip)).cloned().collect()
        })
    }

    /// Whether [`super::core::Operation::LoadUser`] would be refused; true if the user is there already.
    pub fn can_load(&self, user: UserHash, ip: IpAddr) -> Result<bool, OperationError> {
        self.tables.read(|core, _| core.can_load(user, ip))
    }

    /// The hash of a user name.
    pub fn hash(&self, user: &[u8]) -> UserHash {
        self.tables.read(|core, _| core.hash(user))
    }

    /// Where a user is and would be, without changing anything.
    pub fn lookup(&self, tag: &[u8], user: UserHash) -> Lookup {
        self.tables.read(|core, now| core.lookup(now, tag, user))
    }

    /// Some mappings, and where to go on. Whoever goes on until there is no cursor meets every mapping that stayed,
    /// once.
    pub async fn users(&self, from: UserCursor) -> (Vec<UserRow>, Option<UserCursor>) {
        // Never closed.
        let _walk = self.walks.acquire().await;
        self.tables.read(|core, now| core.users(now, from, USERS_PAGE))
    }

    /// What happened lately to a user under all tags, oldest first; at most [`super::HISTORY_SHOWN_MAX`].
    pub fn history(&self, user: UserHash) -> Vec<HistoryEntry> {
        self.tables.recall(|history| history.of_user(user))
    }

    /// What happened lately to a backend, oldest first; at most [`super::HISTORY_SHOWN_MAX`].
    pub fn host_history(&self, ip: IpAddr) -> Vec<HostEntry> {
        self.tables.recall(|history| history.of_host(ip))
    }

    /// The flushes that have not ended, oldest first.
    pub fn flushes(&self) -> Vec<FlushProgress> {
        self.tables.read(|core, _| core.flushes().collect())
    }

    /// The drains by address, those that have ended included.
    pub fn drains(&self) -> Vec<DrainProgress> {
        self.tables.read(|core, now| core.drains(now))
    }

    /// The drain of a backend, also when it has ended.
    pub fn drain_of(&self, ip: IpAddr) -> Option<DrainProgress> {
        self.tables.read(|core, now| core.drain_of(now, ip))
    }

    /// True if a backend has no users, no session, no login in progress, no move away from it, and gets no new users.
    pub fn is_safe_to_power_off(&self, ip: IpAddr) -> bool {
        self.tables.read(|core, now| core.is_safe_to_power_off(now, ip))
    }

    /// What an operation would do, counted page by page; nothing changes. See [`Plan`] for how exact it is.
    pub async fn plan(&self, operation: &Operation) -> Result<Plan, OperationError> {
        let begin = |core: &Core, now| core.begin_plan(now, Origin::Operator, operation);
        let mut planner = self.tables.read(begin)?;
        while planner.is_counting() {
            let _walk = self.walks.acquire().await;
            self.tables.read(|core, now| core.plan_some(now, &mut planner, USERS_PAGE));
            tokio::task::yield_now().await;
        }
        Ok(planner.into_plan())
    }

    /// Returns when a flush has looked at all its users; their moves may be under way then (spec/director.md 4.7).
    pub async fn flush_walked(&self, flush: FlushId) {
        self.progress_until(|core, _| !core.flushes().any(|known| known.flush == flush && !known.walked))
            .await;
    }

    /// Returns when the last move of a flush has ended, too (spec/director.md 10, W22).
    pub async fn flush_ended(&self, flush: FlushId) {
        self.progress_until(|core, _| !core.flushes().any(|known| known.flush == flush)).await;
    }

    /// Returns when a user is not being moved, under any tag: logins go on (spec/director.md 10, W22).
    pub async fn move_ended(&self, user: UserHash) {
        self.progress_until(|core, _| !core.is_moving(user)).await;
    }

    /// Returns when the drain of a backend is not as `known` any more, and how it is; at once if it has changed since.
    /// Changes of numbers alone may be told late: whoever shows them looks now and then.
    pub async fn drain_changed(&self, ip: IpAddr, known: Option<&DrainProgress>) -> Option<DrainProgress> {
        let known = known.map(DrainProgress::without_time);
        let is_new =
            |core: &Core, now| core.drain_of(now, ip).as_ref().map(DrainProgress::without_time) != known;
        self.progress_until(is_new).await;
        self.drain_of(ip)
    }

    /// Returns when those sessions of a user have ended that live now, under all tags; later ones do not matter
    /// (spec/director.md 10, W22).
    pub async fn sessions_ended(&self, user: UserHash) {
        let mut news = self.tables.session_ends();
        let latest = self.tables.read(|core, _| core.sessions_of(user).collect::<Vec<_>>());
        let lives =
            || self.tables.read(|core, _| core.sessions_of(user).any(|session| latest.contains(&session)));
        while lives() && news.changed().await.is_ok() {}
    }

    async fn progress_until(&self, is_so: impl Fn(&Core, Moment) -> bool) {
        let mut news = self.tables.progress();
        while !self.tables.read(&is_so) && news.changed().await.is_ok() {}
    }

    /// Ends the sessions of a user, those on one backend excepted. Returns how many; a session that is ending
    /// already is not counted again.
    pub fn kick_hash(&self, user: UserHash, except: Option<IpAddr>) -> u64 {
        self.tables.kick(user, except)
    }
}

#[cfg(test)]
mod tests;
