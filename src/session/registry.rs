//! The live sessions: who is connected, in which stage, and how to end each of them. It also keeps the
//! connection limit: when it is reached, the oldest session that has not logged in gives way
//! (spec/login-proxy.md 12.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use homing_login::{Service, UserName};
use tokio::sync::{Notify, futures::Notified, watch};

/// Why a session must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The program stops, or a reload ends sessions.
    Shutdown,
    /// A newer connection needs the place.
    QueueFull,
}

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Not logged in.
    PreLogin,
    /// Forwarding for a user.
    Forwarding {
        /// The login's user name.
        user: UserName,
        /// Address and port of the backend.
        backend: SocketAddr,
    },
}

/// All live sessions.
#[derive(Default)]
pub struct Registry {
    table: Mutex<Table>,
    left: Notify,
}

#[derive(Default)]
struct Table {
    next_id: u64,
    /// By id, so that iteration goes from the oldest to the newest.
    entries: BTreeMap<u64, Entry>,
    lanes: [Lane; 3],
}

/// What the connection limit of one service needs to know without walking over all sessions.
#[derive(Default)]
struct Lane {
    /// Sessions that nobody told to make room.
    staying: usize,
    /// Those of them that have not logged in and are not about to, oldest first.
    pre_login: BTreeSet<u64>,
    /// Those before login for whom the auth service or a backend is at work, likewise; they are in one of the two.
    logging_in: BTreeSet<u64>,
}

impl Lane {
    /// Whoever is logging in goes last, so that a flood of idle connections does not keep users out.
    fn pop_oldest(&mut self) -> Option<u64> {
        self.pre_login.pop_first().or_else(|| self.logging_in.pop_first())
    }

    fn forget(&mut self, id: u64) {
        self.pre_login.remove(&id);
        self.logging_in.remove(&id);
    }
}

struct Entry {
    service: Service,
    client: SocketAddr,
    stage: Stage,
    evicted: bool,
    stop: watch::Sender<Option<Stop>>,
}

/// One session as listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Which service.
    pub service: Service,
    /// The client's address.
    pub client: SocketAddr,
    /// Where it is.
    pub stage: Stage,
}

/// A session's place in the registry; given back on drop.
pub struct Seat {
    registry: Arc<Registry>,
    id: u64,
    logging_in: bool,
    stop: watch::Receiver<Option<Stop>>,
}

impl Registry {
    /// Takes a place. With `connections_max` sessions of the service already there, the oldest one before
    /// login is told to go, preferably one without a login under way, and the newcomer is seated; `None` if all
    /// of them are forwarding.
    pub fn enter(
        self: &Arc<Self>,
        service: Service,
        client: SocketAddr,
        connections_max: usize,
    ) -> Option<Seat> {
        let mut table = self.lock();
        if table.lane(service).staying >= connections_max && !table.evict_oldest(service) {
            return None;
        }
        let (sender, stop) = watch::channel(None);
        table.next_id += 1;
        let id = table.next_id;
        let lane = table.lane(service);
        lane.staying += 1;
        lane.pre_login.insert(id);
        table
            .entries
            .insert(id, Entry { service, client, stage: Stage::PreLogin, evicted: false, stop: sender });
        Some(Seat { registry: Arc::clone(self), id, logging_in: false, stop })
    }

    /// Tells every session to go.
    pub fn stop_all(&self, stop: Stop) {
        for entry in self.lock().entries.values() {
            entry.stop.send_replace(Some(stop));
        }
    }

    /// Number of live sessions.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns when no session is left.
    pub async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Completes when some session has left since it was enabled or first polled.
    pub fn seat_left(&self) -> Notified<'_> {
        self.left.notified()
    }

    /// The live sessions, oldest first.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |e: &Entry| Listed { service: e.service, client: e.client, stage: e.stage.clone() };
        self.lock().entries.values().map(listed).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn lane(&mut self, service: Service) -> &mut Lane {
        let [imap, pop3, sieve] = &mut self.lanes;
        match service {
            Service::Imap => imap,
            Service::Pop3 => pop3,
            Service::Sieve => sieve,
        }
    }

    fn evict_oldest(&mut self, service: Service) -> bool {
        let lane = self.lane(service);
        let Some(id) = lane.pop_oldest() else { return false };
        lane.staying = lane.staying.saturating_sub(1);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.evicted = true;
            entry.stop.send_replace(Some(Stop::QueueFull));
        }
        true
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if !entry.evicted {
            let lane = self.lane(entry.service);
            lane.staying = lane.staying.saturating_sub(1);
            lane.forget(id);
        }
    }
}

impl Seat {
    /// Returns when the session must end.
    pub async fn stopped(&mut self) -> Stop {
        match self.stop.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::Shutdown),
            // The sender lives in the registry as long as this seat does.
            Err(_) => Stop::Shutdown,
        }
    }

    /// Records that the session is logged in and forwards from now on; it is never evicted any more.
    pub fn logged_in(&self, user: UserName, backend: SocketAddr) {
        let mut table = self.registry.lock();
        let Some(entry) = table.entries.get_mut(&self.id) else { return };
        entry.stage = Stage::Forwarding { user, backend };
        let service = entry.service;
        table.lane(service).forget(self.id);
    }

    /// Tells whether somebody else is at work for the session's login; see [`Registry::enter`].
    pub fn set_logging_in(&mut self, logging_in: bool) {
        if std::mem::replace(&mut self.logging_in, logging_in) == logging_in {
            return;
        }
        let mut table = self.registry.lock();
        let Some(service) = table.entries.get(&self.id).filter(|e| !e.evicted).map(|e| e.service) else {
            return;
        };
        let lane = table.lane(service);
        lane.forget(self.id);
        let waiting = if logging_in { &mut lane.logging_in } else { &mut lane.pre_login };
        waiting.insert(self.id);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.registry.lock().remove(self.id);
        self.registry.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> SocketAddr {
        "127.0.0.1:1".parse().unwrap()
    }

    #[tokio::test]
    async fn lm_01_the_oldest_before_login_gives_way() {
        let registry = Arc::new(Registry::default());
        let logged_in = registry.enter(Service::Imap, client(), 2).unwrap();
        logged_in.logged_in("u".into(), client());
        let mut old = registry.enter(Service::Imap, client(), 2).unwrap();
        let mut new = registry.enter(Service::Imap, client(), 2).expect("the old one gives way");
        assert_eq!(old.stopped().await, Stop::QueueFull);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), new.stopped()).await.is_err());
        let other = registry.enter(Service::Pop3, client(), 2);
        assert!(other.is_some(), "limits are per service");
    }

    #[tokio::test]
    async fn lm_01_logins_under_way_give_way_last() {
        let registry = Arc::new(Registry::default());
        let enter = || registry.enter(Service::Imap, client(), 2).unwrap();
        let mut busy = enter();
        busy.set_logging_in(true);
        let mut idle = enter();
        let mut newer = enter();
        assert_eq!(idle.stopped().await, Stop::QueueFull, "younger, but idle");
        newer.set_logging_in(true);
        let _newest = enter();
        assert_eq!(busy.stopped().await, Stop::QueueFull, "all are busy: the oldest");
        busy.set_logging_in(false);
        drop((idle, busy));
        newer.set_logging_in(false);
        let _last = enter();
        assert_eq!(newer.stopped().await, Stop::QueueFull);
    }

    #[test]
    fn lm_03_forwarding_sessions_are_never_dropped() {
        let registry = Arc::new(Registry::default());
        let seat = registry.enter(Service::Imap, client(), 1).unwrap();
        seat.logged_in("u".into(), client());
        assert!(registry.enter(Service::Imap, client(), 1).is_none());
        drop(seat);
        assert!(registry.enter(Service::Imap, client(), 1).is_some());
    }

    #[tokio::test]
    async fn stop_all_reaches_everybody_and_emptied_returns() {
        let registry = Arc::new(Registry::default());
        let mut seats: Vec<_> =
            (0..3).map(|_| registry.enter(Service::Sieve, client(), 9).unwrap()).collect();
        registry.stop_all(Stop::Shutdown);
        for seat in &mut seats {
            assert_eq!(seat.stopped().await, Stop::Shutdown);
        }
        drop(seats);
        registry.emptied().await;
        assert!(registry.list().is_empty());
    }
}
