//! Foreign sessions: a user whom others serve, too, has one backend.

use std::net::IpAddr;

use tokio::task::JoinSet;

use super::{
    super::tests::{place, settings},
    *,
};
use crate::{
    config::settings::DirectorSettings,
    director::core::{Naming, Operation, Origin, UsernameFormat},
};

const EXPIRE: Duration = Duration::from_secs(900);

async fn director(mail_servers: &str) -> Director {
    Director::new(&settings(mail_servers)).await.unwrap()
}

async fn place_foreign(director: &Director, purpose: ForeignUse, user: &str) -> ForeignPlace {
    let user = UserName::from(user);
    director.place_foreign(purpose, PlaceRequest { user: &user, tag: b"" }).await.unwrap()
}

/// Lets time pass for what is held.
fn pass(director: &Director, time: Duration) {
    let over = director.foreign.lock().expire(Instant::now() + time);
    drop(over);
}

fn sessions(director: &Director) -> usize {
    director.tables.counts().1
}

#[tokio::test]
async fn a_foreign_session_holds_the_backend_until_nothing_is_heard_of_it() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let foreign = place_foreign(&director, ForeignUse::Session, "foo").await;
    let user = director.hash(b"foo");
    assert_eq!(
        foreign,
        ForeignPlace { user, ip: "10.1.0.3".parse().unwrap(), hostname: None, refresh_secs: 450 }
    );
    director.reload(&settings("10.1.0.1 10.1.0.2")).await.unwrap();
    assert_eq!(place(&director, "FOO").await.ip(), foreign.ip, "the foreign session lives there");
    pass(&director, EXPIRE - Duration::from_secs(1));
    assert_eq!(place_foreign(&director, ForeignUse::Session, "foo").await.ip, foreign.ip);
    assert_eq!(sessions(&director), 1, "one place for all foreign sessions of a user");
    pass(&director, EXPIRE);
    assert_eq!(sessions(&director), 0);
    assert_ne!(place(&director, "foo").await.ip(), foreign.ip);
}

#[tokio::test]
async fn a_session_of_our_own_keeps_foreign_ones_where_it_is() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let own = place(&director, "foo").await;
    director.reload(&settings("10.1.0.1 10.1.0.2")).await.unwrap();
    for purpose in [ForeignUse::Session, ForeignUse::Lookup] {
        assert_eq!(place_foreign(&director, purpose, "foo").await.ip, own.ip());
    }
}

#[test]
fn refreshes_extend_sessions_under_all_tags_and_nothing_else() {
    let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
    let key = |user: &str, purpose, tag: &str| Key {
        user: naming.hash(user.as_bytes()),
        purpose,
        tag: tag.as_bytes().into(),
    };
    let (foo, start) = (naming.hash(b"foo"), Instant::now());
    let mut held = Held::new(EXPIRE);
    for (number, key) in [
        key("foo", ForeignUse::Session, ""),
        key("foo", ForeignUse::Session, "blue"),
        key("foo", ForeignUse::Lookup, ""),
        key("bar", ForeignUse::Session, ""),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(held.insert(key, Hold { guard: number, placed: start, until: start + EXPIRE }), None);
    }
    held.extend(foo, start + EXPIRE * 2);
    held.extend(foo, start);
    held.extend(naming.hash(b"nobody"), start + EXPIRE * 3);
    let mut over = held.expire(start + EXPIRE);
    over.sort_unstable();
    assert_eq!(over, [2, 3], "told an earlier time, nothing is cut short");
    assert_eq!(held.next(), Some(start + EXPIRE * 2));
    let again = Hold { guard: 9, placed: start + EXPIRE, until: start };
    assert_eq!(held.insert(key("foo", ForeignUse::Session, ""), again), Some(0));
    assert!(held.expire(start + EXPIRE * 2 - Duration::from_secs(1)).is_empty());
    assert_eq!(held.end(foo, start + EXPIRE), [1], "what was placed since then may still be logging in");
    assert_eq!(held.end(foo, start + EXPIRE * 2), [9]);
    assert_eq!((held.by_key.len(), held.by_time.len()), (0, 0));
}

#[tokio::test]
async fn refreshes_reach_the_table_and_make_no_mapping() {
    let director = director("10.1.0.1").await;
    director.refresh_foreign(&UserName::from("foo"));
    assert_eq!(director.tables.counts(), (0, 0));
    place_foreign(&director, ForeignUse::Session, "foo").await;
    let before = director.foreign.lock().next().unwrap();
    director.refresh_foreign(&UserName::from("FOO"));
    assert!(director.foreign.lock().next().unwrap() > before);
}

#[tokio::test]
async fn a_late_report_keeps_the_mapping() {
    let director = director("10.1.0.1").await;
    drop(place(&director, "foo").await);
    let expiry = director.tables.next_step().unwrap();
    let later = async {
        while director.tables.next_step().unwrap() <= expiry {
            director.refresh_foreign(&UserName::from("foo"));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), later).await.unwrap();
}

#[tokio::test]
async fn a_lookup_holds_the_place_for_its_own_time() {
    let director = director("10.1.0.1").await;
    place_foreign(&director, ForeignUse::Lookup, "foo").await;
    director.refresh_foreign(&UserName::from("foo"));
    director.end_foreign(director.tables.hash(&UserName::from("foo")), Instant::now() + LOOKUP_TIME);
    assert_eq!(sessions(&director), 1, "deliveries are not told of");
    pass(&director, LOOKUP_TIME);
    assert_eq!(sessions(&director), 0);
    assert_eq!(director.tables.counts().0, 1, "the mapping lives on");
}

#[tokio::test]
async fn ended_sessions_are_let_go_at_once() {
    let director = director("10.1.0.1@blue 10.1.0.2").await;
    let user = UserName::from("foo");
    for tag in [&b""[..], b"blue"] {
        director.place_foreign(ForeignUse::Session, PlaceRequest { user: &user, tag }).await.unwrap();
    }
    place_foreign(&director, ForeignUse::Session, "bar").await;
    assert_eq!(sessions(&director), 3);
    director.end_foreign(director.tables.hash(&user), Instant::now());
    assert_eq!(sessions(&director), 1);
}

#[tokio::test]
async fn a_user_is_moved_once_the_foreign_sessions_are_over() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let quick = DirectorSettings { user_kick_delay: Duration::ZERO, ..settings("10.1.0.1-10.1.0.3") };
    let director = Director::new(&quick).await.unwrap();
    let home = place_foreign(&director, ForeignUse::Session, "foo").await.ip;
    let user = director.tables.hash(&UserName::from("foo"));
    let ip = "10.1.0.1".parse().unwrap();
    assert_ne!(home, ip);
    director.apply(Origin::Operator, Operation::MoveUser { user, ip }).unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, director.foreign_kicked()).await.unwrap(), user);
    let foo = UserName::from("foo");
    let soon = director.place_within(Duration::from_millis(50), PlaceRequest { user: &foo, tag: b"" });
    soon.await.expect_err("the foreign session lives on the old backend");
    let login = tokio::spawn({
        let director = director.clone();
        async move { place(&director, "foo").await.ip() }
    });
    director.end_foreign(user, Instant::now());
    assert_eq!(tokio::time::timeout(PATIENCE, login).await.unwrap().unwrap(), ip);
}

/// The move begins when the place is given but not held yet.
#[tokio::test]
async fn a_move_that_begins_while_a_place_is_given_is_told_when_it_is_held() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let foo = UserName::from("foo");
    let request = PlaceRequest { user: &foo, tag: b"" };
    let elsewhere = SessionPlace::Elsewhere(ForeignUse::Session);
    let placement = director.place_somewhere(QUEUE_TIME, request, elsewhere).await.unwrap();
    let (user, ip) = (placement.user(), "10.1.0.1".parse().unwrap());
    assert_ne!(placement.ip(), ip);
    director.apply(Origin::Operator, Operation::MoveUser { user, ip }).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), director.foreign_kicked()).await;
    assert!(early.is_err(), "nothing is held yet");
    director.hold_foreign(ForeignUse::Session, b"", placement).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(60), director.foreign_kicked()).await;
    assert_eq!(told.ok(), Some(user));
}

#[tokio::test]
async fn kicks_of_users_without_foreign_sessions_are_not_told() {
    let director = director("10.1.0.1").await;
    let own = place(&director, "own").await;
    place_foreign(&director, ForeignUse::Session, "gone").await;
    place_foreign(&director, ForeignUse::Session, "foo").await;
    for user in ["own", "gone", "foo", "foo", "nobody"] {
        director.kick(&UserName::from(user));
    }
    assert!(own.kicked().is_cancelled());
    let hash = |user: &str| director.tables.hash(&UserName::from(user));
    director.end_foreign(hash("gone"), Instant::now());
    let next = || tokio::time::timeout(Duration::from_millis(50), director.foreign_kicked());
    assert_eq!(next().await.ok(), Some(hash("foo")));
    assert!(next().await.is_err(), "each user once");
}

/// Foreign sessions and our own come in any order while backends come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_user_is_on_two_backends_at_once() {
    let director = director("10.1.0.1-10.1.0.3").await;
    let mut homes: Vec<IpAddr> = Vec::new();
    for number in 0..5 {
        homes.push(place_foreign(&director, ForeignUse::Session, &format!("user{number}")).await.ip);
    }
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (director, homes) = (director.clone(), homes.clone());
        clients.spawn(async move {
            for round in 0..300 {
                let number = (client + round * 7) % 5;
                let user = format!("user{number}");
                let ip = match (client + round) % 3 {
                    0 => place(&director, &user).await.ip(),
                    1 => place_foreign(&director, ForeignUse::Session, &user).await.ip,
                    _ => place_foreign(&director, ForeignUse::Lookup, &user).await.ip,
                };
                assert_eq!(ip, homes[number], "{user}");
                director.refresh_foreign(&UserName::from(user.as_str()));
                tokio::task::yield_now().await;
            }
        });
    }
    let mut tables = ["10.1.0.3 10.1.0.4", "10.1.0.1-10.1.0.3", "10.1.0.2"].into_iter().cycle();
    while !clients.is_empty() {
        director.reload(&settings(tables.next().unwrap())).await.unwrap();
        if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_millis(1), clients.join_next()).await {
            ended.unwrap();
        }
    }
    assert!(sessions(&director) <= 10, "at most two guards for each user");
}

#[tokio::test]
async fn the_rules_of_hashing_stay_while_a_foreign_session_lives() {
    let director = director("10.1.0.1").await;
    place_foreign(&director, ForeignUse::Session, "foo").await;
    let quick = DirectorSettings { user_kick_delay: Duration::ZERO, ..settings("10.1.0.1") };
    director.reload(&quick).await.unwrap();
    let renamed = DirectorSettings { username_hash: "%Ln".to_owned(), ..quick };
    director.reload(&renamed).await.unwrap_err();
    pass(&director, EXPIRE);
    director.reload(&renamed).await.unwrap();
}

#[tokio::test]
async fn a_reload_changes_the_time() {
    let director = director("10.1.0.1").await;
    director
        .reload(&DirectorSettings { user_expire: Duration::from_secs(61), ..settings("10.1.0.1") })
        .await
        .unwrap();
    assert_eq!(place_foreign(&director, ForeignUse::Session, "foo").await.refresh_secs, 30);
    pass(&director, Duration::from_secs(61));
    assert_eq!(sessions(&director), 0);
}

#[tokio::test]
async fn only_so_many_users_are_held() {
    let director = director("10.1.0.1").await;
    let key = |number: usize| Key {
        user: director.tables.hash(&UserName::from("held")),
        purpose: ForeignUse::Session,
        tag: number.to_be_bytes().into(),
    };
    let mut held: Held<()> = Held::new(EXPIRE);
    let later = Instant::now() + EXPIRE;
    for number in 0..3 {
        held.insert(key(number), Hold { guard: (), placed: later, until: later });
    }
    assert!(held.is_full_for(&key(3), 3) && !held.is_full_for(&key(2), 3) && !held.is_full_for(&key(3), 4));
}

#[tokio::test]
async fn the_timer_gives_places_back_and_ends_with_the_director() {
    let expiring = DirectorSettings { user_expire: Duration::from_millis(1), ..settings("10.1.0.1") };
    let director = Director::new(&expiring).await.unwrap();
    place_foreign(&director, ForeignUse::Session, "foo").await;
    let given_back = async {
        while sessions(&director) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), given_back).await.unwrap();
    let (foreign, sooner) = (Arc::downgrade(&director.foreign), Arc::clone(&director.foreign.sooner));
    let timer = tokio::spawn(run(foreign.clone(), Arc::clone(&sooner)));
    drop(director);
    assert!(foreign.upgrade().is_none(), "the timer keeps no director");
    sooner.notify_one();
    tokio::time::timeout(Duration::from_secs(60), timer).await.unwrap().unwrap();
}

#[test]
fn kicks_that_nobody_performs_do_not_grow_without_end() {
    let kicks = ForeignKicks::default();
    let users = 0..u32::try_from(FOREIGN_USERS_MAX).unwrap() + 10;
    kicks.add(users.map(UserHash::from_number));
    assert_eq!(kicks.lock().len(), FOREIGN_USERS_MAX);
}

/// Nobody could tell of the sessions while the program was away, so their time starts anew; that of a lookup goes on.
#[tokio::test]
async fn w07_what_was_held_is_held_behind_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let state_dir = Some(folder.path().to_owned());
    let settings = DirectorSettings { state_dir, ..settings("10.1.0.1-10.1.0.3") };
    let first = Director::start(&settings).await.unwrap();
    for (purpose, user) in [
        (ForeignUse::Session, "foo"),
        (ForeignUse::Unreachable, "user1"),
        (ForeignUse::Lookup, "foo"),
        (ForeignUse::Lookup, "user2"),
    ] {
        place_foreign(&first, purpose, user).await;
    }
    drop(place(&first, "own").await);
    first.finish().await;
    drop(first);
    let second = Director::start(&settings).await.unwrap();
    assert_eq!(sessions(&second), 4);
    let taken_over: Vec<_> = second.foreign_taken_over().iter().map(|(user, _)| *user).collect();
    assert_eq!(taken_over, [second.hash(b"foo")], "kicks find no others");
    let (user, ip) = (second.hash(b"foo"), "10.1.0.1".parse().unwrap());
    second.apply(Origin::Operator, Operation::MoveUser { user, ip }).unwrap();
    assert_eq!(second.foreign_kicked().await, user);
    pass(&second, LOOKUP_TIME);
    assert_eq!(sessions(&second), 2);
    assert!(second.foreign_placed(user).is_some_and(|placed| placed < Instant::now()));
    second.end_foreign(user, Instant::now());
    assert_eq!(place(&second, "foo").await.ip(), ip);
    pass(&second, EXPIRE - Duration::from_secs(1));
    assert_eq!(sessions(&second), 1);
    pass(&second, EXPIRE);
    assert_eq!(sessions(&second), 0);
}
