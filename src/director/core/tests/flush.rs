//! Flushes (spec/director.md 4.7).

use super::*;

const SAFE: Flushing = Flushing::Safe { parallel: None };

fn limited(limit: u32) -> Flushing {
    Flushing::Safe { parallel: Some(limit) }
}

/// Twenty users on 10.1.0.1, which takes no new ones any more, and 10.1.0.2 beside it.
fn twenty() -> (Checked, Vec<SessionKey>) {
    let mut core = Checked::new(table("10.1.0.1=100"));
    let sessions = (0..20).map(|n| core.enter(&format!("user{n}"))).collect();
    core.configure("10.1.0.1=0,10.1.0.2=100");
    (core, sessions)
}

fn flush(core: &mut Checked, flush: Flushing) -> Vec<Action> {
    core.apply(Operation::FlushHost { ip: ip("10.1.0.1"), flush }).unwrap()
}

fn started(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::MoveStarted(_))).count()
}

fn has_ended(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::FlushEnded { .. }))
}

fn users(core: &Checked, n: usize) -> usize {
    core.core.backend_rows()[n].users
}

/// As measured of the reference: 20 users, limit 5, delay 2 s.
#[test]
fn dr_63_dr_64_w22_a_flush_moves_a_limited_number_at_a_time_and_tells_the_end() {
    let (mut core, sessions) = twenty();
    let first = flush(&mut core, limited(5));
    assert_eq!(started(&first), 5);
    for (round, five) in sessions.chunks(5).enumerate() {
        assert_eq!(core.core.move_counts(), (5, 0), "round {round}");
        for session in five {
            assert_eq!(started(&core.release(*session)), 0, "in the delay the move counts");
        }
        let actions = core.pass(KICK_DELAY_SECS);
        assert_eq!(started(&actions), if round < 3 { 5 } else { 0 });
        assert_eq!(has_ended(&actions), round == 3);
    }
    assert_eq!((users(&core, 0), users(&core, 1)), (0, 20));
    assert!(core.told.iter().any(|action| matches!(action, Action::FlushEnded { moved: 20, .. })));
    assert_eq!(core.core.flushes().count(), 0);
}

#[test]
fn dr_63_without_sessions_a_flush_is_done_at_once() {
    let (mut core, sessions) = twenty();
    core.release_all(sessions);
    core.pass(KICK_DELAY_SECS);
    let actions = flush(&mut core, limited(1));
    assert!(has_ended(&actions), "{actions:?}");
    assert_eq!(users(&core, 1), 20);
}

#[test]
fn users_without_session_go_first() {
    let (mut core, sessions) = twenty();
    core.release_all(sessions[10..].iter().copied());
    core.pass(KICK_DELAY_SECS);
    flush(&mut core, limited(1));
    assert_eq!((users(&core, 0), users(&core, 1)), (10, 10));
    assert_eq!(core.core.flushes().next().unwrap().moved, 10);
}

/// A flush moves those who are not where the ring wants them; it does not empty a healthy backend.
#[test]
fn dr_63_w41_a_flush_of_a_healthy_backend_keeps_who_belongs_there() {
    let mut core = Checked::three();
    let (foo, user1) = (core.enter("foo"), core.enter("user1"));
    core.move_user("other", "10.1.0.3").unwrap();
    let actions = core.apply(Operation::FlushHost { ip: ip("10.1.0.3"), flush: SAFE }).unwrap();
    let kicks = actions.iter().filter(|action| matches!(action, Action::Kick { .. })).count();
    assert_eq!(kicks, 0, "{actions:?}");
    assert_eq!((core.ip(foo), core.ip(user1)), ("10.1.0.3".to_owned(), "10.1.0.2".to_owned()));
}

#[test]
fn dr_66_with_no_backend_left_users_are_kicked_and_forgotten() {
    let mut core = Checked::new(table("10.1.0.1=100"));
    let session = core.enter("foo");
    core.visit("bar");
    core.configure("10.1.0.1=0");
    let actions = flush(&mut core, SAFE);
    assert!(actions.contains(&Action::Kick { session }));
    assert!(matches!(core.login("foo"), Err(Wait::Moving { .. })));
    core.release(session);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.login("foo"), Err(Wait::NoHost));
    assert_eq!(core.core.user_count(), 0);
}

#[test]
fn dr_65_w04_a_forced_flush_forgets_without_kicks_and_keeps_sessions_and_mapping_together() {
    let mut core = Checked::three();
    core.move_user("foo", "10.1.0.1").unwrap();
    core.move_user("user1", "10.1.0.1").unwrap();
    let session = core.enter("foo");
    let actions = core.apply(Operation::FlushHost { ip: ip("10.1.0.1"), flush: Flushing::Forced }).unwrap();
    let (ip, origin) = (ip("10.1.0.1"), Origin::Operator);
    assert_eq!(actions, [Action::UsersForgotten { ip, users: 1, staying: 1, origin }]);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("user1"), "10.1.0.2");
    assert_eq!(core.visit("foo"), "10.1.0.1", "while a session lives there");
    core.release(session);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn dr_65_a_forced_flush_of_all_backends() {
    let mut core = Checked::three();
    core.move_user("foo", "10.1.0.1").unwrap();
    core.move_user("user1", "10.1.0.1").unwrap();
    core.apply(Operation::FlushAll { tag: None, flush: Flushing::Forced }).unwrap();
    assert_eq!(core.core.user_count(), 0);
    core.pass(KICK_DELAY_SECS);
    assert_eq!((core.visit("foo"), core.visit("user1")), ("10.1.0.3".to_owned(), "10.1.0.2".to_owned()));
}

#[test]
fn w29_a_limit_of_zero_is_refused() {
    let (mut core, _sessions) = twenty();
    for operation in [
        Operation::FlushHost { ip: ip("10.1.0.1"), flush: limited(0) },
        Operation::FlushAll { tag: None, flush: limited(0) },
    ] {
        assert_eq!(core.apply(operation), Err(OperationError::NoParallelMoves));
    }
    assert_eq!(core.core.flushes().count(), 0);
}

#[test]
fn dr_63_a_flush_of_all_backends_of_one_tag() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.3@blue=100"));
    let foo = core.hash("foo");
    core.visit("foo");
    let blue = core.place("blue", foo).unwrap();
    core.release(blue);
    core.pass(KICK_DELAY_SECS);
    core.configure("10.1.0.1=0,10.1.0.2=100,10.1.0.3@blue=0,10.1.0.4@blue=100");
    core.apply(Operation::FlushAll { tag: Some(b"blue".to_vec()), flush: SAFE }).unwrap();
    let blue = core.place("blue", foo).unwrap();
    assert_eq!((core.visit("foo"), core.ip(blue)), ("10.1.0.1".to_owned(), "10.1.0.4".to_owned()));
    core.release(blue);
    core.apply(Operation::FlushAll { tag: None, flush: SAFE }).unwrap();
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.2");
}

/// The reference walks by index, so that a change of the table makes it miss a backend.
#[test]
fn w30_backends_that_come_and_go_do_not_disturb_a_flush_of_all() {
    let mut core = Checked::new(table("10.1.0.2=100"));
    let two: Vec<_> = ["a", "b", "c"].map(|name| core.enter(name)).into();
    core.configure("10.1.0.2=0,10.1.0.3=100");
    let three: Vec<_> = ["d", "e", "f"].map(|name| core.enter(name)).into();
    core.configure("10.1.0.2=0,10.1.0.3=0,10.1.0.4=100");
    core.apply(Operation::FlushAll { tag: None, flush: limited(1) }).unwrap();
    core.apply(Operation::AddHost { ip: ip("10.1.0.1"), hostname: None, tag: None, vhosts: Some(0) })
        .unwrap();
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.2") }).unwrap();
    for session in two.into_iter().chain(three) {
        core.release(session);
        core.pass(KICK_DELAY_SECS);
    }
    assert_eq!(core.core.flushes().count(), 0);
    let rows = core.core.backend_rows();
    let numbers: Vec<_> = rows.iter().map(|row| (row.host.ip, row.users)).collect();
    assert_eq!(numbers, [(ip("10.1.0.1"), 0), (ip("10.1.0.3"), 0), (ip("10.1.0.4"), 6)]);
}

#[test]
fn a_removed_backend_can_still_be_flushed() {
    let (mut core, sessions) = twenty();
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.1") }).unwrap();
    let actions = flush(&mut core, SAFE);
    assert_eq!(started(&actions), 20);
    core.release_all(sessions);
    core.pass(KICK_DELAY_SECS);
    let gone = core.apply(Operation::FlushHost { ip: ip("10.1.0.1"), flush: SAFE });
    assert_eq!(gone, Err(OperationError::UnknownHost(ip("10.1.0.1"))));
}

#[test]
fn flushes_run_one_after_the_other_and_can_be_stopped() {
    let (mut core, sessions) = twenty();
    let id = |actions: &[Action]| match actions.first() {
        Some(Action::FlushStarted { flush, .. }) => *flush,
        other => panic!("{other:?}"),
    };
    let first = id(&flush(&mut core, limited(2)));
    let second = id(&flush(&mut core, limited(2)));
    assert_eq!(core.core.move_counts(), (2, 0));
    let stopped = core.apply(Operation::StopFlush { flush: first }).unwrap();
    assert_eq!(stopped, [Action::FlushWalked { flush: first }]);
    assert_eq!(core.apply(Operation::StopFlush { flush: first }), Err(OperationError::UnknownFlush));
    for session in &sessions[..2] {
        core.release(*session);
    }
    let actions = core.pass(KICK_DELAY_SECS);
    assert!(actions.contains(&Action::FlushEnded { flush: first, moved: 2 }));
    assert_eq!(started(&actions), 2, "the second goes on");
    core.apply(Operation::StopFlush { flush: second }).unwrap();
    assert_eq!(core.core.move_counts(), (2, 0), "moves under way go on");
}

#[test]
fn stuck_moves_do_not_hold_up_a_flush() {
    let (mut core, sessions) = twenty();
    flush(&mut core, limited(1));
    let actions = core.pass(MOVE_TIME.as_secs());
    assert_eq!(started(&actions), 1, "another user's turn");
    for session in &sessions[1..] {
        core.release(*session);
        core.pass(KICK_DELAY_SECS);
    }
    let progress = core.core.flushes().next().unwrap();
    assert_eq!(
        (progress.walked, progress.moving, progress.moved),
        (true, 1, 19),
        "not done while one is stuck"
    );
    core.release(sessions[0]);
    assert!(has_ended(&core.pass(KICK_DELAY_SECS)));
}

#[test]
fn there_is_a_limit_of_flushes() {
    let (mut core, _sessions) = twenty();
    for _ in 0..FLUSHES_MAX {
        flush(&mut core, limited(1));
    }
    let more = core.apply(Operation::FlushHost { ip: ip("10.1.0.1"), flush: limited(1) });
    assert_eq!(more, Err(OperationError::TooManyFlushes));
}
