//! The sessions: rows of 24 bytes, those of one user in a list that starts in the user's row. Neither coming nor going
//! searches anything, however many there are.

use std::collections::BTreeMap;

use super::{
    ForeignSession, ForeignUse, Moment, Slot, User, UserKey, Users,
    links::{Links, List},
    slab::Slab,
};

/// One session from its placement to its end. Ordered by user, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    user: UserKey,
    /// Never used twice.
    number: u64,
    /// Where the row is.
    slot: Slot,
}

impl SessionKey {
    /// Whose it is.
    pub fn user(self) -> UserKey {
        self.user
    }

    /// A small number from 0 that no other session has at the same time, for tables beside this one.
    pub fn place(self) -> usize {
        self.slot.index()
    }
}

/// The row of a session.
#[derive(Debug)]
pub(super) struct Session {
    number: u64,
    user: Slot,
    links: Links,
    /// Another program's.
    foreign: Option<ForeignUse>,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    rows: Slab<Session>,
    so_far: u64,
    /// When those of other programs got their places.
    foreign_since: BTreeMap<Slot, Moment>,
}

impl Sessions {
    pub(super) const fn new() -> Self {
        Self { rows: Slab::new(), so_far: 0, foreign_since: BTreeMap::new() }
    }
}

impl User {
    /// The sessions, oldest first.
    fn session_list(&self) -> List {
        match self.sessions {
            0 => List::default(),
            _ => List { first: self.line.before, last: self.line.after },
        }
    }
}

impl Users {
    /// Adds a session. `None` if four thousand million are not enough.
    pub(in super::super) fn enter(&mut self, slot: Slot) -> Option<SessionKey> {
        self.add_session(slot, None)
    }

    /// [`Users::enter`] for a session of another program, which got its place then.
    pub(in super::super) fn enter_foreign(
        &mut self,
        slot: Slot,
        purpose: ForeignUse,
        placed: Moment,
    ) -> Option<SessionKey> {
        let session = self.add_session(slot, Some(purpose))?;
        self.sessions.foreign_since.insert(session.slot, placed);
        self.note(slot);
        Some(session)
    }

    fn add_session(&mut self, slot: Slot, foreign: Option<ForeignUse>) -> Option<SessionKey> {
        let key = self.row(slot)?.key;
        let number = self.sessions.so_far + 1;
        let row = Session { number, user: slot, links: Links::default(), foreign };
        let session = self.sessions.rows.insert(row)?;
        self.sessions.so_far = number;
        let mut list = self.row(slot)?.session_list();
        list.push(&mut self.sessions.rows, session, |session| &mut session.links);
        self.change(slot, |user| user.sessions += 1);
        self.keep_session_list(slot, list);
        Some(SessionKey { user: key, number, slot: session })
    }

    /// Removes a session; returns its user and how many sessions are left. With the last one the time to expiry
    /// starts. `None` if it has been removed before.
    pub(in super::super) fn leave(&mut self, session: SessionKey, now: Moment) -> Option<(Slot, u32)> {
        let row = self.sessions.rows.row(session.slot).filter(|row| row.number == session.number)?;
        let (slot, foreign) = (row.user, row.foreign);
        let mut list = self.row(slot)?.session_list();
        list.unlink(&mut self.sessions.rows, session.slot, |session| &mut session.links);
        self.sessions.rows.remove(session.slot);
        self.keep_session_list(slot, list);
        self.change(slot, |user| {
            user.sessions = user.sessions.saturating_sub(1);
            user.seen = now;
        });
        if foreign.is_some() {
            self.sessions.foreign_since.remove(&session.slot);
            self.note(slot);
        }
        self.row(slot).map(|user| (slot, user.sessions))
    }

    fn keep_session_list(&mut self, slot: Slot, list: List) {
        self.with(slot, |user| user.line = Links { before: list.first, after: list.last });
    }

    /// The sessions of a user, oldest first.
    pub(in super::super) fn sessions(&self, slot: Slot) -> impl Iterator<Item = SessionKey> + use<'_> {
        let user = self.row(slot);
        let key = user.map(|user| user.key);
        let first = user.and_then(|user| user.session_list().first);
        let next = |slot: &Slot| self.sessions.rows.row(*slot)?.links.after;
        std::iter::successors(first, next).filter_map(move |slot| {
            let number = self.sessions.rows.row(slot)?.number;
            Some(SessionKey { user: key?, number, slot })
        })
    }

    /// The sessions of other programs.
    pub(in super::super) fn foreign_sessions(&self) -> impl Iterator<Item = ForeignSession> {
        self.sessions.foreign_since.iter().filter_map(|(slot, placed)| {
            let row = self.sessions.rows.row(*slot)?;
            let session = SessionKey { user: self.row(row.user)?.key, number: row.number, slot: *slot };
            Some(ForeignSession { session, purpose: row.foreign?, placed: *placed })
        })
    }

    /// For what other programs have sessions of a user, and when the last one of each kind got its place.
    pub(in super::super) fn foreign_uses(&self, slot: Slot) -> Vec<(ForeignUse, Moment)> {
        let mut uses = BTreeMap::<ForeignUse, Moment>::new();
        if self.sessions.foreign_since.is_empty() {
            return Vec::new();
        }
        for session in self.sessions(slot) {
            let purpose = self.sessions.rows.row(session.slot).and_then(|row| row.foreign);
            let placed = self.sessions.foreign_since.get(&session.slot);
            if let (Some(purpose), Some(placed)) = (purpose, placed) {
                let last = uses.entry(purpose).or_default();
                *last = (*last).max(*placed);
            }
        }
        uses.into_iter().collect()
    }

    /// Number of sessions, logins in progress included.
    pub(in super::super) fn session_count(&self) -> usize {
        self.sessions.rows.len()
    }

    /// What the sessions have allocated, in bytes.
    pub(in super::super) fn session_bytes(&self) -> usize {
        self.sessions.rows.bytes()
    }

    /// What is wrong with the list of a user, if anything; adds to the number of those found.
    pub(super) fn session_contradiction(&self, slot: Slot, found: &mut usize) -> Option<String> {
        let user = self.row(slot)?;
        let listed: Vec<_> = self.sessions(slot).take(self.session_count() + 1).collect();
        *found += listed.len();
        let theirs = |key: &SessionKey| self.sessions.rows.row(key.slot).is_some_and(|row| row.user == slot);
        let right = listed.len() == user.sessions as usize
            && listed.is_sorted_by_key(|key| key.number)
            && listed.iter().all(theirs)
            && listed.last().map(|key| key.slot) == user.session_list().last;
        (!right).then(|| format!("{user:?} has the sessions {listed:?}"))
    }
}
