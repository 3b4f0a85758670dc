//! Users who are seen off: a backend that is gone for them (removed, under another tag, forcibly flushed) may not be done
//! with them when their last session has ended, since the proxy in front of its mail processes closes first. So they
//! count there for the kick delay from the end of the session, as in a move (spec/director.md 3.3). Such a user has no
//! mapping for whoever asks, but no login is placed at another address before the time is over.

use super::{
    Action, Cause, Core, Moment,
    backends::HostNumber,
    users::{Slot, User},
};

impl Core {
    /// Until when a user without session counts at a backend that is gone.
    pub(super) fn leaves_until(&self, user: &User, now: Moment) -> Option<Moment> {
        if user.is_held() || !self.backends.is_gone(user.host) {
            return None;
        }
        Some(self.lingering.end_of(user.seen)).filter(|until| *until > now)
    }

    /// Until when logins of such a user wait: not for the same address.
    pub(super) fn kept_out_until(&self, user: &User, now: Moment) -> Option<Moment> {
        self.leaves_until(user, now).filter(|_| self.successor(user).is_none())
    }

    /// The backend of the table to which the ring sends a user who leaves another one with the same address.
    fn successor(&self, user: &User) -> Option<HostNumber> {
        let ip = |number| self.backends.row(number).map(|row| row.host.ip);
        let hashed = self.backends.hashed(self.backends.tag_name(user.key.tag), user.key.hash);
        hashed.filter(|number| ip(*number) == ip(user.host))
    }

    /// Maps a user who leaves to the same address anew if the ring says so. True if it did.
    pub(super) fn bring_back(&mut self, slot: Slot) -> bool {
        let user = self.users.row(slot).filter(|user| self.leaves_until(user, self.now).is_some());
        let Some((host, successor)) = user.and_then(|user| Some((user.host, self.successor(user)?))) else {
            return false;
        };
        self.users.assign(slot, successor, self.now, Cause::Hashed);
        self.drop_if_empty(host);
        true
    }

    /// True if a row means nothing at all.
    pub(super) fn is_over(&self, user: &User) -> bool {
        self.is_forgotten(user) && self.leaves_until(user, self.now).is_none()
    }

    /// Until when the last session that ended at a backend counts.
    pub(super) fn left_until(&self, number: HostNumber) -> Option<Moment> {
        let left = self.backends.row(number)?.left?;
        Some(self.lingering.end_of(left)).filter(|until| *until > self.now)
    }

    /// Logins of at most `most` users go on who have been waited for long enough.
    pub(super) fn wake_leavers(&mut self, most: usize, actions: &mut Vec<Action>) {
        for _ in 0..most {
            let Some((_, user)) = self.leavers.first().copied().filter(|(until, _)| *until <= self.now)
            else {
                return;
            };
            self.leavers.pop_first();
            self.find(user);
            actions.push(Action::Wake { user: user.hash });
        }
    }
}
