//! Changes of the backend table (spec/director.md 4.3 to 4.6, 7).

use super::*;

fn shown(core: &Checked) -> String {
    let show = |host: &Arc<Host>| {
        let tag = String::from_utf8(host.tag.clone()).unwrap();
        let at = if tag.is_empty() { "" } else { "@" };
        format!("{}{at}{tag}={}{}", host.ip, host.vhosts, if host.up { "" } else { "(down)" })
    };
    core.core.hosts().iter().map(show).collect::<Vec<_>>().join(",")
}

fn add(ip: &str, tag: Option<&str>, vhosts: Option<u32>) -> Operation {
    Operation::AddHost { ip: ip.parse().unwrap(), hostname: None, tag: tag.map(Into::into), vhosts }
}

#[test]
fn dr_53_backends_are_added_and_changed() {
    let mut core = Checked::new(table("10.1.0.1=100"));
    let actions = core.apply(add("10.1.0.2", Some("blue"), Some(50))).unwrap();
    assert!(matches!(actions[..], [Action::HostAdded { origin: Origin::Operator, .. }, Action::WakeAll]));
    assert_eq!(core.apply(add("10.1.0.2", None, None)).unwrap(), [], "nothing to change");
    core.apply(add("10.1.0.2", Some("blue"), Some(7))).unwrap();
    assert_eq!(shown(&core), "10.1.0.1=100,10.1.0.2@blue=7");
    assert_eq!(core.apply(add("10.1.0.2", Some("red"), None)), Err(OperationError::TagDiffers));
    assert_eq!(core.apply(add("10.1.0.3", None, Some(1001))), Err(OperationError::VhostsTooMany));
    assert_eq!(OperationError::VhostsTooMany.to_string(), "vhost count too large");
    assert_eq!(shown(&core), "10.1.0.1=100,10.1.0.2@blue=7");
}

#[test]
fn dr_54_dr_08_weights_are_for_new_users() {
    let mut core = Checked::three();
    core.visit("foo");
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.3"), vhosts: 0 }).unwrap();
    assert_eq!(core.visit("foo"), "10.1.0.3");
    core.pass(EXPIRE_SECS);
    assert_ne!(core.visit("foo"), "10.1.0.3");
    let set = |ip: &str, vhosts| Operation::SetVhosts { ip: ip.parse().unwrap(), vhosts };
    assert_eq!(core.apply(set("10.1.0.9", 5)), Err(OperationError::UnknownHost(ip("10.1.0.9"))));
    assert_eq!(core.apply(set("10.1.0.1", 1001)), Err(OperationError::VhostsTooMany));
    core.apply(set("10.1.0.1", 1000)).unwrap();
}

#[test]
fn dr_55_up_and_down_keep_the_time_of_the_last_change() {
    let mut core = Checked::three();
    core.visit("foo");
    let down = Operation::Down { ip: ip("10.1.0.3") };
    core.apply(down.clone()).unwrap();
    let then = core.now;
    core.pass(60);
    assert_eq!(core.apply(down.clone()).unwrap(), []);
    assert_eq!(core.core.backend_rows()[2].changed, Some((then, Origin::Operator)));
    assert_eq!(core.visit("foo"), "10.1.0.3", "mapped users keep logging in");
    core.apply(Operation::Up { ip: ip("10.1.0.3") }).unwrap();
    assert_eq!(core.core.backend_rows()[2].changed, Some((core.now, Origin::Operator)));
    let unknown = core.apply(Operation::Up { ip: ip("10.1.0.9") });
    assert_eq!(unknown, Err(OperationError::UnknownHost(ip("10.1.0.9"))));
}

#[test]
fn dr_29_a_waiting_login_is_woken_by_a_backend() {
    let mut core = Checked::new(table("10.1.0.1=100(down)"));
    assert_eq!(core.login("foo"), Err(Wait::NoHost));
    for operation in [Operation::Up { ip: ip("10.1.0.1") }, add("10.1.0.2", None, None)] {
        assert!(core.apply(operation).unwrap().contains(&Action::WakeAll));
    }
    assert!(core.login("foo").is_ok());
}

/// Health checks and people do not undo what the other has done.
#[test]
fn w11_health_checks_leave_the_last_backend_and_peoples_decisions_alone() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2=0,10.1.0.3@blue=100"));
    let health = |core: &mut Checked, operation| core.apply_as(Origin::Health, operation);
    let down = |text: &str| Operation::Down { ip: ip(text) };
    let up = |text: &str| Operation::Up { ip: ip(text) };
    assert_eq!(health(&mut core, down("10.1.0.1")), Err(OperationError::LastUsable(ip("10.1.0.1"))));
    health(&mut core, down("10.1.0.2")).unwrap();
    health(&mut core, up("10.1.0.2")).unwrap();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.2"), vhosts: 100 }).unwrap();
    health(&mut core, down("10.1.0.1")).unwrap();
    assert_eq!(health(&mut core, down("10.1.0.2")), Err(OperationError::LastUsable(ip("10.1.0.2"))));
    core.apply(up("10.1.0.1")).unwrap();
    core.apply(down("10.1.0.1")).unwrap();
    assert_eq!(health(&mut core, up("10.1.0.1")), Err(OperationError::HeldDown(ip("10.1.0.1"))));
    core.apply(down("10.1.0.2")).unwrap();
}

#[test]
fn w11_down_is_a_persons_word_even_if_a_health_check_has_said_it_first() {
    let mut core = Checked::three();
    let (ip, changed) = (ip("10.1.0.1"), |core: &Checked| core.core.backend_rows()[0].changed.unwrap());
    core.apply_as(Origin::Health, Operation::Down { ip }).unwrap();
    let (when, _) = changed(&core);
    core.sleep(Duration::from_secs(5));
    assert_eq!(core.apply(Operation::Down { ip }).unwrap(), []);
    assert_eq!(changed(&core), (when, Origin::Operator), "the time stays, as in the reference");
    core.apply_as(Origin::Health, Operation::Down { ip }).unwrap();
    let refused = core.apply_as(Origin::Health, Operation::Up { ip });
    assert_eq!(refused, Err(OperationError::HeldDown(ip)));
}

#[test]
fn dr_56_a_removed_backend_is_unknown() {
    let mut core = Checked::three();
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    assert_eq!(shown(&core), "10.1.0.1=100,10.1.0.2=100");
    for operation in [
        Operation::RemoveHost { ip: ip("10.1.0.3") },
        Operation::SetVhosts { ip: ip("10.1.0.3"), vhosts: 1 },
        Operation::Down { ip: ip("10.1.0.3") },
        Operation::SetTag { ip: ip("10.1.0.3"), tag: Vec::new() },
        Operation::FlushHost { ip: ip("10.1.0.3"), flush: Flushing::Forced },
    ] {
        assert_eq!(core.apply(operation), Err(OperationError::UnknownHost(ip("10.1.0.3"))));
    }
}

#[test]
fn w33_a_tag_can_be_changed_and_users_with_sessions_stay_until_they_end() {
    let mut core = Checked::three();
    let session = core.enter("foo");
    core.apply(Operation::SetTag { ip: ip("10.1.0.3"), tag: b"blue".to_vec() }).unwrap();
    assert_eq!(shown(&core), "10.1.0.1=100,10.1.0.2=100,10.1.0.3@blue=100");
    let second = core.enter("foo");
    assert_eq!(core.ip(second), "10.1.0.3");
    let rows = core.core.backend_rows();
    let numbers: Vec<_> = rows.iter().map(|row| (row.leaving, row.users, row.sessions)).collect();
    assert_eq!(numbers, [(false, 0, 0), (false, 0, 0), (false, 0, 0), (true, 1, 2)]);
    core.release(session);
    core.release(second);
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    core.pass(KICK_DELAY_SECS);
    assert_ne!(core.visit("foo"), "10.1.0.3");
    let foo = core.hash("foo");
    let blue = core.place("blue", foo).unwrap();
    assert_eq!(core.ip(blue), "10.1.0.3");
}

/// The reference forgets what was changed while running, or in a ring ignores the file.
#[test]
fn dr_87_w40_a_reload_changes_what_the_file_says_differently_and_nothing_else() {
    let mut core = Checked::three();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.1"), vhosts: 7 }).unwrap();
    core.apply(Operation::Down { ip: ip("10.1.0.2") }).unwrap();
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    core.apply(add("10.1.0.4", None, Some(9))).unwrap();
    let before = shown(&core);
    let told = core.configure(THREE);
    assert_eq!(shown(&core), before);
    let kept = told.iter().filter(|action| matches!(action, Action::HostDiffers { .. })).count();
    assert_eq!(kept, 3, "and nobody wonders why");
    core.configure(&format!("{THREE},10.1.0.5=100"));
    assert_eq!(shown(&core), "10.1.0.1=7,10.1.0.2=100(down),10.1.0.4=9,10.1.0.5=100");
    core.configure("10.1.0.2=100,10.1.0.4@blue=100");
    assert_eq!(
        shown(&core),
        "10.1.0.2=100(down),10.1.0.4@blue=9",
        "what the file names is the file's from then on"
    );
    core.configure("10.1.0.2=50");
    assert_eq!(shown(&core), "10.1.0.2=50(down)");
    core.configure(THREE);
    assert_eq!(
        shown(&core),
        "10.1.0.1=100,10.1.0.2=100(down),10.1.0.3=100",
        "back in the file, back in the table"
    );
}

#[test]
fn w07_a_table_written_down_elsewhere_is_taken_over() {
    let mut core = Checked::three();
    core.visit("foo");
    for name in ["foo", "user1"] {
        let user = core.hash(name);
        let map = Operation::MapUser { user, ip: ip("10.1.0.1") };
        let woken = core.apply_as(Origin::Restored, map).unwrap().contains(&Action::Wake { user });
        assert_eq!(woken, name == "user1", "foo has a mapping");
    }
    assert_eq!((core.visit("foo"), core.visit("user1")), ("10.1.0.3".to_owned(), "10.1.0.1".to_owned()));
    let foo = core.hash("foo");
    let unknown = core.apply(Operation::MapUser { user: foo, ip: ip("10.1.0.9") });
    assert_eq!(unknown, Err(OperationError::UnknownHost(ip("10.1.0.9"))));
}

#[test]
fn there_is_a_limit_of_tags() {
    let mut core = Checked::new(table(""));
    for n in 0..TAGS_MAX {
        let (host, tag) = (format!("10.{}.{}.1", n / 256, n % 256), format!("tag{n}"));
        let outcome = core.core.apply(core.now, Origin::Operator, add(&host, Some(&tag), Some(1)));
        outcome.unwrap();
    }
    let more = add("10.255.0.1", Some("one more"), None);
    assert_eq!(core.core.apply(core.now, Origin::Operator, more), Err(OperationError::TooManyTags));
    core.core.apply(core.now, Origin::Operator, add("10.255.0.1", Some("tag0"), None)).unwrap();
}

#[test]
fn there_is_a_limit_of_backends() {
    let many: Vec<_> =
        (0..HOSTS_MAX).map(|n| format!("10.{}.{}.{}=0", n / 65536, n / 256 % 256, n % 256)).collect();
    let mut core = Core::new(Moment::default(), table(&many.join(",")));
    let mut apply = |operation| core.apply(Moment::default(), Origin::Operator, operation);
    assert_eq!(apply(add("10.255.0.1", None, None)), Err(OperationError::TooManyHosts));
    apply(add("10.0.0.1", None, Some(1))).unwrap();
    apply(Operation::RemoveHost { ip: ip("10.0.0.1") }).unwrap();
    apply(add("10.255.0.1", None, None)).unwrap();
}

#[test]
fn equal_histories_give_equal_answers() {
    let answers = || {
        let mut core = Checked::three();
        let mut answers = Vec::new();
        for n in 0..200_u32 {
            let name = format!("user{}", n * 7 % 31);
            answers.push(format!("{:?}", core.login(&name)));
            answers.push(format!("{:?}", core.move_user(&format!("user{}", n % 13), "10.1.0.1")));
        }
        answers.push(format!("{:?}", core.apply(Operation::FlushAll { tag: None, flush: Flushing::Forced })));
        answers
    };
    assert_eq!(answers(), answers());
}
