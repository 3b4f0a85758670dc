//! A new core from what an earlier run has written down. The configuration of now counts as at a reload: what it says
//! differently from the one in force before is changed, and whatever was changed while running stays.
//!
//! All sessions of our own have ended with the earlier run, but backends may not have noticed. So users who had sessions
//! count as seen just now, and where one has to leave a backend the kick delay passes first. Those of other programs
//! live: their users stay where they are, and moves wait for them as before.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{Saved, SavedHosts, SavedMove, SavedUser};
use crate::director::core::{
    Action, Cause, Core, HOSTS_MAX, Host, Moment, Origin, Rules, TAGS_MAX, Table, UserKey, VHOSTS_MAX,
    backends::HostNumber,
    moves::{MOVE_TIME, Move, Phase},
    users::Slot,
};

/// What became of the users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Are where they were.
    pub users: usize,
    /// Those of them whose moves go on, or who have to leave a backend that is gone.
    pub moving: usize,
    /// Those of them who have sessions that other programs forward.
    pub foreign: usize,
    /// Were too old.
    pub expired: usize,
    /// Named a backend that is gone and had left it long ago, or had their hash by other rules.
    pub dropped: usize,
}

impl Core {
    /// Tables as an earlier run has left them, and what has to be told.
    pub fn restored(now: Moment, table: Table, saved: Saved) -> (Self, Restored, Vec<Action>) {
        let naming = table.rules.naming.clone();
        // Another time to expiry counts from now on, as at a reload.
        let rules = Rules { expire: saved.hosts.expire, ..table.rules.clone() };
        let mut core = Self::empty(now, rules);
        let numbers = core.restore_hosts(&saved.hosts);
        // Without sessions nothing can be refused.
        let mut told = core.configure(Origin::Configuration, table).unwrap_or_default();
        let mut restored = Restored::default();
        let mut users = saved.users;
        if saved.hosts.naming != naming {
            restored.dropped = users.len();
            users.clear();
        }
        // The queue of those without session wants this order. In place, as there may be a million.
        let seen = |user: &SavedUser| user.seen.unwrap_or(now).min(now);
        users.sort_unstable_by(|a, b| (seen(a), a.hash, &a.tag).cmp(&(seen(b), b.hash, &b.tag)));
        let mut waiting = Vec::new();
        for user in &users {
            core.restore_user(user, &numbers, &mut restored, &mut waiting);
        }
        waiting.into_iter().for_each(|(slot, moving)| core.restore_move(slot, moving, &mut told));
        core.restore_drains(&saved.hosts.drains, &mut told);
        core.drop_empty_backends();
        (core, restored, told)
    }

    /// The backends by the numbers they had.
    fn restore_hosts(&mut self, saved: &SavedHosts) -> BTreeMap<u32, HostNumber> {
        let mut numbers = BTreeMap::new();
        let mut rows: Vec<_> = saved.backends.iter().take(HOSTS_MAX * 2).collect();
        // Those that are gone make room for their successors.
        rows.sort_by_key(|row| (!row.is_gone, row.number));
        self.backends.begin_changes();
        for row in rows {
            let host = Host { vhosts: row.host.vhosts.min(VHOSTS_MAX), ..Host::clone(&row.host) };
            let has_room = self.backends.tag(&host.tag).is_some() || self.backends.tag_count() < TAGS_MAX;
            if !has_room || self.hosts().contains(host.ip) || numbers.contains_key(&row.number) {
                continue;
            }
            let ip = host.ip;
            self.backends.add(host, row.changed);
            numbers.extend(self.backends.number(ip).map(|number| (row.number, number)));
            if row.is_gone {
                self.backends.retire(ip);
            }
        }
        self.backends.end_changes();
        self.configured = saved.configured.iter().cloned().collect();
        numbers
    }

    fn restore_user(
        &mut self,
        user: &SavedUser,
        numbers: &BTreeMap<u32, HostNumber>,
        restored: &mut Restored,
        waiting: &mut Vec<(Slot, SavedMove)>,
    ) {
        let place = numbers.get(&user.backend).and_then(|n| self.backends.row(*n).map(|row| (*n, row)));
        let Some((number, row)) = place.filter(|(_, row)| row.host.tag == user.tag) else {
            restored.dropped += 1;
            return;
        };
        let (key, from) = (UserKey { tag: row.tag, hash: user.hash }, row.host.ip);
        let is_gone = self.backends.is_gone(number);
        let seen = user.seen.unwrap_or(self.now).min(self.now);
        // Where a move has got behind the sessions, there were none.
        let has_foreign = !user.foreign.is_empty() && user.moving.is_none_or(|moving| moving.until.is_none());
        let is_held = user.seen.is_none() || user.moving.is_some() || has_foreign;
        if !is_held && self.expiry.end_of(seen) <= self.now {
            restored.expired += 1;
            return;
        }
        let is_over = is_gone && !is_held && self.lingering.end_of(seen) <= self.now;
        if is_over || self.users.find(key).is_some() {
            restored.dropped += 1;
            return;
        }
        let Some(slot) = self.users.add(key, number, seen, user.cause) else { return };
        self.users.set_mapped(slot, user.mapped_secs);
        self.backends.note_left(number, seen);
        restored.users += 1;
        restored.foreign += usize::from(has_foreign);
        for foreign in user.foreign.iter().filter(|_| has_foreign) {
            self.users.enter_foreign(slot, foreign.purpose, foreign.placed.min(self.now));
        }
        // A backend that is gone keeps those who have sessions there; those who had left it wait by themselves.
        let must_leave = is_gone && is_held && !has_foreign;
        let leave = || SavedMove { from, to: None, cause: Cause::Flushed(Origin::Restored), until: None };
        if let Some(moving) = user.moving.or_else(|| must_leave.then(leave)) {
            restored.moving += 1;
            waiting.push((slot, moving));
        }
    }

    /// A move goes on where its sessions have ended: the user is at the target, and logins wait. Sessions of other
    /// programs have not: they are told again to end.
    fn restore_move(&mut self, slot: Slot, moving: SavedMove, told: &mut Vec<Action>) {
        let Some(user) = self.users.row(slot) else { return };
        let (key, host) = (user.key, user.host);
        if user.sessions > 0 {
            let SavedMove { to, cause, .. } = moving;
            let Some(from) = self.backends.row(host).map(|row| Arc::clone(&row.host)) else { return };
            let (phase, deadline) = (Phase::Ending { stuck: false }, self.now.after(MOVE_TIME));
            self.moves.set(key, Move { from, to, cause, flush: None, phase, deadline });
            self.users.set_moving(slot, true, self.now);
            return told.extend(self.kicks(key));
        }
        let latest = self.now.after(self.rules.kick_delay);
        let deadline = moving.until.unwrap_or(latest).min(latest);
        let target = self.move_target(key, moving.to);
        let SavedMove { from, cause, .. } = moving;
        let from = Arc::new(Host::new(from, None, self.backends.tag_name(key.tag).to_vec()));
        let to: Option<IpAddr> = target.and(moving.to);
        self.moves.set(key, Move { from, to, cause, flush: None, phase: Phase::Delay, deadline });
        self.users.set_moving(slot, true, self.now);
        if let Some(number) = target.filter(|number| *number != host) {
            self.users.assign(slot, number, self.now, cause);
        }
    }

    /// The backend of the table at which a user can arrive.
    fn move_target(&self, key: UserKey, to: Option<IpAddr>) -> Option<HostNumber> {
        let number = self.backends.number(to?)?;
        self.backends.row(number).filter(|row| row.tag == key.tag).map(|_| number)
    }
}
