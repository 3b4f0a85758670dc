//! Names whose addresses change, get lost and come back while the director runs.

use std::sync::{Condvar, OnceLock};

use homing_login::UserName;
use tokio::time::timeout;

use super::{
    resolver::{ADDRESSES_MAX, LookUp, Pace, QUESTIONS_MAX},
    *,
};
use crate::director::{
    Director, Operation, Origin, PlaceError, PlaceRequest,
    tests::{place, settings},
};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Never reached in a test.
const NEVER: Duration = Duration::from_secs(3600);

/// Pauses short enough to see many rounds, and nothing times out.
const FAST: Pace = Pace {
    interval: Duration::from_millis(2),
    retry: Duration::from_millis(1),
    limit: NEVER,
    patience: NEVER,
};

/// What the resolver says of a name; an error if nothing is set.
#[derive(Clone)]
enum Entry {
    Addresses(Vec<IpAddr>),
    /// The question hangs until something else is set.
    Silent,
}

#[derive(Default)]
struct Records {
    entries: BTreeMap<String, Entry>,
    /// Questions so far.
    asked: BTreeMap<String, usize>,
    /// Questions under way, and the most there ever were.
    hanging: usize,
    hanging_most: usize,
    is_closed: bool,
}

/// A name service. Closed on drop, so that no thread hangs for longer than its test.
struct Zone(Arc<(Mutex<Records>, Condvar)>);

impl Zone {
    fn new(entries: &[(&str, &str)]) -> Self {
        let zone = Self(Arc::default());
        entries.iter().for_each(|(name, addresses)| zone.set(name, addresses));
        zone
    }

    fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        let (records, changed) = &*self.0;
        let result = change(&mut records.lock().unwrap());
        changed.notify_all();
        result
    }

    fn set(&self, name: &str, addresses: &str) {
        let addresses = addresses.split_whitespace().map(|ip| ip.parse().unwrap()).collect();
        self.change(|records| records.entries.insert(name.to_owned(), Entry::Addresses(addresses)));
    }

    fn lose(&self, name: &str) {
        self.change(|records| records.entries.remove(name));
    }

    fn silence(&self, name: &str) {
        self.change(|records| records.entries.insert(name.to_owned(), Entry::Silent));
    }

    fn asked(&self, name: &str) -> usize {
        self.change(|records| records.asked.get(name).copied().unwrap_or_default())
    }

    fn look_up(&self) -> Arc<LookUp> {
        let there = Arc::clone(&self.0);
        Arc::new(move |name| {
            let (records, changed) = &*there;
            let mut records = records.lock().unwrap();
            *records.asked.entry(name.to_owned()).or_default() += 1;
            records.hanging += 1;
            records.hanging_most = records.hanging_most.max(records.hanging);
            let silent = |r: &mut Records| !r.is_closed && matches!(r.entries.get(name), Some(Entry::Silent));
            let mut records = changed.wait_while(records, silent).unwrap();
            records.hanging -= 1;
            match records.entries.get(name) {
                Some(Entry::Addresses(addresses)) => Ok(addresses.clone()),
                _ => Err(io::Error::other("not known")),
            }
        })
    }

    async fn director(&self, mail_servers: &str, pace: Pace) -> Director {
        let resolver = Resolver::new(self.look_up(), pace);
        Director::with_resolver(&settings(mail_servers), resolver, None).await.unwrap()
    }

    /// Until some more questions have been answered and their answers taken.
    async fn rounds(&self, name: &str) {
        let before = self.asked(name);
        until(|| self.asked(name) >= before + 3).await;
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.change(|records| records.is_closed = true);
    }
}

async fn until(happened: impl Fn() -> bool) {
    let wait = async {
        while !happened() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

/// The backends, with their vhosts where these were changed.
fn hosts(director: &Director) -> String {
    let show = |host: &Arc<Host>| match host.vhosts {
        100 => host.ip.to_string(),
        vhosts => format!("{}={vhosts}", host.ip),
    };
    director.tables.hosts().iter().map(show).collect::<Vec<_>>().join(" ")
}

async fn until_hosts(director: &Director, expected: &str) {
    until(|| hosts(director) == expected).await;
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // While there is one listener alone, a line that is first written on another thread is taken to have none for
        // good (tracing-core 0.1, `Rebuilder::JustOne`).
        static OTHER: OnceLock<tracing::Dispatch> = OnceLock::new();
        OTHER.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        let log = self.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false);
        tracing::subscriber::set_default(lines.finish())
    }

    /// The lines so far, without the fields of events.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let words = |line: &str| line.split(" event=").next().unwrap().trim().to_owned();
        String::from_utf8(bytes).unwrap().lines().map(words).collect()
    }
}

#[tokio::test]
async fn w18_a_name_without_address_comes_in_later_by_itself() {
    let zone = Zone::new(&[]);
    let director = zone.director("pool.test", FAST).await;
    let user = UserName::from("foo");
    let request = PlaceRequest { user: &user, tag: b"" };
    let error = director.place_within(Duration::ZERO, request).await.unwrap_err();
    assert!(matches!(error, PlaceError::Timeout { .. }), "{error}");
    let waiting = director.place_within(PATIENCE, request);
    let answered = async {
        until(|| director.tables.waiting() == 1).await;
        zone.set("pool.test", "10.1.0.1");
    };
    let (placement, ()) = tokio::join!(waiting, answered);
    let placement = placement.unwrap();
    assert_eq!((placement.ip(), placement.hostname()), (ip("10.1.0.1"), Some("pool.test")));
}

#[tokio::test]
async fn w18_a_changed_answer_is_a_changed_configuration() {
    let zone = Zone::new(&[("pool.test", "10.1.0.1 10.1.0.2")]);
    let director = zone.director("pool.test 10.1.0.9", FAST).await;
    assert_eq!(hosts(&director), "10.1.0.1 10.1.0.2 10.1.0.9");
    zone.set("pool.test", "10.1.0.3 10.1.0.2 10.1.0.2");
    until_hosts(&director, "10.1.0.2 10.1.0.3 10.1.0.9").await;
}

#[tokio::test]
async fn w18_users_of_a_vanished_address_stay_while_they_have_sessions() {
    let zone = Zone::new(&[("pool.test", "10.1.0.1")]);
    let director = zone.director("pool.test", FAST).await;
    let (first, second) = (place(&director, "foo").await, place(&director, "foo").await);
    zone.set("pool.test", "10.1.0.2");
    until_hosts(&director, "10.1.0.2").await;
    assert_eq!(place(&director, "bar").await.ip(), ip("10.1.0.2"));
    drop(first);
    assert_eq!(place(&director, "foo").await.ip(), ip("10.1.0.1"));
    assert!(!second.kicked().is_cancelled());
    drop(second);
    assert_eq!(place(&director, "foo").await.ip(), ip("10.1.0.2"));
}

#[tokio::test]
async fn w18_a_lost_name_keeps_its_addresses_and_each_change_is_told_once() {
    let log = Log::default();
    let _listening = log.listen();
    let zone = Zone::new(&[("pool.test", "10.1.0.1")]);
    let director = zone.director("pool.test", FAST).await;
    let mut wakes = director.tables.wakes(&UserName::from("foo"));
    zone.rounds("pool.test").await;
    assert_eq!(log.take(), [""; 0], "nothing has changed");
    zone.lose("pool.test");
    zone.rounds("pool.test").await;
    zone.set("pool.test", "");
    zone.rounds("pool.test").await;
    let lost =
        "WARN director_mail_servers: unknown mail host pool.test: not known; its addresses stay as they were";
    assert_eq!(log.take(), [lost]);
    zone.set("pool.test", "10.1.0.1");
    zone.rounds("pool.test").await;
    assert_eq!(log.take(), ["INFO director_mail_servers: mail host pool.test is known again"]);
    assert!(!wakes.has_changed().unwrap(), "the same backends were configured again");
    assert_eq!(hosts(&director), "10.1.0.1");
    zone.set("pool.test", "10.1.0.2");
    timeout(PATIENCE, wakes.changed()).await.unwrap().unwrap();
    zone.rounds("pool.test").await;
    let changed = [
        "INFO director_mail_servers: mail host pool.test has other addresses: 10.1.0.1 -> 10.1.0.2",
        "INFO backend 10.1.0.1 removed by configuration; users whose sessions go on there: 0",
        "INFO backend 10.1.0.2 added by configuration",
    ];
    assert_eq!(log.take(), changed);
}

#[tokio::test]
async fn w18_a_silent_resolver_keeps_the_addresses_and_a_late_answer_counts() {
    let log = Log::default();
    let _listening = log.listen();
    let zone = Zone::new(&[("pool.test", "10.1.0.1")]);
    let pace = Pace { limit: Duration::from_millis(1), ..FAST };
    let director = zone.director("pool.test", pace).await;
    zone.silence("pool.test");
    let failed = "unknown mail host pool.test: no answer within 0 secs; its addresses stay as they were";
    let mut lines = Vec::new();
    let told = async {
        while !lines.iter().any(|line: &String| line.contains(failed)) {
            lines.extend(log.take());
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    assert_eq!(place(&director, "foo").await.ip(), ip("10.1.0.1"));
    until(|| zone.change(|records| records.hanging == 1)).await;
    zone.set("pool.test", "10.1.0.2");
    until_hosts(&director, "10.1.0.2").await;
    assert_eq!(zone.change(|records| records.hanging_most), 1, "one question at a time about one name");
}

#[tokio::test]
async fn w18_a_slow_resolver_delays_a_start_and_a_reload_for_a_limited_time() {
    let names: Vec<_> = (0..3 * QUESTIONS_MAX).map(|n| format!("slow{n}.test")).collect();
    let zone = Zone::new(&[]);
    names.iter().for_each(|name| zone.silence(name));
    let words = format!("10.1.0.1 {}", names.join(" "));
    let pace = Pace { patience: Duration::from_millis(50), ..FAST };
    let director = timeout(PATIENCE, zone.director(&words, pace)).await.unwrap();
    timeout(PATIENCE, director.reload(&settings(&words))).await.unwrap().unwrap();
    assert_eq!(place(&director, "foo").await.ip(), ip("10.1.0.1"));
    until(|| zone.change(|records| records.hanging == QUESTIONS_MAX)).await;
    names.iter().for_each(|name| zone.set(name, "10.1.0.2"));
    until_hosts(&director, "10.1.0.1 10.1.0.2").await;
    until(|| names.iter().all(|name| zone.asked(name) > 1)).await;
    assert_eq!(zone.change(|records| records.hanging_most), QUESTIONS_MAX);
}

#[tokio::test]
async fn w18_changes_made_while_running_survive_a_changed_answer() {
    let zone = Zone::new(&[("pool.test", "10.1.0.1 10.1.0.2 10.1.0.3")]);
    let director = zone.director("pool.test", FAST).await;
    for operation in [
        Operation::SetVhosts { ip: ip("10.1.0.1"), vhosts: 7 },
        Operation::RemoveHost { ip: ip("10.1.0.2") },
        Operation::AddHost { ip: ip("10.1.0.8"), hostname: None, tag: None, vhosts: Some(50) },
        Operation::Down { ip: ip("10.1.0.1") },
    ] {
        director.apply(Origin::Operator, operation).unwrap();
    }
    zone.set("pool.test", "10.1.0.1 10.1.0.2 10.1.0.4");
    until_hosts(&director, "10.1.0.1=7 10.1.0.4 10.1.0.8=50").await;
    assert!(!director.tables.hosts().get(ip("10.1.0.1")).unwrap().up);
}

#[tokio::test]
async fn w18_a_reload_replaces_the_names() {
    let zone = Zone::new(&[("old.test", "10.1.0.1"), ("both.test", "10.1.0.2"), ("new.test", "10.1.0.3")]);
    let director = zone.director("old.test both.test", FAST).await;
    zone.lose("both.test");
    director.reload(&settings("both.test new.test")).await.unwrap();
    assert_eq!(hosts(&director), "10.1.0.2 10.1.0.3", "a lost name keeps its addresses");
    zone.set("old.test", "10.1.0.9");
    zone.set("new.test", "10.1.0.4");
    until_hosts(&director, "10.1.0.2 10.1.0.4").await;
    let error = director.reload(&settings("none.test")).await.unwrap_err();
    assert!(matches!(error, DirectorError::NoHosts), "{error}");
    zone.set("both.test", "10.1.0.5");
    until_hosts(&director, "10.1.0.4 10.1.0.5").await;
    director.reload(&settings("10.1.0.6 none.test")).await.unwrap();
    zone.set("none.test", "10.1.0.7");
    until_hosts(&director, "10.1.0.6 10.1.0.7").await;
}

#[tokio::test]
async fn w18_a_reload_is_possible_while_no_name_has_an_address() {
    let zone = Zone::new(&[]);
    let director = zone.director("none.test", FAST).await;
    director.reload(&settings("none.test other.test")).await.unwrap();
    zone.set("other.test", "10.1.0.1");
    until_hosts(&director, "10.1.0.1").await;
}

#[tokio::test]
async fn contradicting_answers_change_nothing_until_they_fit() {
    let log = Log::default();
    let _listening = log.listen();
    let zone = Zone::new(&[("blue.test", "10.1.0.1"), ("green.test", "10.1.0.2")]);
    let director = zone.director("blue.test@blue green.test@green", FAST).await;
    zone.set("blue.test", "10.1.0.2");
    zone.rounds("blue.test").await;
    let tag = |text: &str| director.tables.hosts().get(ip(text)).unwrap().tag.clone();
    assert_eq!((tag("10.1.0.1"), tag("10.1.0.2")), (b"blue".to_vec(), b"green".to_vec()));
    let told = log.take().into_iter().filter(|line| line.contains("has two tags")).count();
    assert_eq!(told, 1);
    zone.set("green.test", "10.1.0.1");
    until(|| tag("10.1.0.1") == b"green").await;
    assert_eq!(tag("10.1.0.2"), b"blue");
}

#[tokio::test]
async fn an_answer_with_too_many_addresses_is_an_error() {
    let addresses = |count: usize| (0..count).map(|n| format!("10.1.{}.{}", n / 256, n % 256));
    let zone = Zone::new(&[("pool.test", &addresses(ADDRESSES_MAX).collect::<Vec<_>>().join(" "))]);
    let director = zone.director("pool.test", FAST).await;
    assert_eq!(director.tables.hosts().len(), ADDRESSES_MAX);
    zone.set("pool.test", &addresses(ADDRESSES_MAX + 1).collect::<Vec<_>>().join(" "));
    zone.rounds("pool.test").await;
    assert_eq!(director.tables.hosts().len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn nobody_asks_for_names_that_are_gone() {
    let zone = Zone::new(&[("a.test", "10.1.0.1"), ("b.test", "10.1.0.2")]);
    let director = zone.director("a.test b.test", FAST).await;
    for words in ["a.test", "b.test a.test", "b.test"].into_iter().cycle().take(30) {
        director.reload(&settings(words)).await.unwrap();
    }
    // Each follower has one weak reference.
    until(|| Arc::weak_count(&director.names) == 1).await;
    let names = Arc::downgrade(&director.names);
    let (placement, clone) = (place(&director, "foo").await, director.clone());
    drop(director);
    zone.rounds("b.test").await;
    drop(clone);
    until(|| names.strong_count() == 0).await;
    // The resolver is held by questions alone now, and those end.
    until(|| Arc::strong_count(&zone.0) == 1).await;
    drop(placement);
}

#[tokio::test]
async fn pauses_are_short_while_logins_may_wait_and_spread_otherwise() {
    let zone = Zone::new(&[("pool.test", "10.1.0.1")]);
    let director = zone.director("pool.test none.test", Pace { patience: NEVER, ..Pace::default() }).await;
    let pace = Pace::default();
    let mut retry = pace.retry;
    let mut pauses =
        |name: &str| -> Vec<_> { (0..6).map(|_| director.names.pause(name, &mut retry).as_secs()).collect() };
    assert_eq!(pauses("none.test"), [5, 10, 20, 40, 60, 60]);
    let settled = pauses("pool.test");
    assert!(settled.iter().all(|pause| (60..66).contains(pause)), "{settled:?}");
    assert_eq!(pauses("none.test").first(), Some(&5));
}
