//! The user table: which backend a user belongs to, while sessions live and for a while after (spec/director.md 3).
//! It does not know which backends exist or why a user is on one.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::UserHash;

/// Tags by the order in which they were first configured, so that a key stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TagNumber(pub(super) u32);

/// A user under a tag. The same hash under two tags is two independent users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UserKey {
    pub(super) tag: TagNumber,
    pub(super) hash: UserHash,
}

/// One mapping: 32 bytes beside its key, as there may be one for every mailbox.
#[derive(Debug)]
struct User {
    host: IpAddr,
    /// From placement to end, logins in progress included.
    sessions: u32,
    /// Key in the idle queue; meaningful only without sessions.
    idle_ticket: u64,
}

/// All mappings. Nothing here walks over the hash map, whose order is random.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_key: HashMap<UserKey, User>,
    /// Mappings without session and when their last one ended, the next to expire first.
    idle: BTreeMap<u64, (Instant, UserKey)>,
    next_ticket: u64,
    /// Number of mappings by backend; no zeros.
    counts: BTreeMap<IpAddr, usize>,
}

impl Users {
    pub(super) fn host_of(&self, key: UserKey) -> Option<IpAddr> {
        self.by_key.get(&key).map(|user| user.host)
    }

    /// Adds a session; creates the mapping to `host` if there is none.
    pub(super) fn enter(&mut self, key: UserKey, host: IpAddr) {
        let counts = &mut self.counts;
        let user = self.by_key.entry(key).or_insert_with(|| {
            *counts.entry(host).or_default() += 1;
            User { host, sessions: 0, idle_ticket: 0 }
        });
        if user.sessions == 0 {
            self.idle.remove(&user.idle_ticket);
        }
        user.sessions += 1;
    }

    /// Removes a session. With the last one the time to expiry starts, and the backend is returned.
    pub(super) fn leave(&mut self, key: UserKey, now: Instant) -> Option<IpAddr> {
        let user = self.by_key.get_mut(&key)?;
        user.sessions = user.sessions.checked_sub(1)?;
        if user.sessions > 0 {
            return None;
        }
        self.next_ticket += 1;
        user.idle_ticket = self.next_ticket;
        self.idle.insert(self.next_ticket, (now, key));
        Some(user.host)
    }

    /// Forgets mappings that have been without session for `expire`.
    pub(super) fn expire(&mut self, now: Instant, expire: Duration) {
        while let Some((&ticket, &(since, key))) = self.idle.first_key_value() {
            if now.saturating_duration_since(since) < expire {
                return;
            }
            self.forget(ticket, key);
        }
    }

    /// When the next mapping expires.
    pub(super) fn next_expiry(&self, expire: Duration) -> Option<Instant> {
        self.idle.first_key_value().and_then(|(_, (since, _))| since.checked_add(expire))
    }

    /// Forgets one mapping if it is without session.
    pub(super) fn forget_idle(&mut self, key: UserKey) {
        if let Some(user) = self.by_key.get(&key).filter(|user| user.sessions == 0) {
            self.forget(user.idle_ticket, key);
        }
    }

    /// Forgets the mappings without session of which `gone` is true.
    pub(super) fn forget_idle_if(&mut self, gone: impl Fn(UserKey, IpAddr) -> bool) {
        let is_gone = |key: &UserKey| self.host_of(*key).is_some_and(|host| gone(*key, host));
        let forgotten: Vec<_> = self
            .idle
            .iter()
            .map(|(ticket, (_, key))| (*ticket, *key))
            .filter(|(_, key)| is_gone(key))
            .collect();
        for (ticket, key) in forgotten {
            self.forget(ticket, key);
        }
    }

    fn forget(&mut self, ticket: u64, key: UserKey) {
        self.idle.remove(&ticket);
        let Some(user) = self.by_key.remove(&key) else { return };
        if let Some(count) = self.counts.get_mut(&user.host) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&user.host);
            }
        }
    }

    /// Number of mappings to a backend.
    pub(super) fn count_on(&self, host: IpAddr) -> usize {
        self.counts.get(&host).copied().unwrap_or(0)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
impl Users {
    /// Panics if the indices disagree.
    pub(super) fn check_invariants(&self) {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (key, user) in &self.by_key {
            *counts.entry(user.host).or_default() += 1;
            let queued = self.idle.get(&user.idle_ticket).is_some_and(|(_, queued)| queued == key);
            assert_eq!(queued, user.sessions == 0, "idle queue of {key:?}");
        }
        assert_eq!(counts, self.counts, "mappings by backend");
        let idle = self.by_key.values().filter(|user| user.sessions == 0).count();
        assert_eq!(idle, self.idle.len(), "length of the idle queue");
        assert!(self.idle.values().is_sorted_by_key(|(since, _)| *since), "order of the idle queue");
    }

    /// What one mapping takes in the table.
    pub(super) fn mapping_bytes() -> usize {
        size_of::<(UserKey, User)>()
    }

    /// All mappings: backend and number of sessions by key.
    pub(super) fn rows(&self) -> BTreeMap<UserKey, (IpAddr, u32)> {
        self.by_key.iter().map(|(key, user)| (*key, (user.host, user.sessions))).collect()
    }
}
