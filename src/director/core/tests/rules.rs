//! One rule per test (spec/director.md 3, 4, 7, 10).

use super::*;

const THREE: &str = "10.1.0.1=100,10.1.0.2=100,10.1.0.3=100";
const EXPIRE_SECS: u64 = 900;

fn three() -> Checked {
    Checked::new(table(THREE, EXPIRE_SECS))
}

// "user1" belongs to 10.1.0.2 and "foo" to 10.1.0.3 of these three (tests/vectors/director_host_by_user.tsv).

#[test]
fn a_user_has_one_backend_for_all_sessions() {
    let mut core = three();
    let sessions: Vec<_> = ["user1", "USER1", "User1"].map(|name| core.enter(name)).into();
    assert!(sessions.iter().all(|session| core.ip(*session) == "10.1.0.2"));
    assert_eq!(core.core.user_count(), 1);
    sessions.into_iter().for_each(|session| core.release(session));
    assert_eq!(core.core.session_count(), 0);
}

#[test]
fn a_mapping_outlives_its_last_session_by_the_expire_time() {
    let mut core = three();
    let (first, second) = (core.enter("foo"), core.enter("foo"));
    core.release(first);
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.core.user_count(), 1, "a live session holds its mapping (W3)");
    assert_eq!(core.core.next_expiry(), None);
    core.release(second);
    assert_eq!(core.core.next_expiry(), Some(core.now + Duration::from_secs(EXPIRE_SECS)));
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1);
    core.pass(1);
    assert_eq!(core.core.user_count(), 0);
}

#[test]
fn a_login_restarts_the_expire_time() {
    let mut core = three();
    core.visit("foo");
    core.pass(EXPIRE_SECS - 1);
    core.visit("foo");
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1);
}

#[test]
fn an_expired_mapping_is_not_used_even_if_no_timer_ran() {
    let mut core = Checked::new(table("10.1.0.1=100", EXPIRE_SECS));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.configure("10.1.0.1=0,10.1.0.2=100");
    core.now += Duration::from_secs(EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.2");
}

#[test]
fn a_mapping_wins_over_new_backends() {
    let mut core = Checked::new(table("10.1.0.1=100", EXPIRE_SECS));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.configure(THREE);
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.pass(EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn a_mapping_holds_on_a_backend_that_takes_no_new_users() {
    for taken_out in ["10.1.0.3=0", "10.1.0.3=100(down)"] {
        let mut core = three();
        assert_eq!(core.visit("foo"), "10.1.0.3");
        core.configure(&format!("10.1.0.1=100,10.1.0.2=100,{taken_out}"));
        assert_eq!(core.visit("foo"), "10.1.0.3");
        core.pass(EXPIRE_SECS);
        assert_ne!(core.visit("foo"), "10.1.0.3");
    }
}

#[test]
fn no_usable_backend_is_no_place() {
    let mut core = Checked::new(table("10.1.0.1=0,10.1.0.2=100(down),10.1.0.3@blue=100", EXPIRE_SECS));
    let foo = core.core.hash(b"foo");
    assert_eq!(core.place("", foo), None);
    assert_eq!(core.place("green", foo), None);
    assert_eq!(core.place("Blue", foo), None, "tags are compared byte by byte");
    assert!(core.place("blue", foo).is_some());
    assert_eq!(core.core.user_count(), 1, "a login without place leaves nothing behind");
    assert_eq!(core.core.tags.len(), 2, "a login cannot add tags");
}

#[test]
fn equal_hashes_under_two_tags_are_two_users() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2@blue=100", EXPIRE_SECS));
    let foo = core.core.hash(b"foo");
    let (plain, blue) = (core.place("", foo).unwrap(), core.place("blue", foo).unwrap());
    assert_eq!((core.ip(plain), core.ip(blue)), ("10.1.0.1".to_owned(), "10.1.0.2".to_owned()));
    core.release(plain);
    core.pass(EXPIRE_SECS);
    assert_eq!(core.core.user_count(), 1, "one expires, the other does not");
}

/// W4: the mapping and the sessions stay one truth.
#[test]
fn a_removed_backend_keeps_the_users_with_sessions_until_the_last_one_ends() {
    let mut core = three();
    let first = core.enter("foo");
    assert_eq!(core.visit("dave@sub.example.net"), "10.1.0.3");
    let actions = core.configure("10.1.0.1=100,10.1.0.2=100");
    let ip = "10.1.0.3".parse().unwrap();
    assert_eq!(actions, [Action::HostRemoved { ip, users: 1, origin: Origin::Operator }]);
    assert_ne!(core.visit("dave@sub.example.net"), "10.1.0.3", "without session there is nothing to protect");
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(first);
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.release(second);
    assert_eq!(core.core.leaving.len(), 0);
    assert_ne!(core.visit("foo"), "10.1.0.3", "at once, not after the expire time");
}

#[test]
fn a_backend_may_come_back_while_it_leaves() {
    let mut core = three();
    let session = core.enter("foo");
    core.configure("10.1.0.1=100");
    core.configure("10.1.0.1=100,10.1.0.2=100");
    let actions = core.configure(THREE);
    assert!(matches!(&actions[..], [Action::HostAdded { host, .. }] if host.ip.to_string() == "10.1.0.3"));
    core.release(session);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    assert_eq!(core.core.user_count(), 1);
}

#[test]
fn all_backends_may_leave() {
    let mut core = three();
    let session = core.enter("foo");
    core.configure("");
    let foo = core.core.hash(b"foo");
    let second = core.place("", foo).unwrap();
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(session);
    core.release(second);
    assert_eq!(core.place("", foo), None);
}

#[test]
fn a_backend_with_a_new_tag_keeps_only_users_with_sessions() {
    let mut core = three();
    let session = core.enter("foo");
    core.visit("dave@sub.example.net");
    core.configure("10.1.0.1=100,10.1.0.2=100,10.1.0.3@blue=100");
    assert_eq!(core.core.user_count(), 1);
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(session);
    core.release(second);
    assert_ne!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn the_rules_for_names_change_only_without_sessions() {
    let mut core = three();
    let session = core.enter("foo");
    let mut changed = table("10.1.0.1=100", 60);
    changed.naming.format = UsernameFormat::parse("%Ln").unwrap();
    let refused = core.apply(Operation::Configure(changed.clone()));
    assert_eq!(refused, Err(OperationError::NamingInUse));
    assert_eq!((core.core.hosts().len(), core.core.expire.as_secs()), (3, EXPIRE_SECS), "all or nothing");
    core.release(session);
    core.apply(Operation::Configure(changed)).unwrap();
    assert_eq!(core.core.user_count(), 0, "old hashes mean nothing under new rules");
    assert_eq!(core.core.hash(b"foo@example.com"), core.core.hash(b"foo@example.org"));
}

/// W1, W2: sessions are found by what was hashed, and logins in progress are sessions.
#[test]
fn a_kick_reaches_all_sessions_of_the_user_and_no_other() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2@blue=100", EXPIRE_SECS));
    let (first, other, second) = (core.enter("foo"), core.enter("bar"), core.enter("FOO"));
    let user = core.core.hash(b"foo");
    let blue = core.place("blue", user).unwrap();
    let kick = |session| Action::Kick { session };
    assert_eq!(core.apply(Operation::Kick { user }).unwrap(), [first, second, blue].map(kick));
    assert_eq!(core.ip(other), "10.1.0.1");
    [first, second, blue].into_iter().for_each(|session| core.release(session));
    assert_eq!(core.apply(Operation::Kick { user }).unwrap(), []);
    assert_eq!(core.core.user_count(), 3, "the mappings stay");
}

#[test]
fn a_session_is_released_once() {
    let mut core = three();
    let (first, second) = (core.enter("foo"), core.enter("foo"));
    core.release(first);
    core.release(first);
    assert_eq!(core.ip(second), "10.1.0.3");
    assert_eq!(core.core.session_count(), 1);
}

/// Sizes that decide how much a million users cost.
#[test]
fn mappings_and_sessions_are_small() {
    assert!(Users::mapping_bytes() <= 40, "{}", Users::mapping_bytes());
    assert!(size_of::<SessionKey>() <= 16);
}

#[test]
fn two_hundred_thousand_users_come_and_go() {
    const USERS: u32 = 200_000;
    let hosts: Vec<_> = (1..=50).map(|n| format!("10.1.0.{n}=100")).collect();
    let mut core = Core::new(table(&hosts.join(","), EXPIRE_SECS));
    let now = Instant::now();
    let place = |core: &mut Core, n: u32| {
        core.place(now, b"", UserHash::from_number(n.wrapping_mul(2_654_435_761).max(1))).unwrap().session
    };
    let sessions: Vec<_> = (0..USERS).map(|n| place(&mut core, n)).collect();
    core.apply(Origin::Configuration, Operation::Configure(table(&hosts[1..].join(","), EXPIRE_SECS)))
        .unwrap();
    sessions.into_iter().for_each(|session| core.release(now, session));
    assert_eq!(core.leaving.len(), 0);
    for n in 0..USERS {
        let session = place(&mut core, n);
        core.release(now, session);
    }
    assert_eq!((core.user_count(), core.session_count()), (USERS as usize, 0));
    core.expire(now + Duration::from_secs(EXPIRE_SECS));
    assert_eq!(core.user_count(), 0);
}
