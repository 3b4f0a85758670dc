//! The service around the core: guards, waiting logins, reloads, the timer.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use homing_login::{Decision, OkReply, Service, decide};
use homing_wire::Fields;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::*;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn settings(mail_servers: &str) -> DirectorSettings {
    DirectorSettings {
        mail_servers: mail_servers.split_whitespace().map(ToOwned::to_owned).collect(),
        servers: Vec::new(),
        username_hash: "%Lu".to_owned(),
        user_expire: Duration::from_secs(900),
        user_kick_delay: Duration::from_millis(50),
        parallel_moves_max: 100,
        flush_socket: String::new(),
        state_dir: None,
        master_user_separator: None,
    }
}

async fn director(mail_servers: &str) -> Director {
    Director::new(&settings(mail_servers)).await.unwrap()
}

pub(super) async fn place(director: &Director, user: &str) -> Placement {
    let user = UserName::from(user);
    director.place(PlaceRequest { user: &user, tag: b"" }).await.unwrap()
}

async fn place_soon(director: &Director, tag: &str) -> Result<Placement, PlaceError> {
    let user = UserName::from("foo");
    director.place_within(Duration::ZERO, PlaceRequest { user: &user, tag: tag.as_bytes() }).await
}

/// A login that waits for a backend.
async fn waiting(director: &Director) -> JoinHandle<Result<Placement, PlaceError>> {
    let (there, before) = (director.clone(), director.tables.waiting());
    let user = UserName::from("foo");
    let login =
        tokio::spawn(
            async move { there.place_within(PATIENCE, PlaceRequest { user: &user, tag: b"" }).await },
        );
    while director.tables.waiting() == before {
        tokio::task::yield_now().await;
    }
    login
}

/// Numbers of mappings and of sessions.
fn counts(director: &Director) -> (usize, usize) {
    director.tables.counts()
}

#[tokio::test]
async fn a_placement_is_a_session_until_it_is_dropped() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let (first, second) = (place(&director, "foo").await, place(&director, "FOO").await);
    assert_eq!((first.ip().to_string().as_str(), first.hostname()), ("10.1.0.3", None));
    assert_eq!(second.ip(), first.ip());
    assert_eq!(counts(&director), (1, 2));
    drop(first);
    assert_eq!(counts(&director), (1, 1));
    drop(second);
    assert_eq!(counts(&director), (1, 0));
}

#[tokio::test]
async fn without_backends_there_is_no_director() {
    let director = director("").await;
    let error = place_soon(&director, "").await.unwrap_err();
    assert_eq!(error, PlaceError::NoDirector);
    assert_eq!(error.to_string(), "host not given");
    director.reload(&settings("10.1.0.1")).await.unwrap();
    assert_eq!(place(&director, "foo").await.ip().to_string(), "10.1.0.1");
}

/// The time counts from each login, not from a timer that all of them share.
#[tokio::test]
async fn w15_a_login_that_may_wait_longer_holds_up_no_other() {
    assert_eq!(QUEUE_TIME, Duration::from_secs(30));
    let director = director("10.1.0.1").await;
    director.apply(Origin::Operator, Operation::Down { ip: "10.1.0.1".parse().unwrap() }).unwrap();
    let patient = waiting(&director).await;
    let user = UserName::from("bar");
    let request = PlaceRequest { user: &user, tag: b"" };
    let hasty = director.place_within(Duration::from_millis(1), request);
    let error = timeout(PATIENCE / 2, hasty).await.unwrap().unwrap_err();
    assert!(matches!(error, PlaceError::Timeout { .. }), "{error}");
    assert!(!patient.is_finished(), "the other one waits on");
    director.apply(Origin::Operator, Operation::Up { ip: "10.1.0.1".parse().unwrap() }).unwrap();
    timeout(PATIENCE, patient).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn di_05_an_unknown_tag_is_refused_after_the_wait() {
    let director = director("10.1.0.1").await;
    let error = place_soon(&director, "bl\nue").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Timeout because no hosts - queued for 0 secs (hash=2898073819, tag=bl\\x0aue)"
    );
    assert_eq!(counts(&director), (0, 0));
}

#[tokio::test]
async fn a_waiting_login_goes_on_when_a_backend_appears() {
    let director = director("10.1.0.1@blue").await;
    let login = waiting(&director).await;
    director.reload(&settings("10.1.0.1@green")).await.unwrap();
    director.reload(&settings("10.1.0.1@blue 10.1.0.2")).await.unwrap();
    let placement = timeout(PATIENCE, login).await.unwrap().unwrap().unwrap();
    assert_eq!(placement.ip().to_string(), "10.1.0.2");
}

#[tokio::test]
async fn an_abandoned_login_leaves_no_session() {
    let director = director("10.1.0.1@blue").await;
    let login = waiting(&director).await;
    login.abort();
    assert!(login.await.unwrap_err().is_cancelled());
    director.reload(&settings("10.1.0.1")).await.unwrap();
    assert_eq!(counts(&director), (0, 0));
    let user = UserName::from("foo");
    drop(director.place(PlaceRequest { user: &user, tag: b"" }));
    assert_eq!(counts(&director), (0, 0), "a future that never ran");
}

#[tokio::test]
async fn a_reload_keeps_sessions_and_mappings() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let foo = place(&director, "foo").await;
    let idle = place(&director, "user1").await.ip();
    director.reload(&settings("10.1.0.1 10.1.0.2")).await.unwrap();
    assert_eq!(place(&director, "foo").await.ip(), foo.ip(), "on the removed backend while a session lives");
    assert_eq!(place(&director, "user1").await.ip(), idle);
    drop(foo);
    assert_ne!(place(&director, "foo").await.ip().to_string(), "10.1.0.3");
}

#[tokio::test]
async fn a_refused_reload_changes_nothing() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let session = place(&director, "foo").await;
    let good = settings("10.1.0.1");
    let renamed = DirectorSettings { username_hash: "%Ln".to_owned(), ..good.clone() };
    let unparsable = DirectorSettings { username_hash: "%x".to_owned(), ..good };
    for wrong in [renamed, unparsable, settings("10.1.0.1 10.1.0.9-10.1.0.2"), settings("none.invalid")] {
        let error = director.reload(&wrong).await.unwrap_err();
        assert!(error.to_string().starts_with("director_"), "{error}");
        let hosts = director.tables.hosts();
        assert_eq!(hosts.len(), 3, "{error}");
    }
    assert_eq!(place(&director, "foo").await.ip(), session.ip());
}

#[tokio::test]
async fn wrong_settings_are_refused_at_start() {
    for (words, expected) in [
        ("10.1.0.1 ::1-10.1.0.2", "address family mismatch"),
        ("10.1.0.1:143", "neither an address nor a name"),
        ("10.1.0.1@a 10.1.0.1@b", "two tags"),
    ] {
        let error = Director::new(&settings(words)).await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn names_are_resolved_and_kept_as_hostnames() {
    let director = director("localhost unknown.invalid").await;
    let placement = place(&director, "foo").await;
    assert!(placement.ip().is_loopback());
    assert_eq!(placement.hostname(), Some("localhost"));
}

#[tokio::test]
async fn a_kick_ends_the_sessions_of_one_user() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let (first, second) = (place(&director, "foo").await, place(&director, "foo").await);
    let other = place(&director, "bar").await;
    director.kick(&UserName::from("Foo"));
    timeout(PATIENCE, async {
        tokio::join!(first.kicked().cancelled_owned(), second.kicked().cancelled_owned())
    })
    .await
    .unwrap();
    assert!(!other.kicked().is_cancelled());
    assert_eq!(counts(&director), (2, 3), "kicked sessions count until they have ended");
    assert!(!place(&director, "foo").await.kicked().is_cancelled(), "a kick is not a ban");
}

/// W1: a login that is placed but not yet at the backend is a session like any other.
#[tokio::test]
async fn w01_a_moved_user_logs_in_when_the_old_sessions_have_ended() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let first = place(&director, "foo").await;
    let user = director.tables.hash(&UserName::from("foo"));
    let to = "10.1.0.1".parse().unwrap();
    director.apply(Origin::Operator, Operation::MoveUser { user, ip: to }).unwrap();
    timeout(PATIENCE, first.kicked().cancelled_owned()).await.unwrap();
    let error = place_soon(&director, "").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Timeout because kill waiting: sessions on 10.1.0.3 to end: 1 - queued for 0 secs (hash=2898073819, tag=)"
    );
    let login = waiting(&director).await;
    drop(first);
    let second = timeout(PATIENCE, login).await.unwrap().unwrap().unwrap();
    assert_eq!(second.ip(), to);
}

#[tokio::test]
async fn a_flush_goes_on_by_itself() {
    let director = director("10.1.0.1").await;
    let sessions = [place(&director, "foo").await, place(&director, "bar").await];
    director.reload(&settings("10.1.0.1 10.1.0.2")).await.unwrap();
    let ip = "10.1.0.1".parse().unwrap();
    director.apply(Origin::Operator, Operation::SetVhosts { ip, vhosts: 0 }).unwrap();
    let flush = self::core::Flushing::Safe { parallel: Some(1) };
    director.apply(Origin::Operator, Operation::FlushHost { ip, flush }).unwrap();
    for session in sessions {
        timeout(PATIENCE, session.kicked().cancelled_owned()).await.unwrap();
        drop(session);
    }
    for user in ["foo", "bar"] {
        assert_eq!(place(&director, user).await.ip().to_string(), "10.1.0.2");
    }
}

/// Many logins at once while backends come and go: whoever looks sees each user on one backend.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_user_is_on_two_backends_at_once() {
    let director = director("10.1.0.1-10.1.0.3").await;
    // Sessions and backend by user; a session is noted only while its placement lives.
    let seen: Arc<Mutex<HashMap<usize, (usize, IpAddr)>>> = Arc::default();
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (director, seen) = (director.clone(), Arc::clone(&seen));
        clients.spawn(async move {
            for round in 0..1000 {
                let number = (client + round * 7) % 5;
                let placement = place(&director, &format!("user{number}")).await;
                {
                    let mut seen = seen.lock().unwrap();
                    let (sessions, ip) = seen.entry(number).or_insert((0, placement.ip()));
                    assert!(
                        *sessions == 0 || *ip == placement.ip(),
                        "user{number} is on {ip} and {placement:?}"
                    );
                    (*sessions, *ip) = (*sessions + 1, placement.ip());
                }
                tokio::task::yield_now().await;
                seen.lock().unwrap().get_mut(&number).unwrap().0 -= 1;
                drop(placement);
            }
        });
    }
    let mut tables = ["10.1.0.3 10.1.0.4", "10.1.0.1-10.1.0.3", "10.1.0.2"].into_iter().cycle();
    while !clients.is_empty() {
        director.reload(&settings(tables.next().unwrap())).await.unwrap();
        if let Ok(Some(ended)) = timeout(Duration::from_millis(1), clients.join_next()).await {
            ended.unwrap();
        }
    }
    assert_eq!(counts(&director).1, 0);
}

#[tokio::test]
async fn the_timer_forgets_users() {
    let expiring = DirectorSettings { user_expire: Duration::from_millis(1), ..settings("10.1.0.1") };
    let director = Director::new(&expiring).await.unwrap();
    let held = place(&director, "foo").await;
    drop(place(&director, "bar").await);
    assert_eq!(counts(&director), (2, 1));
    let expired = async {
        while counts(&director) != (1, 1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, expired).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn the_timer_ends_with_the_last_director() {
    let director = director("10.1.0.1").await;
    let tables = Arc::downgrade(&director.tables);
    let placement = place(&director, "foo").await;
    // The timer holds the notifier beside the tables.
    let sooner = director.tables.sooner();
    drop(director.clone());
    assert_eq!(Arc::strong_count(&sooner), 3);
    drop(director);
    let ended = async {
        while Arc::strong_count(&sooner) > 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    assert!(tables.upgrade().is_some(), "the placement lives on");
    drop(placement);
    assert!(tables.upgrade().is_none());
}

/// Lines that a real director has been given and has passed on (spec/director.md 5.2).
#[tokio::test]
async fn di_01_di_04_recorded_login_lines_are_placed_as_recorded() {
    let table = include_str!("../../tests/vectors/director_login_lines.tsv");
    let mut count = 0;
    for line in table.lines().skip(1) {
        let unescaped: Vec<_> =
            line.split('\t').map(|cell| cell.replace("\\t", "\t").replace("\\x01", "\x01")).collect();
        let [separator, asked, told] = &unescaped[..] else { panic!("{line}") };
        let Some(target) = asked.strip_prefix("OK\t").and_then(proxied) else { continue };
        let Some(host) = told.strip_prefix(asked.as_str()).and_then(|added| added.rsplit_once('=')) else {
            continue;
        };
        let separator = separator.chars().next().filter(|c| *c == '*');
        let words = "127.0.0.61 127.0.0.62 127.0.0.63 127.0.0.64@blue";
        let settings = DirectorSettings { master_user_separator: separator, ..settings(words) };
        let director = Director::new(&settings).await.unwrap();
        let request = PlaceRequest { user: &target.destuser, tag: &target.tag };
        assert_eq!(director.place(request).await.unwrap().ip().to_string(), host.1, "{line}");
        count += 1;
    }
    assert_eq!(count, 42);
}

/// The target of a reply that names a user but no host.
fn proxied(reply: &str) -> Option<Box<homing_login::ProxyTarget>> {
    let fields = reply.split_once('\t')?.1;
    match decide(Service::Imap, "PLAIN", &OkReply { fields: Fields::parse(fields.as_bytes()) }) {
        // Auth services do not name two users; the reference's processes disagree about what that means.
        Decision::Proxy(target) if target.host.is_none() && !fields.contains("user=a\tuser=b") => {
            Some(target)
        }
        _ => None,
    }
}
