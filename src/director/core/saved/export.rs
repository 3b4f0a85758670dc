//! Writing down: everything in pages, and afterwards what has changed. Each call is bounded work.

use std::sync::Arc;

use super::{Change, SavedBackend, SavedForeign, SavedHosts, SavedMove, SavedUser, UnsavedChanges};
use crate::director::core::{Core, UserCursor, UserKey, backends::HostNumber, moves::Phase, users::User};

impl Core {
    /// From now on changes are noted. Everything is to be written down now: the backends, and the users with
    /// [`Core::saved_users`].
    pub fn begin_saving(&mut self) -> SavedHosts {
        self.users.changed.begin();
        self.moves.changed.begin();
        (self.backends.is_changed, self.drains.is_changed) = (false, false);
        self.saved_hosts()
    }

    /// The mappings among the next `count` places, and where to go on. A user who changes meanwhile may be met before
    /// or after, or not at all, but is among the changes.
    pub fn saved_users(&self, from: UserCursor, count: usize) -> (Vec<SavedUser>, Option<UserCursor>) {
        let (rows, next) = self.users.page(from.0, count);
        (rows.filter_map(|row| self.saved_user(row)).collect(), next.map(UserCursor))
    }

    /// True if something is not written down.
    pub fn has_unsaved(&self) -> bool {
        let (users, moves) = (&self.users.changed, &self.moves.changed);
        self.backends.is_changed
            || self.drains.is_changed
            || users.len() + moves.len() > 0
            || users.is_too_much()
            || moves.is_too_much()
    }

    /// Takes at most `most` of the changes: they count as written down.
    pub fn take_unsaved(&mut self, most: usize) -> UnsavedChanges {
        if self.users.changed.is_too_much() || self.moves.changed.is_too_much() {
            return UnsavedChanges::Everything;
        }
        let mut changes = Vec::new();
        while changes.len() < most {
            let Some(key) = self.moves.changed.next().or_else(|| self.users.changed.next()) else {
                let are_changed = self.backends.is_changed || self.drains.is_changed;
                (self.backends.is_changed, self.drains.is_changed) = (false, false);
                let hosts = are_changed.then(|| self.saved_hosts());
                return UnsavedChanges::Last(changes, hosts);
            };
            self.users.changed.settle(key);
            changes.push(self.change_of(key));
        }
        UnsavedChanges::Users(changes)
    }

    fn change_of(&self, key: UserKey) -> Change {
        let row = self.users.find(key).and_then(|slot| self.users.row(slot));
        let saved = row.and_then(|row| self.saved_user(row));
        let gone = || Change::Gone { tag: self.backends.tag_name(key.tag).to_vec(), hash: key.hash };
        saved.map_or_else(gone, Change::Is)
    }

    fn saved_hosts(&self) -> SavedHosts {
        let row = |number: HostNumber| {
            let row = self.backends.row(number)?;
            let (host, is_gone) = (Arc::clone(&row.host), self.backends.is_gone(number));
            Some(SavedBackend { number: number.value(), host, changed: row.changed, is_gone })
        };
        let current = self.hosts().iter().filter_map(|host| self.backends.number(host.ip));
        let gone = self.backends.gone().filter(|number| self.users.census(*number).users > 0);
        SavedHosts {
            naming: self.rules.naming.clone(),
            expire: self.expiry.time,
            configured: self.configured.iter().cloned().collect(),
            backends: current.chain(gone).filter_map(row).collect(),
            drains: self.saved_drains(),
        }
    }

    fn saved_user(&self, user: &User) -> Option<SavedUser> {
        if self.is_over(user) {
            return None;
        }
        let moving = self.moves.get(user.key).map(|moving| SavedMove {
            from: moving.from.ip,
            to: moving.to,
            cause: moving.cause,
            until: (moving.phase == Phase::Delay).then_some(moving.deadline),
        });
        Some(SavedUser {
            tag: self.backends.tag_name(user.key.tag).to_vec(),
            hash: user.key.hash,
            backend: user.host.value(),
            seen: (!user.is_held()).then_some(user.seen),
            mapped_secs: user.mapped_secs,
            cause: user.cause,
            moving,
            foreign: self.saved_foreign(user),
        })
    }

    fn saved_foreign(&self, user: &User) -> Vec<SavedForeign> {
        let slot = self.users.find(user.key).filter(|_| user.sessions > 0);
        let uses = slot.map(|slot| self.users.foreign_uses(slot)).unwrap_or_default();
        uses.into_iter().map(|(purpose, placed)| SavedForeign { purpose, placed }).collect()
    }
}
