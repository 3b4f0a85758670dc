//! What administrators see and wait for, with sessions that live and end.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use homing_login::UserName;
use tokio::time::timeout;

use super::{
    super::{
        Placement, UserEvent,
        core::{
            Action, Cause, DrainEnd, DrainState, Draining, Flushing, OperationError, PlanCount, PlanRow, Wait,
        },
        tests::{place, settings},
    },
    *,
};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn three() -> Director {
    Director::new(&settings("10.1.0.1-10.1.0.3")).await.unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

/// True if a future that is ready would have been by now.
async fn is_waiting(future: impl Future) -> bool {
    timeout(Duration::from_millis(20), future).await.is_err()
}

fn apply(director: &Director, operation: Operation) -> Vec<Action> {
    director.apply(Origin::Operator, operation).unwrap()
}

/// The client of a session was answered long ago.
fn answered(placement: &Placement) {
    let long_ago = Instant::now().checked_sub(Duration::from_secs(3600));
    placement.note_traffic(long_ago.unwrap_or_else(Instant::now), false);
}

/// "OK" for a flush is said when all users have been looked at; whoever wants more can wait for it.
#[tokio::test]
async fn w22_a_flush_has_ended_when_its_last_session_has() {
    let director = three().await;
    let session = place(&director, "foo").await;
    let here = session.ip();
    apply(&director, Operation::SetVhosts { ip: here, vhosts: 0 });
    let flush = Flushing::Safe { parallel: None };
    let actions = apply(&director, Operation::FlushHost { ip: here, flush });
    let [Action::FlushStarted { flush, .. }, ..] = actions.as_slice() else { panic!("{actions:?}") };
    soon(director.flush_walked(*flush)).await;
    assert!(is_waiting(director.flush_ended(*flush)).await);
    assert_eq!(director.flushes().len(), 1);
    let (there, flush) = (director.clone(), *flush);
    let ended = tokio::spawn(async move { there.flush_ended(flush).await });
    drop(session);
    soon(ended).await.unwrap();
    assert_eq!(director.flushes(), []);
    assert_ne!(place(&director, "foo").await.ip(), here);
}

#[tokio::test]
async fn w22_a_move_has_ended_when_logins_go_on() {
    let director = three().await;
    let user = director.hash(b"foo");
    soon(director.move_ended(user)).await;
    let session = place(&director, "foo").await;
    apply(&director, Operation::MoveUser { user, ip: ip("10.1.0.1") });
    assert!(is_waiting(director.move_ended(user)).await);
    let there = director.clone();
    let ended = tokio::spawn(async move { there.move_ended(user).await });
    drop(session);
    soon(ended).await.unwrap();
    assert_eq!(director.explain(b"", user).login, Ok(ip("10.1.0.1")));
}

#[tokio::test]
async fn w22_a_kick_has_ended_when_its_sessions_have() {
    let director = three().await;
    let user = director.hash(b"foo");
    let (first, second) = (place(&director, "foo").await, place(&director, "foo").await);
    apply(&director, Operation::KickUser { user });
    let there = director.clone();
    let mut ended = Box::pin(async move { there.sessions_ended(user).await });
    assert!(is_waiting(&mut ended).await);
    let again = place(&director, "foo").await;
    drop(first);
    assert!(is_waiting(&mut ended).await);
    drop(second);
    soon(ended).await;
    assert!(!again.kicked().is_cancelled(), "who comes later is not waited for");
}

#[tokio::test]
async fn w41_a_drain_goes_on_without_the_one_who_asked() {
    let director = three().await;
    let quiet = place(&director, "foo").await;
    let is_beside =
        |name: &String| director.lookup(b"", director.hash(name.as_bytes())).hashed == Some(quiet.ip());
    let beside = (0..100).map(|n| format!("user{n}")).find(is_beside).unwrap();
    let busy = place(&director, &beside).await;
    answered(&quiet);
    let here = quiet.ip();
    let draining = Draining { grace: Some(Duration::from_secs(600)), ..Draining::default() };
    apply(&director, Operation::Drain { ip: here, draining });
    soon(quiet.kicked().cancelled()).await;
    let mut known = director.drain_of(here);
    while !matches!(known.unwrap().state, DrainState::Waiting { .. }) {
        known = soon(director.drain_changed(here, known.as_ref())).await;
    }
    assert!(!busy.kicked().is_cancelled(), "a login in progress is not interrupted");
    assert!(!director.is_safe_to_power_off(here));

    drop(quiet);
    answered(&busy);
    soon(busy.kicked().cancelled()).await;
    drop(busy);
    while known.unwrap().state != DrainState::Safe {
        known = soon(director.drain_changed(here, known.as_ref())).await;
    }
    assert!(director.is_safe_to_power_off(here) && known.unwrap().moved == 2);
    apply(&director, Operation::StopDrain { ip: here, restore: true });
    let ended = soon(director.drain_changed(here, known.as_ref())).await.unwrap();
    assert_eq!(ended.state, DrainState::Ended(DrainEnd::Stopped(Origin::Operator)));
    assert!(!director.is_safe_to_power_off(here), "it takes users again");
    assert_eq!(director.drains(), [ended]);
}

#[tokio::test]
async fn an_explanation_tells_where_and_why() {
    let director = three().await;
    let user = director.hash(b"foo");
    let unknown = director.explain(b"", user);
    assert_eq!((unknown.current, unknown.login, unknown.history.len()), (None, Ok(ip("10.1.0.3")), 0));

    let session = place(&director, "foo").await;
    drop(place(&director, "foo").await);
    apply(&director, Operation::KickUser { user });
    apply(&director, Operation::MoveUser { user, ip: ip("10.1.0.1") });
    let moving = director.explain(b"", user);
    let row = moving.current.unwrap();
    assert_eq!((row.ip, row.sessions, row.cause), (ip("10.1.0.3"), 1, Cause::Hashed));
    assert_eq!(row.moving.unwrap().to, Some(ip("10.1.0.1")));
    assert_eq!(moving.login, Err(Wait::Moving { from: ip("10.1.0.3"), sessions: 1, stuck: false }));
    let backend = moving.backend.unwrap();
    assert_eq!((backend.host.ip, backend.leaving, backend.drain), (ip("10.1.0.3"), false, None));

    drop(session);
    soon(director.move_ended(user)).await;
    apply(&director, Operation::Drain { ip: ip("10.1.0.1"), draining: Draining::default() });
    let there = director.explain(b"", user);
    let cause = Cause::Moved(Origin::Operator);
    let row = there.current.unwrap();
    assert_eq!((row.ip, row.cause, row.moving), (ip("10.1.0.1"), cause, None));
    assert_eq!((there.hashed, there.configured), (Some(ip("10.1.0.3")), Some(ip("10.1.0.3"))));
    assert!(there.backend.unwrap().drain.is_some());

    let events: Vec<_> = there.history.iter().map(|entry| entry.event).collect();
    let (from, to) = (ip("10.1.0.3"), ip("10.1.0.1"));
    let expected = [
        UserEvent::Placed { ip: from, cause: Cause::Hashed },
        UserEvent::Kicked { ip: from, sessions: 1, origin: Origin::Operator },
        UserEvent::MoveStarted { from, to: Some(to), sessions: 1, cause },
        UserEvent::MoveEnded { from, to: Some(to), cause },
    ];
    assert_eq!(events, expected);
    assert!(there.history.iter().all(|entry| entry.user.hash() == user && entry.at <= there.at));
}

/// The same name under another tag is another user, but whoever asks wants to know.
#[tokio::test]
async fn an_explanation_shows_the_other_tags() {
    let director = Director::new(&settings("10.1.0.1 10.1.0.2@blue")).await.unwrap();
    let name = UserName::from("foo");
    let request = super::super::PlaceRequest { user: &name, tag: b"blue" };
    let blue = director.place(request).await.unwrap();
    let explained = director.explain(b"", director.hash(b"foo"));
    assert_eq!((explained.current, explained.elsewhere.len()), (None, 1));
    assert_eq!((explained.elsewhere[0].ip, explained.history.len()), (blue.ip(), 1));
}

/// However a person ends sessions, it is known.
#[tokio::test]
async fn every_kick_is_remembered() {
    let director = three().await;
    let user = director.hash(b"foo");
    let session = place(&director, "foo").await;
    assert_eq!(director.kick_hash(user, None), 1);
    assert_eq!(director.kick_hash(user, None), 0, "it is ending");
    session.note_kicked();
    director.kick(&UserName::from("foo"));
    let kicked = UserEvent::Kicked { ip: session.ip(), sessions: 1, origin: Origin::Operator };
    let events: Vec<_> = director.history(user).iter().map(|entry| entry.event).skip(1).collect();
    assert_eq!(events, [kicked; 3]);
}

#[tokio::test]
async fn a_plan_changes_nothing() {
    let director = three().await;
    let (session, other) = (place(&director, "foo").await, place(&director, "user1").await);
    drop(other);
    let before = (director.backends(), director.lookup(b"", director.hash(b"foo")).current.map(|row| row.ip));
    let drain = Operation::Drain { ip: session.ip(), draining: Draining::default() };
    let plan = director.plan(&drain).await.unwrap();
    let count = PlanCount { users: 1, sessions: 1 };
    assert_eq!(plan.moves, [PlanRow { from: session.ip(), to: Some(ip("10.1.0.2")), count }]);
    assert_eq!(plan.moved(), count);
    let after = (director.backends(), director.lookup(b"", director.hash(b"foo")).current.map(|row| row.ip));
    assert_eq!(before, after);
    assert!(director.drains().is_empty() && !session.kicked().is_cancelled());
    let unknown = ip("10.1.0.9");
    let refused = director.plan(&Operation::RemoveHost { ip: unknown }).await;
    assert_eq!(refused, Err(OperationError::UnknownHost(unknown)));
}

/// More users than one look at the table has.
#[tokio::test]
async fn a_plan_counts_page_by_page() {
    let director = three().await;
    for number in 1..=2500 {
        let user = UserHash::from_number(number);
        apply(&director, Operation::MapUser { user, ip: ip("10.1.0.1") });
    }
    let flush = Operation::FlushAll { tag: None, flush: Flushing::Safe { parallel: None } };
    let plan = director.plan(&flush).await.unwrap();
    assert_eq!(plan.moved().users + plan.kept.users, 2500);
}

#[tokio::test]
async fn what_happened_to_a_backend_is_remembered() {
    let director = three().await;
    let here = ip("10.1.0.1");
    apply(&director, Operation::Down { ip: here });
    apply(&director, Operation::Drain { ip: here, draining: Draining::default() });
    apply(&director, Operation::StopDrain { ip: here, restore: false });
    apply(&director, Operation::RemoveHost { ip: here });
    let names = |entry: &HostEntry| {
        let text = format!("{:?}", entry.event);
        text.split([' ', '(']).next().unwrap().to_owned()
    };
    let events: Vec<_> = director.host_history(here).iter().map(names).collect();
    assert_eq!(events, ["Changed", "DrainStarted", "Changed", "Drain", "Removed"]);
}
