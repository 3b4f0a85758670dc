//! The director as a deterministic state machine: operations and time go in, decisions come out. It reads no clock,
//! opens no socket, and its answers do not depend on the order of a hash map.
//!
//! The invariant that everything serves: no user has sessions on two backends at once. A session counts from the
//! moment its login is placed, before the backend is contacted, until it has ended; while it lives, the mapping
//! does.

mod hash;
mod hosts;
mod mail_servers;
mod operation;
mod ring;
mod username_format;
mod users;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

pub use hash::{Naming, UserHash};
pub use hosts::{Host, Hosts, VHOSTS_DEFAULT};
pub use mail_servers::{MailServer, MailServerError, ServerHost, hosts_of};
pub use operation::{Action, Operation, OperationError, Origin, Table};
pub use ring::Ring;
pub use username_format::{FormatError, UsernameFormat};
use users::{TagNumber, UserKey, Users};

/// One session from its placement to its end; given back by [`Core::release`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    user: UserKey,
    number: u64,
}

/// A session with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The session.
    pub session: SessionKey,
    /// Its backend, as configured at the time.
    pub host: Arc<Host>,
}

/// The tables of one director.
///
/// Logins and their ends come through [`Core::place`] and [`Core::release`]; whatever else changes the tables is
/// an [`Operation`] for [`Core::apply`].
#[derive(Debug)]
pub struct Core {
    naming: Naming,
    expire: Duration,
    /// The configured backends.
    hosts: Hosts,
    /// Backends that are not configured any more but still have sessions.
    leaving: Hosts,
    ring: Ring,
    /// Every tag ever configured; a login cannot add one.
    tags: BTreeMap<Vec<u8>, TagNumber>,
    users: Users,
    sessions: BTreeSet<SessionKey>,
    sessions_so_far: u64,
}

impl Core {
    /// Tables without users.
    pub fn new(table: Table) -> Self {
        let mut core = Self {
            naming: table.naming,
            expire: table.expire,
            hosts: Hosts::default(),
            leaving: Hosts::default(),
            ring: Ring::default(),
            tags: BTreeMap::new(),
            users: Users::default(),
            sessions: BTreeSet::new(),
            sessions_so_far: 0,
        };
        core.replace_hosts(table.hosts);
        core
    }

    /// The hash of a user name.
    pub fn hash(&self, user: &[u8]) -> UserHash {
        self.naming.hash(user)
    }

    /// Places a login: where the user is, else where the ring says. An existing mapping holds even if its backend
    /// is down or without vhosts (spec/director.md 3.2), or leaving. `None`: no usable backend with this tag.
    pub fn place(&mut self, now: Instant, tag: &[u8], hash: UserHash) -> Option<Placed> {
        self.expire(now);
        let user = UserKey { tag: *self.tags.get(tag)?, hash };
        let ip = self.users.host_of(user).or_else(|| self.ring.lookup(tag, hash))?;
        let host = Arc::clone(self.hosts.get(ip).or_else(|| self.leaving.get(ip))?);
        self.sessions_so_far += 1;
        let session = SessionKey { user, number: self.sessions_so_far };
        self.users.enter(user, ip);
        self.sessions.insert(session);
        Some(Placed { session, host })
    }

    /// A session has ended, or its login failed. A user without sessions keeps the backend for a while, unless it
    /// is configured no more. `now` must not go back between calls.
    pub fn release(&mut self, now: Instant, session: SessionKey) {
        if !self.sessions.remove(&session) {
            return;
        }
        let Some(ip) = self.users.leave(session.user, now) else { return };
        if !belongs(&self.hosts, &self.tags, session.user, ip) {
            self.users.forget_idle(session.user);
            if self.users.count_on(ip) == 0 {
                self.leaving.remove(ip);
            }
        }
    }

    /// Forgets mappings whose time is over.
    pub fn expire(&mut self, now: Instant) {
        self.users.expire(now, self.expire);
    }

    /// When [`Core::expire`] has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.users.next_expiry(self.expire)
    }

    /// How long a mapping outlives its last session.
    pub fn expire_time(&self) -> Duration {
        self.expire
    }

    /// Changes the tables. All or nothing; what the world around has to do is returned.
    pub fn apply(&mut self, origin: Origin, operation: Operation) -> Result<Vec<Action>, OperationError> {
        match operation {
            Operation::Configure(table) => self.configure(origin, table),
            Operation::Kick { user } => Ok(self.kick(user)),
        }
    }

    fn configure(&mut self, origin: Origin, table: Table) -> Result<Vec<Action>, OperationError> {
        if table.naming != self.naming {
            // Hashes of the old and the new kind cannot be compared, so a user with a session would be a stranger.
            if !self.sessions.is_empty() {
                return Err(OperationError::NamingInUse);
            }
            self.users.forget_idle_if(|_, _| true);
            self.naming = table.naming;
        }
        self.expire = table.expire;
        let before = self.replace_hosts(table.hosts);
        Ok(self.host_changes(origin, &before))
    }

    /// Takes over a table of backends and returns the one before. Backends that are gone stay known while they have
    /// sessions, so that no user gets a second backend meanwhile.
    fn replace_hosts(&mut self, hosts: Vec<Host>) -> Hosts {
        let before = std::mem::replace(&mut self.hosts, hosts.into_iter().collect());
        for host in self.hosts.iter() {
            let next = TagNumber(self.tags.len() as u32);
            self.tags.entry(host.tag.clone()).or_insert(next);
        }
        let (hosts, tags) = (&self.hosts, &self.tags);
        self.users.forget_idle_if(|user, ip| !belongs(hosts, tags, user, ip));
        let known: Vec<_> = before.iter().chain(self.leaving.iter()).cloned().collect();
        let leaves = |host: &Host| !self.hosts.contains(host.ip) && self.users.count_on(host.ip) > 0;
        self.leaving = known.into_iter().filter(|host| leaves(host)).collect();
        self.ring = Ring::of(self.hosts.iter().map(Arc::as_ref));
        before
    }

    fn host_changes(&self, origin: Origin, before: &Hosts) -> Vec<Action> {
        let gone = before.iter().filter(|host| !self.hosts.contains(host.ip));
        let removed = gone.map(|host| {
            let users = self.users.count_on(host.ip);
            Action::HostRemoved { ip: host.ip, users, origin }
        });
        let new = self.hosts.iter().filter(|host| !before.contains(host.ip));
        let added = new.map(|host| Action::HostAdded { host: Arc::clone(host), origin });
        removed.chain(added).collect()
    }

    /// The sessions of a user under all tags, logins in progress included.
    fn kick(&self, hash: UserHash) -> Vec<Action> {
        let sessions = self.tags.values().flat_map(|tag| {
            let user = UserKey { tag: *tag, hash };
            let range = SessionKey { user, number: 0 }..=SessionKey { user, number: u64::MAX };
            self.sessions.range(range)
        });
        sessions.map(|session| Action::Kick { session: *session }).collect()
    }

    /// The configured backends.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Number of mappings.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Number of sessions, logins in progress included.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }
}

/// True if a user's mapping to a backend may outlive the sessions: it is configured, and under the user's tag.
fn belongs(hosts: &Hosts, tags: &BTreeMap<Vec<u8>, TagNumber>, user: UserKey, ip: IpAddr) -> bool {
    hosts.get(ip).is_some_and(|host| tags.get(&host.tag) == Some(&user.tag))
}
