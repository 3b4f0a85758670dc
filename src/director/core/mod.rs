//! The director as a deterministic state machine: operations and time go in, decisions come out. It reads no clock,
//! opens no socket, and its answers do not depend on the order of a hash map.
//!
//! The invariant that everything serves: no user has sessions on two backends at once. A session counts from the
//! moment its login is placed, before the backend is contacted, until it has ended; while it lives, the mapping
//! does.

mod hash;
mod hosts;
mod mail_servers;
mod ring;
mod username_format;
mod users;

#[cfg(test)]
pub(super) mod tests;

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

pub use hash::UserHash;
pub use hosts::{Host, Hosts, VHOSTS_DEFAULT};
pub use mail_servers::{MailServer, MailServerError, ServerHost};
pub use ring::Ring;
pub use username_format::{FormatError, UsernameFormat};
use users::{UserKey, Users};

/// One session with its place; given back by [`Core::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Number of the session.
    pub session: u64,
    /// Its backend.
    pub host: Host,
}

/// The tables.
#[derive(Debug)]
pub struct Core {
    hosts: Hosts,
    ring: Ring,
    users: Users,
    tags: HashMap<Vec<u8>, u32>,
    sessions: HashMap<u64, UserKey>,
    next_session: u64,
    expire: Duration,
}

impl Core {
    /// Empty tables. A mapping expires `expire` after the last session of its user ended.
    pub fn new(expire: Duration) -> Self {
        Self {
            hosts: Hosts::default(),
            ring: Ring::default(),
            users: Users::default(),
            tags: HashMap::new(),
            sessions: HashMap::new(),
            next_session: 0,
            expire,
        }
    }

    /// Places a login: where the user is, else where the ring says. An existing mapping holds even if its host is
    /// down or without vhosts (spec/director.md 3.2). `None`: no usable host with this tag.
    pub fn place(&mut self, now: Instant, tag: &[u8], user: UserHash) -> Option<Placed> {
        self.users.expire(now, self.expire);
        let known = self.tags.get(tag).map(|tag| (*tag, user));
        let mapped = known.and_then(|key| self.users.get(key)).map(|user| user.host);
        let ip = mapped.or_else(|| self.ring.lookup(tag, user))?;
        let host = self.hosts.get(ip)?.clone();
        let key = (self.tag_number(tag), user);
        self.next_session += 1;
        let session = self.next_session;
        self.users.enter(key, ip, session, now);
        self.sessions.insert(session, key);
        Some(Placed { session, host })
    }

    /// A session has ended, or its login failed.
    pub fn release(&mut self, now: Instant, session: u64) {
        if let Some(key) = self.sessions.remove(&session) {
            self.users.leave(key, session, now);
        }
        self.users.expire(now, self.expire);
        self.drop_unused_hosts();
    }

    /// Forgets expired mappings.
    pub fn expire(&mut self, now: Instant) {
        self.users.expire(now, self.expire);
        self.drop_unused_hosts();
    }

    /// When [`Core::expire`] has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.users.next_expiry(self.expire)
    }

    /// Takes over a configured table. Hosts that stay keep their vhosts and state. A host that is gone takes no new
    /// users and forgets those without session; it stays known until its last session has ended, so that
    /// no user gets a second backend meanwhile.
    pub fn configure(&mut self, hosts: Vec<Host>, expire: Duration) {
        self.expire = expire;
        let stays = |ip: IpAddr| hosts.iter().any(|host| host.ip == ip);
        self.users.forget_idle_on(|ip| !stays(ip));
        let gone: Vec<_> = self.hosts.iter().map(|host| host.ip).filter(|ip| !stays(*ip)).collect();
        for ip in gone {
            if let Some(host) = self.hosts.get_mut(ip) {
                host.vhosts = 0;
                host.up = false;
            }
        }
        for host in hosts {
            match self.hosts.get_mut(host.ip) {
                Some(known) if known.tag == host.tag && known.up => known.hostname = host.hostname,
                _ => self.hosts.insert(host),
            }
        }
        self.configured = self.hosts.iter().filter(|h| stays_in(&self.hosts, h)).count();
        self.rebuild();
    }

    /// All hosts by address.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Number of mappings.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }
}
