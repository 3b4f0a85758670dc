//! The live sessions: who is connected, in which stage, and how to end each of them. It also keeps the
//! connection limit: when it is reached, the oldest session that has not logged in gives way
//! (spec/login-proxy.md 12.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
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
    /// A person ends the sessions of a user or a backend.
    Kicked,
}

/// Whose a session is and where it goes: known from the moment the auth service has accepted the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLogin {
    /// The login's user name.
    pub user: UserName,
    /// The name at the backend, by which the director knows the user.
    pub destuser: UserName,
    /// Values of the auth reply's `user_*` fields, by full name.
    pub alternatives: Box<[(Vec<u8>, Vec<u8>)]>,
    /// Name of the backend, if it is known by one.
    pub hostname: Option<Box<str>>,
    /// Address and port of the backend, once it is known.
    pub backend: Option<SocketAddr>,
}

/// Names of `user_*` fields that are told apart. A site has a handful; further ones are not listed.
const COLUMNS_MAX: usize = 32;

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
    /// How many sessions have each `user_*` field.
    columns: BTreeMap<Vec<u8>, usize>,
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
    since: SystemTime,
    /// Boxed, since most sessions of a flood have none; shared with whoever lists it.
    login: Option<Arc<SessionLogin>>,
    evicted: bool,
    stop: watch::Sender<Option<Stop>>,
}

/// Sessions that a kick looks at before others may use the registry.
const KICK_STEP: usize = 1000;

/// One session as listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Which service.
    pub service: Service,
    /// The client's address.
    pub client: SocketAddr,
    /// When the client connected.
    pub since: SystemTime,
    /// Whose it is.
    pub login: Arc<SessionLogin>,
}

/// Where a list of sessions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCursor(u64);

/// A session's place in the registry; given back on drop.
pub struct Seat {
    registry: Arc<Registry>,
    id: u64,
    logging_in: bool,
    has_login: bool,
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
        let (since, login, evicted) = (SystemTime::now(), None, false);
        table.entries.insert(id, Entry { service, client, since, login, evicted, stop: sender });
        Some(Seat { registry: Arc::clone(self), id, logging_in: false, has_login: false, stop })
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

    /// The sessions of users among the next `count` that are older than `from` (all, if there is none), newest first,
    /// and where to go on. Whoever goes on until there is no cursor meets every session that stayed.
    pub fn page(&self, from: Option<SessionCursor>, count: usize) -> (Vec<Listed>, Option<SessionCursor>) {
        let table = self.lock();
        let before = from.map_or(u64::MAX, |cursor| cursor.0);
        let mut last = None;
        let seen = table.entries.range(..before).rev().take(count).inspect(|(id, _)| last = Some(**id));
        let listed = |entry: &Entry| {
            let Entry { service, client, since, login, .. } = entry;
            login.clone().map(|login| Listed { service: *service, client: *client, since: *since, login })
        };
        let rows = seen.filter_map(|(_, entry)| listed(entry)).collect();
        let next = last.filter(|id| table.entries.range(..id).next().is_some());
        (rows, next.map(SessionCursor))
    }

    /// Names of the `user_*` fields of all sessions, in order.
    pub fn columns(&self) -> Vec<Vec<u8>> {
        self.lock().columns.keys().cloned().collect()
    }

    /// Tells the sessions of users that `is_meant` to go, logins under way included. Returns how many; a session that
    /// is told already is not counted again.
    pub fn kick(&self, is_meant: impl Fn(&SessionLogin) -> bool) -> u64 {
        let (mut from, mut kicked) = (0, 0);
        loop {
            let table = self.lock();
            let mut seen = 0;
            for (id, entry) in table.entries.range(from..).take(KICK_STEP) {
                (from, seen) = (id + 1, seen + 1);
                if entry.login.as_ref().is_some_and(|login| is_meant(login)) {
                    let tell = |stop: &mut Option<Stop>| {
                        stop.is_none().then(|| *stop = Some(Stop::Kicked)).is_some()
                    };
                    kicked += u64::from(entry.stop.send_if_modified(tell));
                }
            }
            if seen < KICK_STEP {
                return kicked;
            }
        }
    }

    /// How many sessions of users that `is_meant` have been told to go and are still there.
    pub fn leaving(&self, is_meant: impl Fn(&SessionLogin) -> bool) -> u64 {
        let (mut from, mut leaving) = (0, 0);
        loop {
            let table = self.lock();
            let mut seen = 0;
            for (id, entry) in table.entries.range(from..).take(KICK_STEP) {
                (from, seen) = (id + 1, seen + 1);
                let is_told = entry.stop.borrow().is_some();
                leaving += u64::from(is_told && entry.login.as_ref().is_some_and(|login| is_meant(login)));
            }
            if seen < KICK_STEP {
                return leaving;
            }
        }
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

    fn set_login(&mut self, id: u64, login: Option<Arc<SessionLogin>>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.login, login.clone());
        if let Some(before) = before {
            self.count_columns(&before, false);
        }
        if let Some(login) = login {
            self.count_columns(&login, true);
        }
    }

    fn count_columns(&mut self, login: &SessionLogin, enters: bool) {
        for (name, _) in &login.alternatives {
            let has_room = self.columns.len() < COLUMNS_MAX;
            match self.columns.get_mut(name) {
                Some(count) if enters => *count += 1,
                Some(count) if *count > 1 => *count -= 1,
                Some(_) => {
                    self.columns.remove(name);
                }
                None if enters && has_room => {
                    self.columns.insert(name.clone(), 1);
                }
                None => {}
            }
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if let Some(login) = &entry.login {
            self.count_columns(login, false);
        }
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

    /// Records whose session this is, and where it goes: it can be listed and kicked from now on. `None`: nobody's
    /// any more.
    pub fn set_login(&mut self, login: Option<SessionLogin>) {
        if self.has_login || login.is_some() {
            self.has_login = login.is_some();
            self.registry.lock().set_login(self.id, login.map(Arc::new));
        }
    }

    /// Records that the session is logged in and forwards from now on; it is never evicted any more.
    pub fn logged_in(&self) {
        let mut table = self.registry.lock();
        let Some(service) = table.entries.get(&self.id).map(|entry| entry.service) else { return };
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
        logged_in.logged_in();
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
        seat.logged_in();
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
        assert!(registry.is_empty());
    }

    fn login(user: &str, alternatives: &[(&str, &str)]) -> SessionLogin {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let alternatives = alternatives.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        let (user, destuser) = (user.into(), user.into());
        SessionLogin { user, destuser, alternatives, hostname: None, backend: None }
    }

    #[tokio::test]
    async fn w25_a_kick_counts_each_session_once() {
        let registry = Arc::new(Registry::default());
        let mut seats: Vec<_> = (0..KICK_STEP + 2)
            .map(|n| {
                let mut seat = registry.enter(Service::Imap, client(), usize::MAX).unwrap();
                seat.set_login(Some(login(&format!("u{}", n % 2), &[])));
                seat
            })
            .collect();
        let is_meant = |login: &SessionLogin| login.user.as_bytes() == b"u1";
        assert_eq!(registry.kick(is_meant), (KICK_STEP as u64 + 2) / 2);
        assert_eq!(registry.kick(is_meant), 0, "they are told already");
        assert_eq!(registry.leaving(|_| true), (KICK_STEP as u64 + 2) / 2, "w22: until they have left");
        assert_eq!(seats[1].stopped().await, Stop::Kicked);
        assert!(seats[0].stop.borrow().is_none());
        seats[0].set_login(None);
        assert_eq!(registry.kick(|_| true), (KICK_STEP as u64 + 2) / 2 - 1, "nobody's session is not kicked");
    }

    #[test]
    fn sessions_are_listed_newest_first_page_by_page() {
        let registry = Arc::new(Registry::default());
        let seats: Vec<_> = (0..5)
            .map(|n| {
                let mut seat = registry.enter(Service::Imap, client(), 9).unwrap();
                seat.set_login((n != 2).then(|| login(&format!("u{n}"), &[])));
                seat
            })
            .collect();
        let (mut users, mut cursor) = (Vec::new(), None);
        loop {
            let (rows, next) = registry.page(cursor, 2);
            users.extend(
                rows.iter().map(|row| String::from_utf8_lossy(row.login.user.as_bytes()).into_owned()),
            );
            cursor = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(users, ["u4", "u3", "u1", "u0"]);
        drop(seats);
        assert_eq!(registry.page(None, 2).1, None);
    }

    #[test]
    fn columns_are_those_of_the_live_sessions() {
        let registry = Arc::new(Registry::default());
        let mut seat = registry.enter(Service::Imap, client(), 9).unwrap();
        seat.set_login(Some(login("a", &[("user_b", "1"), ("user_a", "2")])));
        seat.set_login(Some(login("a", &[("user_a", "2")])));
        let other = registry.enter(Service::Imap, client(), 9).map(|mut seat| {
            seat.set_login(Some(login("b", &[("user_a", "3")])));
            seat
        });
        assert_eq!(registry.columns(), [b"user_a"]);
        drop(other);
        assert_eq!(registry.columns(), [b"user_a"]);
        let many: Vec<_> = (0..=COLUMNS_MAX).map(|n| format!("user_{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
        seat.set_login(Some(login("a", &many)));
        assert_eq!(registry.columns().len(), COLUMNS_MAX);
        drop(seat);
        assert!(registry.columns().is_empty());
    }
}
