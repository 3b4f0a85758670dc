//! Logins that were given a backend a short while ago. Their login process comes to the hub only when its first
//! session forwards, so that no kick reaches it before (spec/director.md 10, W1), and what it was told may still be
//! on the way. Reads no clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::Pid;
use tokio::net::UnixStream;

use crate::director::core::UserHash;

/// How long what was written to a login process, which reads from several connections, may wait there behind what
/// was written later. One turn of its loop takes microseconds.
pub(in crate::relay) const SETTLE_TIME: Duration = Duration::from_secs(1);

/// How long a login process may take from its first forwarded session to the hub.
const JOIN_TIME: Duration = Duration::from_secs(15);

/// Logins that are remembered, some 100 bytes each: as many as a large site has in an hour. Without room for more,
/// nobody is sure of anything.
const LOGINS_MAX: usize = 1_000_000;

/// Who is at the other end of a socket, as this machine's kernel says; `None` if it does not. Equal for all connections
/// of a process; what it says of itself may come from a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) struct PeerId(Option<Pid>);

impl PeerId {
    pub(in crate::relay) fn of(stream: &UnixStream) -> Self {
        Self(stream.peer_cred().ok().and_then(|cred| Pid::from_raw(cred.pid()?)))
    }

    /// True if the process has ended for sure.
    fn is_over(self) -> bool {
        let found = self.0.map(rustix::process::test_kill_process);
        found == Some(Err(rustix::io::Errno::SRCH))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::relay) struct Logins {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_number: BTreeMap<(UserHash, u64), Login>,
    /// Those that were delivered, in order of their ends.
    by_end: BTreeMap<(Instant, u64), UserHash>,
    so_far: u64,
    /// Until when logins are missing here for want of room.
    incomplete_until: Option<Instant>,
}

#[derive(Debug)]
struct Login {
    peer: PeerId,
    /// When the login process had the answer; `None`: it is on the way.
    delivered: Option<Instant>,
}

/// An answer on its way; dropped when it has been written, or never will be.
#[derive(Debug)]
pub(in crate::relay) struct Delivery {
    hub: Arc<super::Hub>,
    key: (UserHash, u64),
    /// From the answer until the session forwards and can be kicked, or never will.
    time: Duration,
}

impl Logins {
    /// True if a session of the user may be about to begin in a login process where a kick would not find it.
    pub(super) fn any_unseen(&self, user: UserHash, now: Instant, is_here: impl Fn(PeerId) -> bool) -> bool {
        let mut table = self.lock();
        table.expire(now);
        let is_unseen = |login: &Login| {
            let is_settled = login.delivered.is_some_and(|delivered| delivered + SETTLE_TIME <= now);
            let is_known = login.peer.0.is_some();
            !(is_settled && is_known && is_here(login.peer) || login.peer.is_over())
        };
        let mut of_user = table.by_number.range((user, 0)..=(user, u64::MAX));
        table.incomplete_until.is_some() || of_user.any(|(_, login)| is_unseen(login))
    }

    /// A login that an earlier run gave its backend then, and that may still be under way. Which login process it was is
    /// not known any more.
    pub(super) fn take_over(&self, user: UserHash, delivered: Instant, login_time: Duration) {
        let mut table = self.lock();
        let end = delivered + login_time + JOIN_TIME;
        if end <= Instant::now() {
            return;
        }
        if table.by_number.len() >= LOGINS_MAX {
            table.incomplete_until = table.incomplete_until.max(Some(end));
            return;
        }
        table.so_far += 1;
        let number = table.so_far;
        table.by_number.insert((user, number), Login { peer: PeerId(None), delivered: Some(delivered) });
        table.by_end.insert((end, number), user);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl super::Hub {
    /// A login process is given a backend for a user, and logs in there within `login_time`.
    pub(in crate::relay) fn login(
        self: &Arc<Self>,
        user: UserHash,
        peer: PeerId,
        login_time: Duration,
    ) -> Option<Delivery> {
        let (now, mut table) = (Instant::now(), self.logins.lock());
        table.expire(now);
        let time = login_time + JOIN_TIME;
        if table.by_number.len() >= LOGINS_MAX {
            table.incomplete_until = table.incomplete_until.max(Some(now + time));
            return None;
        }
        table.so_far += 1;
        let key = (user, table.so_far);
        table.by_number.insert(key, Login { peer, delivered: None });
        Some(Delivery { hub: Arc::clone(self), key, time })
    }
}

impl Table {
    fn expire(&mut self, now: Instant) {
        while let Some(entry) = self.by_end.first_entry().filter(|entry| entry.key().0 <= now) {
            let (number, user) = (entry.key().1, entry.remove());
            self.by_number.remove(&(user, number));
        }
        self.incomplete_until = self.incomplete_until.filter(|until| *until > now);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let (now, mut table) = (Instant::now(), self.hub.logins.lock());
        let (user, number) = self.key;
        if let Some(login) = table.by_number.get_mut(&self.key) {
            login.delivered = Some(now);
            table.by_end.insert((now + self.time, number), user);
        }
    }
}
