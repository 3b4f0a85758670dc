//! What administrators see of the tables, and what they wait for. Each call holds the lock for bounded work.

use std::net::IpAddr;

use super::{
    Director,
    core::{BackendRow, FlushId, Lookup, UserCursor, UserHash, UserRow},
};

/// Places of the user table that one call looks at: some hundred microseconds.
const USERS_PAGE: usize = 500;

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
    pub fn users(&self, from: UserCursor) -> (Vec<UserRow>, Option<UserCursor>) {
        self.tables.read(|core, now| core.users(now, from, USERS_PAGE))
    }

    /// Returns when a flush has looked at all its users; their moves may be under way then (spec/director.md 4.7).
    pub async fn flush_walked(&self, flush: FlushId) {
        let mut news = self.tables.flush_news();
        let walks =
            || self.tables.read(|core, _| core.flushes().any(|known| known.flush == flush && !known.walked));
        while walks() && news.changed().await.is_ok() {}
    }

    /// Ends the sessions of a user, those on one backend excepted. Returns how many; a session that is ending
    /// already is not counted again.
    pub fn kick_hash(&self, user: UserHash, except: Option<IpAddr>) -> u64 {
        self.tables.kick(user, except)
    }
}
