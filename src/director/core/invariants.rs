//! What must be true of the tables after every call. For tests: it looks at everything.

use std::sync::Arc;

use super::{Core, Ring};

impl Core {
    /// Every contradiction in the tables; none is right. That no user has sessions on two backends follows from one
    /// mapping per user to which all sessions belong, as long as a mapping with sessions never changes its backend.
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = self.users.contradictions();
        found.extend(self.moves.contradictions());
        found.extend(self.flushes.contradictions(|flush| {
            self.moves.iter().filter(|(_, moving)| moving.flush == Some(flush)).count() as u64
        }));
        found.extend(self.user_contradictions());
        found.extend(self.move_contradictions());
        for (number, row) in self.backends.rows() {
            let is_current = self.backends.number(row.host.ip) == Some(number);
            let in_table = self.hosts().get(row.host.ip).is_some_and(|host| Arc::ptr_eq(host, &row.host));
            let gone = self.backends.is_gone(number);
            if is_current == gone
                || (is_current && !in_table)
                || self.backends.tag(&row.host.tag) != Some(row.tag)
            {
                found.push(format!("{row:?}: current {is_current}, in table {in_table}, gone {gone}"));
            }
            if gone && row.left.is_none() && self.users.census(number).users == 0 {
                found.push(format!("{row:?} has nothing to wait for"));
            }
        }
        if *self.backends.ring() != Ring::of(self.hosts().iter().map(Arc::as_ref)) {
            found.push("the ring does not fit the backends".to_owned());
        }
        found
    }

    fn user_contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for user in self.users.page(0, usize::MAX).0 {
            if self.backends.row(user.host).is_none_or(|row| row.tag != user.key.tag) {
                found.push(format!("{user:?} is on a backend that is unknown or not theirs"));
            }
            if user.moving != self.moves.get(user.key).is_some() {
                found.push(format!("{user:?}: move {:?}", self.moves.get(user.key)));
            }
        }
        found
    }

    /// Every reason to wait has an end: a session that was told to end, or a time.
    fn move_contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (key, moving) in self.moves.iter() {
            let sessions =
                self.users.find(key).and_then(|slot| self.users.row(slot)).map(|user| user.sessions);
            if moving.is_ending() != sessions.is_some_and(|sessions| sessions > 0) {
                found.push(format!("{key:?} has {sessions:?} sessions during {moving:?}"));
            }
        }
        found
    }
}
