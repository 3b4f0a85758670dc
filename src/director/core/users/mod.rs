//! The user table: which backend a user belongs to, while sessions live and for a while after (spec/director.md 3).
//! It does not know which backends exist or why a user is on one.

mod invariants;
mod links;
mod residents;
mod sessions;
mod slab;
mod slots;

use std::{collections::BTreeMap, time::Duration};

use links::{Links, List};
use residents::Residents;
pub use sessions::SessionKey;
use sessions::Sessions;
pub(super) use slab::Slot;
use slots::Slots;

use super::{Cause, ForeignSession, ForeignUse, Moment, UserHash, backends::HostNumber, saved::Changed};

/// Tags by the order in which they were first configured, so that a key stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TagNumber(pub(super) u32);

/// A user under a tag. The same hash under two tags is two independent users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey {
    pub(super) tag: TagNumber,
    pub(super) hash: UserHash,
}

impl UserKey {
    /// A user under the first tag.
    #[cfg(test)]
    pub(in crate::director) fn of_hash(hash: UserHash) -> Self {
        Self { tag: TagNumber(0), hash }
    }

    /// The hash of the name.
    pub fn hash(self) -> UserHash {
        self.hash
    }

    /// Which tag, counted in the order in which tags were first used; lists are in this order.
    pub fn tag_number(self) -> u32 {
        self.tag.0
    }
}

/// One mapping, in 48 bytes, as there may be one for every mailbox.
#[derive(Debug)]
pub(super) struct User {
    pub(super) key: UserKey,
    pub(super) host: HostNumber,
    /// From placement to end, logins in progress included.
    pub(super) sessions: u32,
    /// When the last session ended or the mapping was last confirmed; meaningful only without sessions.
    pub(super) seen: Moment,
    /// When the mapping was made, in Unix seconds.
    pub(super) mapped_secs: u32,
    pub(super) cause: Cause,
    /// A move is under way; such a mapping does not expire.
    pub(super) moving: bool,
    /// While the mapping is not held: its neighbours in the queue to expiry. While it has sessions: the first and the
    /// last of them. It never has both.
    line: Links,
    on_host: Links,
}

impl User {
    /// True if the mapping must not be forgotten.
    pub(super) fn is_held(&self) -> bool {
        self.sessions > 0 || self.moving
    }

    /// True if the mapping means nothing any more, whether or not it is still in the table.
    pub(super) fn is_expired(&self, now: Moment, expiry: Expiry) -> bool {
        !self.is_held() && now >= expiry.end_of(self.seen)
    }
}

/// When mappings that are not held end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) time: Duration,
    /// Mappings last seen then or before have ended under an earlier rule, taken out or not.
    pub(super) over: Option<Moment>,
}

impl Expiry {
    /// Another time counts from now on; it does not bring back what has ended.
    pub(super) fn change(&mut self, now: Moment, time: Duration) {
        self.over = self.over.max(now.before(self.time));
        self.time = time;
    }

    /// When a mapping ends that was last seen then.
    pub(super) fn end_of(self, seen: Moment) -> Moment {
        if self.over.is_some_and(|over| seen <= over) { seen } else { seen.after(self.time) }
    }
}

/// All mappings and their sessions.
#[derive(Debug)]
pub(super) struct Users {
    slots: Slots,
    /// Mappings that are not held, the next to expire first.
    idle: List,
    /// The mappings of each backend; no empty ones.
    hosts: BTreeMap<HostNumber, Residents>,
    sessions: Sessions,
    /// Whose mapping is not as it was last written down.
    pub(super) changed: Changed,
}

impl Users {
    pub(super) fn new() -> Self {
        let (idle, hosts, changed) = (List::default(), BTreeMap::new(), Changed::default());
        Self { slots: Slots::new(), idle, hosts, sessions: Sessions::new(), changed }
    }

    pub(super) fn find(&self, key: UserKey) -> Option<Slot> {
        self.slots.find(key)
    }

    pub(super) fn row(&self, slot: Slot) -> Option<&User> {
        self.slots.row(slot)
    }

    /// Adds a mapping for a user who has none.
    pub(super) fn add(&mut self, key: UserKey, host: HostNumber, now: Moment, cause: Cause) -> Option<Slot> {
        let (line, on_host) = (Links::default(), Links::default());
        let mapped_secs = u32::try_from(now.unix_secs()).unwrap_or(u32::MAX);
        let user =
            User { key, host, sessions: 0, seen: now, mapped_secs, cause, moving: false, line, on_host };
        let slot = self.slots.insert(user)?;
        self.settle(slot, host);
        self.queue(slot);
        self.changed.note(key);
        Some(slot)
    }

    /// When a mapping was made, if that was not just now.
    pub(super) fn set_mapped(&mut self, slot: Slot, mapped_secs: u32) {
        self.with(slot, |user| user.mapped_secs = mapped_secs);
    }

    /// Marks a user as being moved, or not any more. A mapping that ceases to be held starts its time anew.
    pub(super) fn set_moving(&mut self, slot: Slot, moving: bool, now: Moment) {
        self.change(slot, |user| {
            user.moving = moving;
            if !user.is_held() {
                user.seen = now;
            }
        });
    }

    /// Restarts the time to expiry of a mapping that is not held. `now` must not go back between calls.
    pub(super) fn confirm(&mut self, slot: Slot, now: Moment) {
        if self.row(slot).is_some_and(|user| !user.is_held()) {
            self.unqueue(slot);
            self.with(slot, |user| user.seen = now);
            self.queue(slot);
            self.note(slot);
        }
    }

    /// Gives a user another backend.
    pub(super) fn assign(&mut self, slot: Slot, host: HostNumber, now: Moment, cause: Cause) {
        self.unsettle(slot);
        self.with(slot, |user| {
            (user.host, user.cause) = (host, cause);
            user.mapped_secs = u32::try_from(now.unix_secs()).unwrap_or(u32::MAX);
        });
        self.settle(slot, host);
        self.note(slot);
    }

    /// Forgets a mapping that is not held.
    pub(super) fn forget(&mut self, slot: Slot) {
        if self.row(slot).is_some_and(|user| !user.is_held()) {
            self.note(slot);
            self.unqueue(slot);
            self.unsettle(slot);
            self.slots.remove(slot);
        }
    }

    /// Forgets at most `most` expired mappings.
    pub(super) fn expire(&mut self, now: Moment, expiry: Expiry, most: usize) {
        for _ in 0..most {
            let Some(slot) = self.idle.first else { return };
            if !self.row(slot).is_some_and(|user| user.is_expired(now, expiry)) {
                return;
            }
            self.forget(slot);
        }
    }

    /// When the next mapping expires.
    pub(super) fn next_expiry(&self, expiry: Expiry) -> Option<Moment> {
        self.idle.first.and_then(|slot| self.row(slot)).map(|user| expiry.end_of(user.seen))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// See [`Slots::page`].
    pub(super) fn page(&self, first: usize, count: usize) -> (impl Iterator<Item = &User>, Option<usize>) {
        self.slots.page(first, count)
    }

    /// What the table has allocated, in bytes; sessions not included.
    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Changes what decides whether a mapping is held, and with it the queue and the counts.
    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut User)) {
        let Some(user) = self.slots.row(slot) else { return };
        let (was_held, host, sessions) = (user.is_held(), user.host, user.sessions);
        if !was_held {
            self.unqueue(slot);
        }
        self.with(slot, change);
        let Some(user) = self.slots.row(slot) else { return };
        let (is_held, sessions_now) = (user.is_held(), user.sessions);
        if !is_held {
            self.queue(slot);
        }
        // How many sessions there are is not written down, only whether.
        if was_held != is_held {
            self.note(slot);
        }
        if let Some(residents) = self.hosts.get_mut(&host) {
            residents.held = residents.held + usize::from(is_held) - usize::from(was_held);
            residents.sessions = residents.sessions + sessions_now as usize - sessions as usize;
        }
    }

    fn note(&mut self, slot: Slot) {
        if let Some(user) = self.slots.row(slot) {
            self.changed.note(user.key);
        }
    }

    fn with(&mut self, slot: Slot, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.slots.row_mut(slot) {
            change(user);
        }
    }

    fn queue(&mut self, slot: Slot) {
        self.idle.push(self.slots.rows_mut(), slot, |user| &mut user.line);
    }

    fn unqueue(&mut self, slot: Slot) {
        self.idle.unlink(self.slots.rows_mut(), slot, |user| &mut user.line);
    }
}
