//! The users of one backend: how many, and a walk over them that survives comings and goings.

use super::{Slot, Users, links::List};
use crate::director::core::backends::HostNumber;

/// The mappings to one backend, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Residents {
    pub(super) list: List,
    pub(super) users: usize,
    pub(super) held: usize,
    pub(super) sessions: usize,
    walk: Option<Walk>,
}

/// A walk over those who were there when it began.
#[derive(Debug, Clone, Copy)]
struct Walk {
    next: Option<Slot>,
    last: Slot,
}

/// How many belong to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Census {
    /// Mappings.
    pub(in super::super) users: usize,
    /// Those of them that have sessions or are being moved.
    pub(in super::super) held: usize,
    /// Sessions.
    pub(in super::super) sessions: usize,
}

impl Users {
    /// The numbers of a backend.
    pub(in super::super) fn census(&self, host: HostNumber) -> Census {
        let numbers = |r: &Residents| Census { users: r.users, held: r.held, sessions: r.sessions };
        self.hosts.get(&host).map(numbers).unwrap_or_default()
    }

    /// Starts a walk over the users of a backend; one at a time.
    pub(in super::super) fn begin_walk(&mut self, host: HostNumber) {
        if let Some(residents) = self.hosts.get_mut(&host) {
            residents.walk = residents.list.last.map(|last| Walk { next: residents.list.first, last });
        }
    }

    /// The next user of the walk. Who has left meanwhile is left out, who has come is not met.
    pub(in super::super) fn walk(&mut self, host: HostNumber) -> Option<Slot> {
        let walk = self.hosts.get_mut(&host)?.walk.as_mut()?;
        let slot = walk.next?;
        walk.next = if slot == walk.last { None } else { self.slots.row(slot)?.on_host.after };
        Some(slot)
    }

    pub(super) fn settle(&mut self, slot: Slot, host: HostNumber) {
        let Some(user) = self.slots.row(slot) else { return };
        let (held, sessions) = (user.is_held(), user.sessions);
        let residents = self.hosts.entry(host).or_default();
        residents.users += 1;
        residents.held += usize::from(held);
        residents.sessions += sessions as usize;
        residents.list.push(self.slots.rows_mut(), slot, |user| &mut user.on_host);
    }

    pub(super) fn unsettle(&mut self, slot: Slot) {
        let Some(user) = self.slots.row(slot) else { return };
        let (host, held, sessions) = (user.host, user.is_held(), user.sessions);
        let Some(residents) = self.hosts.get_mut(&host) else { return };
        residents.users -= 1;
        residents.held -= usize::from(held);
        residents.sessions -= sessions as usize;
        let links = residents.list.unlink(self.slots.rows_mut(), slot, |user| &mut user.on_host);
        if let Some(walk) = &mut residents.walk {
            if walk.next == Some(slot) {
                walk.next = if slot == walk.last { None } else { links.after };
            }
            if walk.last == slot {
                match links.before {
                    Some(before) => walk.last = before,
                    None => walk.next = None,
                }
            }
        }
        if residents.users == 0 {
            self.hosts.remove(&host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::core::{
        Cause, Moment, UserHash,
        users::{TagNumber, UserKey},
    };

    const HERE: HostNumber = HostNumber::first();

    fn users(names: std::ops::Range<u32>) -> Users {
        let mut users = Users::new();
        names.for_each(|n| add(&mut users, n));
        users
    }

    fn key(n: u32) -> UserKey {
        UserKey { tag: TagNumber(0), hash: UserHash::from_number(n) }
    }

    fn add(users: &mut Users, n: u32) {
        users.add(key(n), HERE, Moment::default(), Cause::Hashed).unwrap();
    }

    fn forget(users: &mut Users, n: u32) {
        let slot = users.find(key(n)).unwrap();
        users.forget(slot);
        assert_eq!(users.contradictions(), Vec::<String>::new());
    }

    fn next(users: &mut Users) -> Option<u32> {
        let slot = users.walk(HERE)?;
        users.row(slot).map(|user| user.key.hash.number())
    }

    /// Who leaves is left out and who comes is not met, wherever the walk is.
    #[test]
    fn w30_a_walk_survives_comings_and_goings() {
        for gone in 1..=4 {
            for steps in 0..=4 {
                let mut users = users(1..5);
                users.begin_walk(HERE);
                let mut met: Vec<_> = (0..steps).map(|_| next(&mut users).unwrap()).collect();
                forget(&mut users, gone);
                (5..8).for_each(|n| add(&mut users, n));
                met.extend(std::iter::from_fn(|| next(&mut users)));
                let expected: Vec<_> = (1..5).filter(|n| *n != gone || *n <= steps).collect();
                assert_eq!(met, expected, "{gone} gone after {steps} steps");
            }
        }
    }

    #[test]
    fn a_walk_over_nobody_ends() {
        let mut users = users(1..3);
        users.begin_walk(HERE);
        forget(&mut users, 1);
        forget(&mut users, 2);
        add(&mut users, 3);
        assert_eq!(next(&mut users), None);
    }
}
