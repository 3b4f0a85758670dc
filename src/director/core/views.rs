//! What can be read off the tables, for admin commands and metrics. Nothing here changes anything.

use std::{net::IpAddr, sync::Arc};

use super::{
    Cause, Core, FlushProgress, Host, Hosts, Moment, Naming, Origin, SessionKey, UserHash, UserKey, Wait,
    backends::HostNumber, users::User,
};

/// One backend with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRow {
    /// The backend.
    pub host: Arc<Host>,
    /// Not in the table any more, or under another tag; has sessions that have not ended.
    pub leaving: bool,
    /// Mappings.
    pub users: usize,
    /// Users with sessions or being moved.
    pub held: usize,
    /// Sessions, logins in progress included. 0 of these and no mappings: safe to power off.
    pub sessions: usize,
    /// Last change between up and down, and who made it.
    pub changed: Option<(Moment, Origin)>,
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Who.
    pub user: UserKey,
    /// The user's tag.
    pub tag: Vec<u8>,
    /// Where.
    pub ip: IpAddr,
    /// Sessions there.
    pub sessions: u32,
    /// When it will be forgotten if nothing happens; with sessions: if all ended now.
    pub expires: Moment,
    /// Since when the user is there, in Unix seconds.
    pub mapped_secs: u32,
    /// Why.
    pub cause: Cause,
    /// The move under way.
    pub moving: Option<UserMove>,
}

/// A move under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserMove {
    /// Where to; `None` if no backend is left.
    pub to: Option<IpAddr>,
    /// Why.
    pub cause: Cause,
    /// What logins wait for.
    pub wait: Wait,
}

/// Where a user is and would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The mapping.
    pub current: Option<UserRow>,
    /// What the ring says now.
    pub hashed: Option<IpAddr>,
    /// What it says for the backends as configured.
    pub initial: Option<IpAddr>,
    /// Until when logins wait, as the user has no mapping any more but may still be at a backend that is gone.
    pub leaves_until: Option<Moment>,
}

impl Lookup {
    /// What a login would be told now.
    pub fn login(&self) -> Result<IpAddr, Wait> {
        match (&self.current, self.leaves_until) {
            (Some(row), _) => row.moving.map_or(Ok(row.ip), |moving| Err(moving.wait)),
            (None, Some(until)) => Err(Wait::KickDelay { until }),
            (None, None) => self.hashed.ok_or(Wait::NoHost),
        }
    }
}

/// Where a list of users goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserCursor(pub(super) usize);

impl UserCursor {
    pub(super) const fn at(place: usize) -> Self {
        Self(place)
    }

    pub(super) const fn place(self) -> usize {
        self.0
    }
}

impl Core {
    /// The hash of a user name.
    pub fn hash(&self, user: &[u8]) -> UserHash {
        self.rules.naming.hash(user)
    }

    /// How names become hashes.
    pub fn naming(&self) -> &Naming {
        &self.rules.naming
    }

    /// The tag of a user.
    pub fn tag_of(&self, user: UserKey) -> &[u8] {
        self.backends.tag_name(user.tag)
    }

    /// The backends of the table.
    pub fn hosts(&self) -> &Hosts {
        self.backends.table()
    }

    /// The backends as configured.
    pub fn configured_hosts(&self) -> &Hosts {
        &self.configured
    }

    /// The backends of the table in order, then those that are leaving.
    pub fn backend_rows(&self) -> Vec<BackendRow> {
        let current = self.hosts().iter().filter_map(|host| self.backends.number(host.ip));
        let leaving = self.backends.gone().filter(|number| self.users.census(*number).held > 0);
        current.chain(leaving).filter_map(|number| self.backend_row(number)).collect()
    }

    /// The backend to which a user is mapped.
    pub fn backend_of(&self, user: UserKey) -> Option<BackendRow> {
        let row = self.users.row(self.users.find(user)?)?;
        self.backend_row(row.host)
    }

    fn backend_row(&self, number: HostNumber) -> Option<BackendRow> {
        let (row, census) = (self.backends.row(number)?, self.users.census(number));
        let leaving = self.backends.is_gone(number);
        // Mappings without session mean nothing on a backend that is gone.
        let users = if leaving { census.held } else { census.users };
        let (host, changed) = (Arc::clone(&row.host), row.changed);
        Some(BackendRow { host, leaving, users, held: census.held, sessions: census.sessions, changed })
    }

    /// Where a user is and would be, without changing anything.
    pub fn lookup(&self, now: Moment, tag: &[u8], hash: UserHash) -> Lookup {
        let user = self.backends.tag(tag).map(|tag| UserKey { tag, hash });
        let row = user.and_then(|user| self.users.find(user)).and_then(|slot| self.users.row(slot));
        let hashed = self.hashed(tag, hash);
        let initial = self.configured_ring.lookup(tag, hash);
        let leaves_until = row.and_then(|row| self.kept_out_until(row, now.max(self.now)));
        Lookup { current: row.and_then(|row| self.user_row(now, row)), hashed, initial, leaves_until }
    }

    /// Where the ring puts a user now, and so where a flush would.
    pub fn hashed(&self, tag: &[u8], hash: UserHash) -> Option<IpAddr> {
        self.backends.ring().lookup(tag, hash)
    }

    /// The mappings among the next `count` places of the table, and where to go on. Whoever goes on until there is
    /// no cursor meets every mapping that stayed, once; the order means nothing.
    pub fn users(&self, now: Moment, from: UserCursor, count: usize) -> (Vec<UserRow>, Option<UserCursor>) {
        let (rows, next) = self.users.page(from.0, count);
        (rows.filter_map(|row| self.user_row(now, row)).collect(), next.map(UserCursor))
    }

    fn user_row(&self, now: Moment, user: &User) -> Option<UserRow> {
        let now = now.max(self.now);
        if user.is_expired(now, self.expiry) || self.is_forgotten(user) {
            return None;
        }
        let host = &self.backends.row(user.host)?.host;
        let seen = if user.is_held() { now } else { user.seen };
        let moving = self.moves.get(user.key).map(|moving| UserMove {
            to: moving.to,
            cause: moving.cause,
            wait: moving.wait(user.sessions),
        });
        Some(UserRow {
            user: user.key,
            tag: host.tag.clone(),
            ip: host.ip,
            sessions: user.sessions,
            expires: seen.after(self.expiry.time),
            mapped_secs: user.mapped_secs,
            cause: user.cause,
            moving,
        })
    }

    /// The mappings of a user under all tags.
    pub fn rows_of(&self, now: Moment, hash: UserHash) -> impl Iterator<Item = UserRow> {
        let rows = self.backends.tags().filter_map(move |(_, tag)| {
            self.users.find(UserKey { tag, hash }).and_then(|slot| self.users.row(slot))
        });
        rows.filter_map(move |row| self.user_row(now, row))
    }

    /// True while a user is being moved, under any tag.
    pub fn is_moving(&self, hash: UserHash) -> bool {
        self.backends.tags().any(|(_, tag)| self.moves.get(UserKey { tag, hash }).is_some())
    }

    /// The users being moved.
    pub fn moving_users(&self, now: Moment) -> impl Iterator<Item = UserRow> {
        let rows = self.moves.iter().filter_map(|(user, _)| self.users.row(self.users.find(user)?));
        rows.filter_map(move |row| self.user_row(now, row))
    }

    /// The sessions of a user under all tags, oldest first within a tag.
    pub fn sessions_of(&self, hash: UserHash) -> impl Iterator<Item = SessionKey> {
        let users = self.backends.tags().map(move |(_, tag)| UserKey { tag, hash });
        users.filter_map(|user| self.users.find(user)).flat_map(|slot| self.users.sessions(slot))
    }

    /// The flushes that have not ended, oldest first.
    pub fn flushes(&self) -> impl Iterator<Item = FlushProgress> {
        self.flushes.progress()
    }

    /// Users being moved, and those of them whose sessions do not end.
    pub fn move_counts(&self) -> (usize, usize) {
        (self.moves.len(), self.moves.len() - self.moves.running())
    }

    /// Number of mappings.
    pub fn user_count(&self) -> usize {
        let stray = |number| {
            let census = self.users.census(number);
            census.users - census.held
        };
        self.users.len() - self.backends.gone().map(stray).sum::<usize>()
    }

    /// Number of sessions, logins in progress included.
    pub fn session_count(&self) -> usize {
        self.users.session_count()
    }

    /// Memory of all mappings with their indices, in bytes; sessions not included.
    pub fn user_bytes(&self) -> usize {
        self.users.bytes()
    }

    /// Memory of all sessions, in bytes.
    pub fn session_bytes(&self) -> usize {
        self.users.session_bytes()
    }
}
