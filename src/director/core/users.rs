//! The user table: which backend a user belongs to, as long as sessions live and for a while after
//! (spec/director.md 3).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::UserHash;

/// A user under a tag. Users with the same hash under two tags are independent.
pub(super) type UserKey = (u32, UserHash);

/// One mapping.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) host: IpAddr,
    /// Sessions from placement to end, logins in progress included.
    pub(super) sessions: BTreeSet<u64>,
    /// When the last session ended; meaningful only without sessions.
    pub(super) idle_since: Instant,
}

/// All mappings. Tags are numbers here, so that a mapping stays small.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_key: HashMap<UserKey, User>,
    /// Mappings without session, by the time their last one ended; the next to expire is first.
    idle: BTreeMap<(Instant, u64), UserKey>,
    idle_order: HashMap<UserKey, u64>,
    next_order: u64,
}

impl Users {
    pub(super) fn get(&self, key: UserKey) -> Option<&User> {
        self.by_key.get(&key)
    }

    /// Adds a session; creates the mapping to `host` if there is none.
    pub(super) fn enter(&mut self, key: UserKey, host: IpAddr, session: u64, now: Instant) {
        self.forget_idle(key);
        let user =
            self.by_key.entry(key).or_insert_with(|| User { host, sessions: BTreeSet::new(), idle_since: now });
        user.sessions.insert(session);
    }

    /// Removes a session; with the last one the time to expiry starts.
    pub(super) fn leave(&mut self, key: UserKey, session: u64, now: Instant) {
        let Some(user) = self.by_key.get_mut(&key) else { return };
        if user.sessions.remove(&session) && user.sessions.is_empty() {
            user.idle_since = now;
            self.next_order += 1;
            self.idle.insert((now, self.next_order), key);
            self.idle_order.insert(key, self.next_order);
        }
    }

    /// Forgets mappings that have been without session for `expire`.
    pub(super) fn expire(&mut self, now: Instant, expire: Duration) {
        while let Some((&(since, order), &key)) = self.idle.first_key_value() {
            if now.saturating_duration_since(since) < expire {
                return;
            }
            self.idle.remove(&(since, order));
            self.idle_order.remove(&key);
            self.by_key.remove(&key);
        }
    }

    /// When the next mapping expires.
    pub(super) fn next_expiry(&self, expire: Duration) -> Option<Instant> {
        self.idle.first_key_value().map(|(&(since, _), _)| since + expire)
    }

    /// Forgets the mappings without session whose host `keep` refuses.
    pub(super) fn forget_idle_on(&mut self, gone: impl Fn(IpAddr) -> bool) {
        let forgotten: Vec<_> = self
            .idle
            .values()
            .copied()
            .filter(|key| self.by_key.get(key).is_some_and(|user| gone(user.host)))
            .collect();
        for key in forgotten {
            self.forget_idle(key);
            self.by_key.remove(&key);
        }
    }

    /// True if some user is mapped to the host.
    pub(super) fn uses(&self, host: IpAddr) -> bool {
        self.by_key.values().any(|user| user.host == host)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn forget_idle(&mut self, key: UserKey) {
        if let Some(order) = self.idle_order.remove(&key)
            && let Some(user) = self.by_key.get(&key)
        {
            self.idle.remove(&(user.idle_since, order));
        }
    }

    /// Panics, in tests, if the indices disagree.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.idle.len(), self.idle_order.len());
        for (key, user) in &self.by_key {
            assert_eq!(user.sessions.is_empty(), self.idle_order.contains_key(key), "idle index of {key:?}");
        }
        for ((since, order), key) in &self.idle {
            assert_eq!(self.idle_order.get(key), Some(order));
            assert_eq!(self.by_key[key].idle_since, *since);
        }
    }
}
