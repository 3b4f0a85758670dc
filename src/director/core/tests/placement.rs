//! Logins and their ends (spec/director.md 3).

use super::*;

#[test]
fn dr_01_dr_03_a_user_has_one_backend_for_all_sessions() {
    let mut core = Checked::three();
    let sessions: Vec<_> = ["user1", "USER1", "User1"].map(|name| core.enter(name)).into();
    assert!(sessions.iter().all(|session| core.ip(*session) == "10.1.0.2"));
    assert_eq!(core.core.user_count(), 1);
    core.release_all(sessions);
    assert_eq!(core.core.session_count(), 0);
}

#[test]
fn dr_22_w03_a_mapping_outlives_its_last_session_by_the_expire_time() {
    let mut core = Checked::three();
    let (first, second) = (core.enter("foo"), core.enter("foo"));
    core.release(first);
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.core.user_count(), 1, "a live session holds its mapping (W3)");
    assert_eq!(core.core.next_step(), None);
    core.release(second);
    let expiry = core.now.after(Duration::from_secs(EXPIRE_SECS));
    assert_eq!(core.core.next_step(), Some(expiry));
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1);
    core.pass(1);
    assert_eq!(core.core.user_count(), 0);
}

#[test]
fn dr_20_a_login_restarts_the_expire_time() {
    let mut core = Checked::three();
    core.visit("foo");
    core.pass(EXPIRE_SECS - 1);
    core.visit("foo");
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1);
}

#[test]
fn an_expired_mapping_is_not_used_even_if_no_timer_ran() {
    let mut core = Checked::new(table("10.1.0.1=100"));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.configure("10.1.0.1=0,10.1.0.2=100");
    core.sleep(Duration::from_secs(EXPIRE_SECS));
    assert_eq!(core.visit("foo"), "10.1.0.2");
}

#[test]
fn dr_19_a_mapping_wins_over_new_backends() {
    let mut core = Checked::new(table("10.1.0.1=100"));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.configure(THREE);
    assert_eq!(core.visit("foo"), "10.1.0.1");
    core.pass(EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn dr_08_dr_55_a_mapping_holds_on_a_backend_that_takes_no_new_users() {
    for taken_out in ["10.1.0.3=0", "10.1.0.3=100(down)"] {
        let mut core = Checked::three();
        assert_eq!(core.visit("foo"), "10.1.0.3");
        core.configure(&format!("10.1.0.1=100,10.1.0.2=100,{taken_out}"));
        assert_eq!(core.visit("foo"), "10.1.0.3");
        core.pass(EXPIRE_SECS);
        assert_ne!(core.visit("foo"), "10.1.0.3");
    }
}

#[test]
fn dr_12_no_usable_backend_is_no_place() {
    let mut core = Checked::new(table("10.1.0.1=0,10.1.0.2=100(down),10.1.0.3@blue=100"));
    let foo = core.core.hash(b"foo");
    assert_eq!(core.place("", foo), Err(Wait::NoHost));
    assert_eq!(core.place("green", foo), Err(Wait::NoHost));
    assert_eq!(core.place("Blue", foo), Err(Wait::NoHost), "tags are compared byte by byte");
    assert!(core.place("blue", foo).is_ok());
    assert_eq!(core.core.user_count(), 1, "a login without place leaves nothing behind");
    assert_eq!(core.core.backends.tag_count(), 2, "a login cannot add tags");
}

#[test]
fn dr_10_equal_hashes_under_two_tags_are_two_users() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2@blue=100"));
    let foo = core.core.hash(b"foo");
    let (plain, blue) = (core.place("", foo).unwrap(), core.place("blue", foo).unwrap());
    assert_eq!((core.ip(plain), core.ip(blue)), ("10.1.0.1".to_owned(), "10.1.0.2".to_owned()));
    core.release(plain);
    core.pass(EXPIRE_SECS);
    assert_eq!(core.core.user_count(), 1, "one expires, the other does not");
}

#[test]
fn w04_a_removed_backend_keeps_the_users_with_sessions_until_the_last_one_ends() {
    let mut core = Checked::three();
    let first = core.enter("foo");
    assert_eq!(core.visit("dave@sub.example.net"), "10.1.0.3");
    let actions = core.configure("10.1.0.1=100,10.1.0.2=100");
    let ip = "10.1.0.3".parse().unwrap();
    assert_eq!(
        actions,
        [Action::HostRemoved { ip, users: 1, origin: Origin::Configuration }, Action::WakeAll]
    );
    core.pass(KICK_DELAY_SECS);
    assert_ne!(core.visit("dave@sub.example.net"), "10.1.0.3", "without session there is nothing to protect");
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(first);
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.release(second);
    assert_eq!(leaving(&core), 0);
    core.pass(KICK_DELAY_SECS);
    assert_ne!(core.visit("foo"), "10.1.0.3", "after the kick delay, not after the expire time");
}

#[test]
fn a_backend_may_come_back_while_it_leaves() {
    let mut core = Checked::three();
    let session = core.enter("foo");
    core.configure("10.1.0.1=100");
    core.configure("10.1.0.1=100,10.1.0.2=100");
    let actions = core.configure(THREE);
    assert!(
        matches!(&actions[..], [Action::HostAdded { host, .. }, Action::WakeAll, Action::WakeAll] if host.ip.to_string() == "10.1.0.3")
    );
    core.release(session);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    assert_eq!(core.core.user_count(), 1);
}

#[test]
fn all_backends_may_leave() {
    let mut core = Checked::three();
    let session = core.enter("foo");
    core.configure("");
    let foo = core.core.hash(b"foo");
    let second = core.place("", foo).unwrap();
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(session);
    core.release(second);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.place("", foo), Err(Wait::NoHost));
}

#[test]
fn a_backend_with_a_new_tag_keeps_only_users_with_sessions() {
    let mut core = Checked::three();
    let session = core.enter("foo");
    core.visit("dave@sub.example.net");
    core.configure("10.1.0.1=100,10.1.0.2=100,10.1.0.3@blue=100");
    assert_eq!(core.core.user_count(), 1);
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    core.release(session);
    core.release(second);
    core.pass(KICK_DELAY_SECS);
    assert_ne!(core.visit("foo"), "10.1.0.3");
}

/// A backend that is gone may not have noticed that the user is. Only when it must have is the user placed elsewhere,
/// and the backend told to be empty.
#[test]
fn w04_users_who_have_just_left_a_backend_that_is_gone_wait_for_the_kick_delay() {
    type Deed = fn(&mut Checked);
    let tagged = || Operation::SetTag { ip: ip("10.1.0.3"), tag: b"blue".to_vec() };
    let deeds: [(Deed, bool); 3] = [
        (|core| drop(core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap()), true),
        (|core| drop(core.configure("10.1.0.1=100,10.1.0.2=100")), true),
        (|core| drop(core.configure("10.1.0.1=100,10.1.0.2=100,10.1.0.3@blue=100")), false),
    ];
    for (deed, is_closed) in deeds {
        for ended_before in [true, false] {
            let mut core = Checked::three();
            let foo = core.hash("foo");
            let session = core.enter("foo");
            if ended_before {
                core.release(session);
                core.sleep(Duration::from_millis(500));
            }
            deed(&mut core);
            if !ended_before {
                core.pass(EXPIRE_SECS);
                core.release(session);
            }
            let millis = KICK_DELAY_SECS * 1000 - if ended_before { 500 } else { 0 };
            let until = core.now.after(Duration::from_millis(millis));
            assert_eq!(core.login("foo"), Err(Wait::KickDelay { until }));
            assert_eq!(core.core.lookup(core.now, b"", foo).login(), Err(Wait::KickDelay { until }));
            assert_eq!(core.whereabouts("foo"), None);
            core.sleep(Duration::from_millis(millis - 1));
            assert_eq!(core.pass(0), []);
            assert_eq!(core.login("foo"), Err(Wait::KickDelay { until }));
            assert!(!core.core.is_safe_to_power_off(core.now, ip("10.1.0.3")));
            core.sleep(Duration::from_millis(1));
            assert_eq!(core.core.next_step(), Some(until));
            assert_eq!(core.pass(0), [Action::Wake { user: foo }]);
            assert_eq!(core.core.is_safe_to_power_off(core.now, ip("10.1.0.3")), is_closed);
            assert_ne!(core.visit("foo"), "10.1.0.3");
        }
    }
    let mut core = Checked::three();
    core.visit("foo");
    core.apply(tagged()).unwrap();
    core.move_user("foo", "10.1.0.1").unwrap();
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })), "a move does not shorten that");
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

/// A forced flush of a healthy backend: most users come back to it at once.
#[test]
fn w04_who_comes_back_to_the_same_address_does_not_wait() {
    let mut core = Checked::three();
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.apply(Operation::FlushHost { ip: ip("10.1.0.3"), flush: Flushing::Forced }).unwrap();
    let foo = core.hash("foo");
    assert_eq!(core.core.lookup(core.now, b"", foo).login(), Ok(ip("10.1.0.3")));
    let session = core.enter("foo");
    assert_eq!(core.ip(session), "10.1.0.3");
    core.release(session);
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    core.apply(Operation::AddHost { ip: ip("10.1.0.3"), hostname: None, tag: None, vhosts: None }).unwrap();
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    core.apply(Operation::AddHost { ip: ip("10.1.0.3"), hostname: None, tag: None, vhosts: Some(0) })
        .unwrap();
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    let actions = core.move_user("foo", "10.1.0.3").unwrap();
    assert_eq!(actions, [Action::Wake { user: foo }]);
    assert_eq!(core.visit("foo"), "10.1.0.3");
}

/// The end of the kick delay does not depend on how long mappings live, and a longer one calls nobody back.
#[test]
fn the_kick_delay_of_those_who_leave_follows_the_configuration() {
    let mut rules = table(THREE).rules;
    rules.kick_delay = Duration::from_secs(2 * EXPIRE_SECS);
    let mut core = Checked::new(Table { rules: rules.clone(), ..table(THREE) });
    core.visit("foo");
    core.pass(EXPIRE_SECS);
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    core.pass(EXPIRE_SECS - 1);
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    rules.kick_delay = Duration::from_secs(1);
    let hosts = hosts_of_vector("10.1.0.1=100,10.1.0.2=100");
    core.apply(Operation::Configure(Table { hosts: hosts.clone(), rules: rules.clone() })).unwrap();
    rules.kick_delay = Duration::from_secs(1000);
    core.apply(Operation::Configure(Table { hosts, rules })).unwrap();
    assert_ne!(core.visit("foo"), "10.1.0.3");
}

#[test]
fn the_rules_for_names_change_only_without_sessions() {
    let mut core = Checked::three();
    let session = core.enter("foo");
    let mut changed = table("10.1.0.1=100");
    changed.rules.expire = Duration::from_secs(60);
    changed.rules.naming.format = UsernameFormat::parse("%Ln").unwrap();
    let refused = core.apply(Operation::Configure(changed.clone()));
    assert_eq!(refused, Err(OperationError::NamingInUse));
    assert_eq!(
        (core.core.hosts().len(), core.core.rules.expire.as_secs()),
        (3, EXPIRE_SECS),
        "all or nothing"
    );
    core.release(session);
    let refused = core.apply(Operation::Configure(changed.clone()));
    assert_eq!(refused, Err(OperationError::NamingInUse), "the user may be there for a moment");
    core.pass(KICK_DELAY_SECS);
    core.apply(Operation::Configure(changed)).unwrap();
    assert_eq!(core.core.user_count(), 0, "old hashes mean nothing under new rules");
    assert_eq!(core.core.hash(b"foo@example.com"), core.core.hash(b"foo@example.org"));
}

/// Sessions are found by what was hashed, and logins in progress are sessions.
#[test]
fn w01_w02_a_kick_reaches_all_sessions_of_the_user_and_no_other() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2@blue=100"));
    let (first, other, second) = (core.enter("foo"), core.enter("bar"), core.enter("FOO"));
    let user = core.core.hash(b"foo");
    let blue = core.place("blue", user).unwrap();
    let actions = core.apply(Operation::KickUser { user }).unwrap();
    let kicked: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Kick { session } => Some(*session),
            _ => None,
        })
        .collect();
    assert_eq!(kicked, [first, second, blue]);
    assert_eq!(core.ip(other), "10.1.0.1");
    core.release_all([first, second, blue]);
    assert_eq!(core.apply(Operation::KickUser { user }).unwrap(), []);
    assert_eq!(core.core.user_count(), 3, "the mappings stay");
}

/// No kick waits for another one, so none can overtake it.
#[test]
fn w31_kicks_are_made_in_the_order_in_which_they_are_asked_for() {
    let mut core = Checked::new(table("10.1.0.1=100"));
    let names = ["d", "b", "a", "c"];
    let sessions: Vec<_> = names.iter().rev().map(|name| core.enter(name)).collect();
    let mut kicked = Vec::new();
    for name in names {
        let user = core.hash(name);
        kicked.extend(core.apply(Operation::KickUser { user }).unwrap());
    }
    kicked.retain(|action| matches!(action, Action::Kick { .. }));
    let expected: Vec<_> = sessions.iter().rev().map(|session| Action::Kick { session: *session }).collect();
    assert_eq!(kicked, expected);
}

#[test]
fn a_session_is_released_once() {
    let mut core = Checked::three();
    let (first, second) = (core.enter("foo"), core.enter("foo"));
    core.release(first);
    core.release(first);
    assert_eq!(core.ip(second), "10.1.0.3");
    assert_eq!(core.core.session_count(), 1);
}

#[test]
fn dr_21_dr_23_a_refresh_keeps_mappings_alive_and_makes_none() {
    let mut core = Checked::three();
    let foo = core.hash("foo");
    core.visit("foo");
    for _ in 0..3 {
        core.pass(EXPIRE_SECS - 1);
        core.core.refresh(core.now, foo);
        core.check();
    }
    assert_eq!(core.core.user_count(), 1);
    core.pass(EXPIRE_SECS);
    core.core.refresh(core.now, foo);
    assert_eq!(core.core.user_count(), 0);
}

/// A clock that is set back neither ages nor revives anything.
#[test]
fn w20_time_does_not_go_back() {
    let mut core = Checked::three();
    core.visit("foo");
    let now = core.now;
    core.now = Moment::from_millis(now.millis() / 2);
    core.visit("user1");
    core.now = now;
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 2);
    core.pass(1);
    assert_eq!(core.core.user_count(), 0);
}

#[test]
fn a_longer_expire_time_brings_nobody_back() {
    let mut core = Checked::three();
    core.move_user("foo", "10.1.0.1").unwrap();
    core.sleep(Duration::from_secs(EXPIRE_SECS));
    let mut longer = table(THREE);
    longer.rules.expire *= 2;
    core.apply(Operation::Configure(longer)).unwrap();
    assert_eq!(core.whereabouts("foo"), None);
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.pass(2 * EXPIRE_SECS - 1);
    assert_eq!(core.core.user_count(), 1, "the new time counts for the new mapping");
}

#[test]
fn dr_50_a_lookup_tells_mapping_ring_and_configuration() {
    let mut core = Checked::three();
    let foo = core.hash("foo");
    let lookup = core.core.lookup(core.now, b"", foo);
    assert_eq!(
        (lookup.current, lookup.hashed, lookup.initial),
        (None, Some(ip("10.1.0.3")), Some(ip("10.1.0.3")))
    );
    core.visit("foo");
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.3"), vhosts: 0 }).unwrap();
    let lookup = core.core.lookup(core.now, b"", foo);
    let current = lookup.current.unwrap();
    assert_eq!((current.ip, current.sessions, current.cause), (ip("10.1.0.3"), 0, Cause::Hashed));
    assert_eq!(current.expires, core.now.after(Duration::from_secs(EXPIRE_SECS)));
    assert_ne!(lookup.hashed, Some(ip("10.1.0.3")));
    assert_eq!(lookup.initial, Some(ip("10.1.0.3")));
    assert_eq!(
        core.core.lookup(core.now, b"blue", foo),
        Lookup { current: None, hashed: None, initial: None, leaves_until: None }
    );
    core.sleep(Duration::from_secs(EXPIRE_SECS));
    assert_eq!(core.core.lookup(core.now, b"", foo).current, None, "expired, if not yet taken out");
}

fn leaving(core: &Checked) -> usize {
    core.core.backend_rows().iter().filter(|row| row.leaving).count()
}
