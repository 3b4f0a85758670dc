//! Moves and kicks (spec/director.md 3.3, 4.8 to 4.10). "foo" starts on 10.1.0.3.

use super::*;

const DELAY: Duration = Duration::from_secs(KICK_DELAY_SECS);

fn kick(session: SessionKey) -> Action {
    Action::Kick { session }
}

fn kicks(actions: &[Action]) -> Vec<SessionKey> {
    let session = |action: &Action| match action {
        Action::Kick { session } => Some(*session),
        _ => None,
    };
    actions.iter().filter_map(session).collect()
}

fn ended(actions: &[Action]) -> Option<Movement> {
    actions.iter().find_map(|action| match action {
        Action::MoveEnded(movement) => Some(*movement),
        _ => None,
    })
}

/// Sessions of foo on 10.1.0.3 with a move to 10.1.0.1 under way.
fn moving() -> (Checked, SessionKey) {
    let mut core = Checked::three();
    let session = core.enter("foo");
    assert_eq!(core.ip(session), "10.1.0.3");
    core.move_user("foo", "10.1.0.1").unwrap();
    (core, session)
}

#[test]
fn dr_57_dr_28_w01_a_moved_user_waits_until_the_last_session_has_ended() {
    let mut core = Checked::three();
    let (first, second) = (core.enter("foo"), core.enter("foo"));
    let actions = core.move_user("foo", "10.1.0.1").unwrap();
    let user = first.user();
    let cause = Cause::Moved(Origin::Operator);
    let movement = Movement { user, from: ip("10.1.0.3"), to: Some(ip("10.1.0.1")), sessions: 2, cause };
    assert_eq!(actions, [Action::MoveStarted(movement), kick(first), kick(second)]);
    let wait = |sessions| Err(Wait::Moving { from: ip("10.1.0.3"), sessions, stuck: false });
    assert_eq!(core.login("foo"), wait(2));
    assert_eq!(core.visit("user1"), "10.1.0.2", "others do not wait");
    assert_eq!(core.release(first), []);
    assert_eq!(core.login("foo"), wait(1));
    let moving: Vec<_> = core.core.moving_users(core.now).map(|row| (row.user, row.moving)).collect();
    let wait = wait(1).unwrap_err();
    assert_eq!(moving, [(user, Some(UserMove { to: movement.to, cause, wait }))]);
    assert_eq!(core.whereabouts("foo").unwrap(), "10.1.0.3", "while a session lives there");
    assert_eq!(core.release(second), []);
    let until = core.now.after(DELAY);
    assert_eq!(core.login("foo"), Err(Wait::KickDelay { until }));
    assert_eq!(core.core.next_step(), Some(until));
    core.sleep(DELAY - Duration::from_millis(1));
    assert_eq!(core.pass(0), []);
    core.sleep(Duration::from_millis(1));
    let movement = Movement { sessions: 0, ..movement };
    let user = user.hash();
    assert_eq!(core.pass(0), [Action::MoveEnded(movement), Action::Wake { user }]);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

#[test]
fn dr_68_the_kick_delay_is_for_users_who_were_there_a_moment_ago() {
    let mut core = Checked::three();
    core.visit("foo");
    core.sleep(Duration::from_millis(500));
    core.move_user("foo", "10.1.0.1").unwrap();
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    core.sleep(Duration::from_millis(1500));
    assert!(ended(&core.pass(0)).is_some());
    core.pass(KICK_DELAY_SECS);
    assert!(ended(&core.move_user("foo", "10.1.0.2").unwrap()).is_some(), "nothing to wait for");
    assert_eq!(core.visit("foo"), "10.1.0.2");
}

#[test]
fn dr_58_a_move_of_an_unknown_user_makes_the_mapping() {
    let mut core = Checked::three();
    let user = core.hash("foo");
    let actions = core.move_user("foo", "10.1.0.1").unwrap();
    let [Action::UserMapped { user: who, ip: to, cause }, Action::Wake { .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((who.hash(), *to, *cause), (user, ip("10.1.0.1"), Cause::Moved(Origin::Operator)));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.sleep(Duration::from_secs(EXPIRE_SECS));
    core.move_user("foo", "10.1.0.2").unwrap();
    assert_eq!(core.visit("foo"), "10.1.0.2", "an expired mapping is none");
}

#[test]
fn dr_59_a_move_to_the_same_backend_pins_the_user() {
    let mut core = Checked::three();
    core.visit("foo");
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.move_user("foo", "10.1.0.3").unwrap(), []);
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1);
    let session = core.enter("foo");
    assert_eq!(core.move_user("foo", "10.1.0.3").unwrap(), [], "no session is kicked for nothing");
    assert_eq!(core.ip(session), "10.1.0.3");
}

#[test]
fn dr_60_a_second_move_is_refused_while_the_first_goes_on() {
    let (mut core, session) = moving();
    assert_eq!(core.move_user("foo", "10.1.0.2"), Err(OperationError::BeingMoved));
    assert_eq!(core.move_user("foo", "10.1.0.1"), Ok(Vec::new()), "the same again");
    core.release(session);
    assert_eq!(core.move_user("foo", "10.1.0.2"), Err(OperationError::BeingMoved));
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

#[test]
fn a_move_needs_a_backend_of_the_table_and_takes_its_tag() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2=0,10.1.0.4@blue=100,10.1.0.5@blue=100(down)"));
    let session = core.enter("foo");
    let unknown = ip("10.1.0.9");
    assert_eq!(core.move_user("foo", "10.1.0.9"), Err(OperationError::UnknownHost(unknown)));
    core.move_user("foo", "10.1.0.5").unwrap();
    let foo = core.hash("foo");
    let blue = core.place("blue", foo).unwrap();
    assert_eq!((core.ip(session), core.ip(blue)), ("10.1.0.1".to_owned(), "10.1.0.5".to_owned()));
    core.release(session);
    core.pass(KICK_DELAY_SECS);
    core.move_user("foo", "10.1.0.2").unwrap();
    assert_eq!(core.visit("foo"), "10.1.0.2", "without vhosts");
}

/// The reference lets the user in after the timeout although sessions live.
#[test]
fn dr_69_w10_w08_a_session_that_does_not_end_is_told_and_never_passed_over() {
    let (mut core, session) = moving();
    let timeout = MOVE_TIME.as_secs();
    assert_eq!(core.pass(timeout - 1), []);
    let actions = core.pass(1);
    let stuck = Action::Stuck { user: session.user(), ip: ip("10.1.0.3"), sessions: 1 };
    assert_eq!(actions, [stuck, kick(session)]);
    assert_eq!(core.login("foo"), Err(Wait::Moving { from: ip("10.1.0.3"), sessions: 1, stuck: true }));
    assert_eq!(core.core.move_counts(), (1, 1));
    assert_eq!(core.pass(timeout), [kick(session)], "told once, kicked again");
    core.pass(100 * EXPIRE_SECS);
    assert!(core.login("foo").is_err());
    core.release(session);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

#[test]
fn a_stuck_move_can_be_given_up_or_led_elsewhere() {
    let (mut core, session) = moving();
    core.pass(MOVE_TIME.as_secs());
    assert_eq!(core.move_user("foo", "10.1.0.2").unwrap(), []);
    assert!(matches!(core.login("foo"), Err(Wait::Moving { stuck: true, .. })));
    let actions = core.move_user("foo", "10.1.0.3").unwrap();
    assert_eq!(ended(&actions).unwrap().to, Some(ip("10.1.0.3")));
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(session);
    core.release(second);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    assert_eq!(core.core.move_counts(), (0, 0));
}

#[test]
fn a_target_that_is_removed_meanwhile_leaves_the_choice_to_the_ring() {
    for late in [false, true] {
        let (mut core, session) = moving();
        if late {
            core.release(session);
        }
        core.apply(Operation::RemoveHost { ip: ip("10.1.0.1") }).unwrap();
        if !late {
            core.release(session);
        }
        assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
        assert_eq!(ended(&core.pass(KICK_DELAY_SECS)).unwrap().to, None);
        assert_eq!(core.visit("foo"), "10.1.0.3", "by hash");
    }
}

#[test]
fn a_target_that_changes_its_tag_meanwhile_is_no_target() {
    let (mut core, session) = moving();
    core.apply(Operation::SetTag { ip: ip("10.1.0.1"), tag: b"blue".to_vec() }).unwrap();
    core.release(session);
    assert_eq!(ended(&core.pass(KICK_DELAY_SECS)).unwrap().to, None);
    assert_eq!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn a_moving_user_does_not_expire() {
    let mut core = Checked::three();
    core.core.rules.kick_delay = Duration::from_secs(2 * EXPIRE_SECS);
    core.visit("foo");
    core.move_user("foo", "10.1.0.1").unwrap();
    core.pass(EXPIRE_SECS);
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    core.pass(EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

#[test]
fn a_kick_does_not_touch_the_mapping_or_the_next_login() {
    let mut core = Checked::three();
    core.move_user("foo", "10.1.0.1").unwrap();
    let session = core.enter("foo");
    let user = core.hash("foo");
    let (who, sessions, origin) = (session.user(), 1, Origin::Operator);
    let told = Action::UserKicked { user: who, ip: ip("10.1.0.1"), sessions, origin };
    assert_eq!(core.apply(Operation::KickUser { user }).unwrap(), [kick(session), told]);
    assert_eq!(core.visit("foo"), "10.1.0.1", "at once, beside the session that ends");
    core.release(session);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

/// Sessions are found by the hash of what was placed, whatever the login name was.
#[test]
fn w02_w03_destuser_and_master_logins_are_moved() {
    let mut core = Checked::three();
    core.core.rules.naming.master_user_separator = Some('*');
    let (plain, master) = (core.enter("foo"), core.enter("foo*admin"));
    assert_eq!(kicks(&core.move_user("foo*other", "10.1.0.1").unwrap()), [plain, master]);
}

fn with_program() -> Checked {
    let mut table = table(THREE);
    table.rules.flush_program = true;
    Checked::new(table)
}

fn run_of(actions: &[Action]) -> FlushProgram {
    let program = |action: &Action| match action {
        Action::RunFlush(program) => Some(program.clone()),
        _ => None,
    };
    actions.iter().find_map(program).unwrap()
}

#[test]
fn dr_67_the_flush_program_runs_after_the_last_session_and_may_skip_the_delay() {
    let mut core = with_program();
    let session = core.enter("foo");
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.3"), vhosts: 7 }).unwrap();
    core.apply(Operation::Down { ip: ip("10.1.0.3") }).unwrap();
    core.move_user("foo", "10.1.0.1").unwrap();
    core.apply(Operation::Up { ip: ip("10.1.0.3") }).unwrap();
    let program = run_of(&core.release(session));
    assert_eq!(program.user, core.hash("foo"));
    assert_eq!(
        (program.old.ip, program.old.up, program.old.vhosts),
        (ip("10.1.0.3"), false, 7),
        "as at the start"
    );
    assert_eq!(program.new.ip, ip("10.1.0.1"));
    assert_eq!(core.login("foo"), Err(Wait::Flushing));
    let actions = core.apply(Operation::FlushDone { run: program.run, success: true }).unwrap();
    assert!(ended(&actions).is_some());
    assert_eq!(core.visit("foo"), "10.1.0.1");
    let late = core.apply(Operation::FlushDone { run: program.run, success: true });
    assert_eq!(late.unwrap(), [], "nobody waits for a second answer");
}

#[test]
fn dr_67_a_failed_flush_program_leaves_the_delay() {
    let mut core = with_program();
    let session = core.enter("foo");
    core.move_user("foo", "10.1.0.1").unwrap();
    let run = run_of(&core.release(session)).run;
    core.sleep(Duration::from_secs(1));
    assert_eq!(core.apply(Operation::FlushDone { run, success: false }).unwrap(), []);
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    assert_eq!(core.pass(0), []);
    assert!(ended(&core.pass(1)).is_some(), "the delay counts from the end of the last session");
}

#[test]
fn dr_67_a_flush_program_that_hangs_is_ended() {
    let mut core = with_program();
    core.visit("foo");
    core.pass(KICK_DELAY_SECS);
    let run = run_of(&core.move_user("foo", "10.1.0.1").unwrap()).run;
    assert_eq!(core.pass(FLUSH_PROGRAM_TIME.as_secs() - 1), []);
    let actions = core.pass(1);
    assert_eq!(actions.first(), Some(&Action::AbortFlush { run }));
    assert!(ended(&actions).is_some());
    assert_eq!(core.apply(Operation::FlushDone { run, success: true }).unwrap(), []);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

#[test]
fn dr_67_the_flush_program_does_not_run_for_unknown_users_or_without_a_target() {
    let mut core = with_program();
    let actions = core.move_user("foo", "10.1.0.1").unwrap();
    assert!(!actions.iter().any(|action| matches!(action, Action::RunFlush(_))), "{actions:?}");
    core.pass(KICK_DELAY_SECS);
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.2") }).unwrap();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.1"), vhosts: 0 }).unwrap();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.3"), vhosts: 0 }).unwrap();
    let flush = Flushing::Safe { parallel: None };
    let actions = core.apply(Operation::FlushHost { ip: ip("10.1.0.1"), flush }).unwrap();
    assert!(!actions.iter().any(|action| matches!(action, Action::RunFlush(_))), "{actions:?}");
    assert_eq!(core.login("foo"), Err(Wait::NoHost));
}
