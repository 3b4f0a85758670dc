//! What must always be true of the user table, checked from front to back.

use std::collections::BTreeMap;

use super::{User, Users, links::Links, residents::Census, slab::Slot};
use crate::director::core::backends::HostNumber;

impl Users {
    /// Every contradiction between the table and its indices.
    pub(in super::super) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut counted: BTreeMap<HostNumber, Census> = BTreeMap::new();
        let (mut idle, mut sessions) = (0, 0);
        for user in self.page(0, usize::MAX).0 {
            let slot = self.find(user.key);
            if slot.and_then(|slot| self.row(slot)).map(|row| row.key) != Some(user.key) {
                found.push(format!("{:?} is not in the index", user.key));
            }
            found.extend(slot.and_then(|slot| self.session_contradiction(slot, &mut sessions)));
            let census = counted.entry(user.host).or_default();
            census.users += 1;
            census.held += usize::from(user.is_held());
            census.sessions += user.sessions as usize;
            idle += usize::from(!user.is_held());
        }
        if sessions != self.session_count() {
            found.push(format!("{} sessions, in the lists of users {sessions}", self.session_count()));
        }
        let kept: BTreeMap<_, _> = self.hosts.keys().map(|host| (*host, self.census(*host))).collect();
        if kept != counted {
            found.push(format!("numbers by backend are {kept:?}, counted {counted:?}"));
        }
        let queue = self.chain(self.idle.first, |user| user.line);
        let in_order = queue.is_sorted_by_key(|user| user.seen);
        if queue.len() != idle || !in_order || queue.iter().any(|user| user.is_held()) {
            found.push(format!("idle queue: {} rows for {idle} users, in order {in_order}", queue.len()));
        }
        for (host, residents) in &self.hosts {
            let chain = self.chain(residents.list.first, |user| user.on_host);
            if chain.len() != residents.users || chain.iter().any(|user| user.host != *host) {
                found.push(format!("list of {host:?} has {} of {} users", chain.len(), residents.users));
            }
        }
        found
    }

    /// The rows of a list; no more than there can be.
    fn chain(&self, first: Option<Slot>, links: fn(&User) -> Links) -> Vec<&User> {
        let next = |user: &&User| links(user).after.and_then(|slot| self.row(slot));
        std::iter::successors(first.and_then(|slot| self.row(slot)), next).take(self.len() + 1).collect()
    }
}
