//! What survives a restart, and how little has to be written down for it (spec/director.md 10, W7).

use super::*;

/// Everything, in small pages.
fn save(core: &mut Core) -> Saved {
    let hosts = core.begin_saving();
    let (mut users, mut from) = (Vec::new(), Some(UserCursor::default()));
    while let Some(cursor) = from {
        let (page, next) = core.saved_users(cursor, 3);
        users.extend(page);
        from = next;
    }
    Saved { hosts, users }
}

impl Checked {
    /// The program ends with all its sessions and starts again at once.
    fn restart(&mut self, hosts: &str) -> Restored {
        let saved = save(&mut self.core);
        let table = Table { hosts: hosts_of_vector(hosts), rules: self.core.rules.clone() };
        let (core, restored, told) = Core::restored(self.now, table, saved);
        self.core = core;
        let before = std::mem::take(&mut self.live);
        for foreign in self.core.foreign_sessions() {
            let was = before.iter().find(|(old, _)| old.user() == foreign.session.user());
            self.live.insert(foreign.session, *was.unwrap().1);
        }
        self.heard(told);
        restored
    }

    /// A session of another program.
    fn enter_foreign(&mut self, name: &str, purpose: ForeignUse) -> SessionKey {
        let placed = self.core.place_foreign(self.now, b"", self.hash(name), purpose).unwrap();
        self.live.insert(placed.session, placed.host.ip);
        self.check();
        placed.session
    }

    fn foreign(&self, name: &str) -> Vec<(ForeignUse, Moment)> {
        let of_user = |foreign: &ForeignSession| foreign.session.user().hash() == self.hash(name);
        self.core.foreign_sessions().filter(of_user).map(|one| (one.purpose, one.placed)).collect()
    }

    fn idle(&mut self, name: &str) {
        let session = self.enter(name);
        self.release(session);
    }
}

/// Mappings in an order that does not depend on where rows lie.
fn sorted(mut saved: Saved) -> Saved {
    saved.users.sort_by_key(|user| (user.tag.clone(), user.hash));
    saved
}

#[test]
fn w07_users_backends_and_their_times_survive() {
    let mut core = Checked::three();
    core.move_user("user1", "10.1.0.3").unwrap();
    core.apply(Operation::Down { ip: ip("10.1.0.1") }).unwrap();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.2"), vhosts: 7 }).unwrap();
    let added = Operation::AddHost {
        ip: ip("10.1.0.9"),
        hostname: None,
        tag: Some(b"blue".to_vec()),
        vhosts: Some(5),
    };
    core.apply(added).unwrap();
    core.idle("foo");
    core.pass(60);
    let (before, hosts) = (save(&mut core.core), core.core.hosts().clone());
    let restored = core.restart(THREE);
    assert_eq!(restored, Restored { users: 2, ..Restored::default() });
    assert_eq!(core.whereabouts("user1").unwrap(), "10.1.0.3");
    assert_eq!(*core.core.hosts(), hosts);
    assert_eq!(core.core.backend_rows()[0].changed.map(|(_, by)| by), Some(Origin::Operator));
    let mut after = save(&mut core.core);
    // Numbers of backends are those of a run.
    let order =
        |saved: &Saved| -> Vec<_> { saved.hosts.backends.iter().map(|row| row.host.clone()).collect() };
    assert_eq!(order(&before), order(&after));
    assert_eq!(after.hosts.configured, before.hosts.configured);
    let renumbered = |saved: &Saved| {
        saved.hosts.backends.iter().map(|row| (row.host.ip, row.number)).collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (renumbered(&before), renumbered(&after));
    for user in &mut after.users {
        let at = new.iter().find(|(_, number)| **number == user.backend).unwrap().0;
        user.backend = old[at];
    }
    assert_eq!(sorted(after).users, sorted(before).users);
}

#[test]
fn w07_expired_mappings_stay_away() {
    let mut core = Checked::three();
    core.apply(Operation::MapUser { user: core.hash("user1"), ip: ip("10.1.0.1") }).unwrap();
    core.sleep(Duration::from_secs(10));
    core.apply(Operation::MapUser { user: core.hash("foo"), ip: ip("10.1.0.1") }).unwrap();
    let saved = save(&mut core.core);
    core.sleep(Duration::from_secs(EXPIRE_SECS - 5));
    let (restarted, restored, _) = Core::restored(core.now, table(THREE), saved);
    assert_eq!(restored, Restored { users: 1, expired: 1, ..Restored::default() });
    core.core = restarted;
    assert_eq!((core.whereabouts("user1"), core.whereabouts("foo").as_deref()), (None, Some("10.1.0.1")));
    core.pass(5);
    assert_eq!(core.core.user_count(), 0, "the rest of the time is what was left");
}

#[test]
fn w07_users_with_sessions_count_as_just_seen() {
    let mut core = Checked::three();
    core.move_user("user1", "10.1.0.3").unwrap();
    core.enter("user1");
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.restart(THREE), Restored { users: 1, ..Restored::default() });
    core.pass(EXPIRE_SECS - 1);
    assert_eq!(core.whereabouts("user1").unwrap(), "10.1.0.3");
    core.pass(1);
    assert_eq!(core.whereabouts("user1"), None);
}

/// The sessions ended with the program, which the old backend may notice late.
#[test]
fn w07_a_move_goes_on_behind_the_kick_delay() {
    let mut core = Checked::three();
    core.enter("user1");
    core.move_user("user1", "10.1.0.3").unwrap();
    assert_eq!(core.restart(THREE), Restored { users: 1, moving: 1, ..Restored::default() });
    let until = core.now.after(Duration::from_secs(KICK_DELAY_SECS));
    assert_eq!(core.login("user1"), Err(Wait::KickDelay { until }));
    let actions = core.pass(KICK_DELAY_SECS);
    let user = core.hash("user1");
    assert!(actions.contains(&Action::Wake { user }), "{actions:?}");
    assert_eq!(core.visit("user1"), "10.1.0.3");
}

#[test]
fn w07_the_rest_of_a_delay_is_waited_for() {
    let mut core = Checked::three();
    let session = core.enter("user1");
    core.move_user("user1", "10.1.0.3").unwrap();
    core.release(session);
    core.sleep(Duration::from_secs(1));
    core.restart(THREE);
    let until = core.now.after(Duration::from_secs(KICK_DELAY_SECS - 1));
    assert_eq!(core.login("user1"), Err(Wait::KickDelay { until }));
    core.pass(1);
    assert_eq!(core.visit("user1"), "10.1.0.3");
}

/// As at a reload (`dr_87_w40_...`).
#[test]
fn w07_the_configuration_counts_as_at_a_reload() {
    let mut core = Checked::three();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.1"), vhosts: 7 }).unwrap();
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.2") }).unwrap();
    core.restart(THREE);
    assert!(
        !core.core.hosts().contains(ip("10.1.0.2")),
        "removed by a person, and the file says nothing new"
    );
    assert_eq!(core.core.hosts().get(ip("10.1.0.1")).unwrap().vhosts, 7);
    core.restart("10.1.0.1=50,10.1.0.2=100,10.1.0.4=100");
    let hosts: Vec<_> = core.core.hosts().iter().map(|h| (h.ip.to_string(), h.vhosts)).collect();
    assert_eq!(hosts, [("10.1.0.1".to_owned(), 50), ("10.1.0.4".to_owned(), 100)]);
}

/// A backend that the configuration has lost meanwhile, or that was removed while its users were on it.
#[test]
fn w07_a_lost_backend_is_left_behind_the_kick_delay() {
    let mut core = Checked::three();
    core.idle("user1");
    core.pass(KICK_DELAY_SECS);
    core.enter("foo");
    core.idle("dave@sub.example.net");
    core.apply(Operation::RemoveHost { ip: ip("10.1.0.3") }).unwrap();
    let restored = core.restart("10.1.0.1=100");
    assert_eq!(restored, Restored { users: 2, moving: 1, dropped: 1, ..Restored::default() });
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })));
    assert!(matches!(core.login("dave@sub.example.net"), Err(Wait::KickDelay { .. })), "was just there");
    assert_eq!(core.visit("user1"), "10.1.0.1", "who was not there lately has nothing to wait for");
    assert!(!core.core.is_safe_to_power_off(core.now, ip("10.1.0.3")));
    core.pass(KICK_DELAY_SECS);
    assert!(core.core.is_safe_to_power_off(core.now, ip("10.1.0.3")));
    assert_eq!(core.visit("foo"), "10.1.0.1");
    assert_eq!(core.visit("dave@sub.example.net"), "10.1.0.1");
    assert_eq!(core.core.backend_rows().len(), 1);
}

#[test]
fn w07_a_twin_does_not_inherit_forgotten_users() {
    let mut core = Checked::three();
    core.move_user("user1", "10.1.0.1").unwrap();
    core.enter("foo");
    core.apply(Operation::FlushAll { tag: None, flush: Flushing::Forced }).unwrap();
    let restored = core.restart(THREE);
    assert_eq!(restored.moving, 1, "foo had a session there: {restored:?}");
    assert_eq!(core.whereabouts("user1"), None);
}

#[test]
fn w07_hashes_of_other_rules_are_worth_nothing() {
    let mut core = Checked::three();
    core.move_user("user1", "10.1.0.3").unwrap();
    core.apply(Operation::Down { ip: ip("10.1.0.1") }).unwrap();
    let saved = save(&mut core.core);
    let mut other = table(THREE);
    other.rules.naming.format = UsernameFormat::parse("%Ln").unwrap();
    let (restarted, restored, _) = Core::restored(core.now, other, saved);
    assert_eq!(restored, Restored { dropped: 1, ..Restored::default() });
    assert!(!restarted.hosts().get(ip("10.1.0.1")).unwrap().up, "backends are what they were all the same");
}

/// The first write is everything; each further one is what has changed, and together they are the table.
#[test]
fn w07_changes_are_noted_once_and_completely() {
    let mut core = Checked::three();
    core.idle("foo");
    let mut written: BTreeMap<_, _> =
        save(&mut core.core).users.into_iter().map(|user| (user.hash, user)).collect();
    assert!(!core.core.has_unsaved());
    let session = core.enter("user1");
    core.enter("user1");
    core.move_user("user1", "10.1.0.3").unwrap();
    core.release(session);
    core.apply(Operation::Down { ip: ip("10.1.0.1") }).unwrap();
    let mut hosts = None;
    while core.core.has_unsaved() {
        let changes = match core.core.take_unsaved(1) {
            UnsavedChanges::Users(changes) => changes,
            UnsavedChanges::Last(changes, told) => {
                hosts = told;
                changes
            }
            UnsavedChanges::Everything => panic!("nothing is lost"),
        };
        for change in changes {
            match change {
                Change::Is(user) => assert!(written.insert(user.hash, user).is_none(), "once"),
                Change::Gone { hash, .. } => panic!("{hash} is there"),
            }
        }
    }
    let users: Vec<_> = written.into_values().collect();
    let saved = Saved { hosts: hosts.unwrap(), users };
    assert_eq!(sorted(saved), sorted(save(&mut core.core)));
    core.pass(EXPIRE_SECS);
    let UnsavedChanges::Last(changes, None) = core.core.take_unsaved(10) else {
        panic!("no backend changed")
    };
    assert!(changes.contains(&Change::Gone { tag: Vec::new(), hash: core.hash("foo") }), "{changes:?}");
}

#[test]
fn w07_who_is_too_old_when_the_time_changes_does_not_come_back_with_a_restart() {
    let mut core = Checked::three();
    core.idle("foo");
    save(&mut core.core);
    let rules = core.core.rules.clone();
    core.sleep(rules.expire);
    let rules = Rules { expire: rules.expire * 2, ..rules };
    core.apply(Operation::Configure(Table { hosts: hosts_of_vector(THREE), rules })).unwrap();
    let gone = Change::Gone { tag: Vec::new(), hash: core.hash("foo") };
    let UnsavedChanges::Last(changes, _) = core.core.take_unsaved(10) else { panic!("few changes") };
    assert_eq!(changes, [gone]);
}

#[test]
fn w07_too_many_changes_are_written_down_anew() {
    let mut core = Core::new(Moment::default(), table(THREE));
    core.begin_saving();
    for n in 0..=u32::try_from(CHANGES_MAX).unwrap() {
        let user = UserHash::from_number(n + 1);
        core.apply(Moment::default(), Origin::Operator, Operation::MapUser { user, ip: ip("10.1.0.1") })
            .unwrap();
    }
    assert!(core.has_unsaved());
    assert_eq!(core.take_unsaved(10), UnsavedChanges::Everything);
    core.begin_saving();
    assert!(!core.has_unsaved());
}

#[test]
fn w07_loading_overwrites_nobody_who_is_logged_in() {
    let mut core = Checked::three();
    let load =
        |name: &str, core: &Checked, to: &str| Operation::LoadUser { user: core.hash(name), ip: ip(to) };
    core.apply(load("new", &core, "10.1.0.1")).unwrap();
    assert_eq!(core.whereabouts("new").unwrap(), "10.1.0.1");
    let session = core.enter("foo");
    let there = core.ip(session);
    let refused = core.apply(load("foo", &core, "10.1.0.1"));
    assert_eq!(refused, Err(OperationError::InUse(ip(&there))));
    core.apply(load("foo", &core, &there)).unwrap();
    core.release(session);
    core.apply(load("foo", &core, "10.1.0.1")).unwrap();
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })), "the session has just ended");
    assert_eq!(core.apply(load("foo", &core, "10.1.0.1")), Err(OperationError::BeingMoved));
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("foo"), "10.1.0.1");
    assert_eq!(core.apply(load("foo", &core, "10.1.0.8")), Err(OperationError::UnknownHost(ip("10.1.0.8"))));
}

/// A session of another program does not notice the restart: the user stays, though nothing else holds the mapping.
#[test]
fn w07_foreign_sessions_hold_their_users_behind_a_restart() {
    let mut core = Checked::three();
    core.move_user("user1", "10.1.0.3").unwrap();
    let started = core.now;
    core.enter_foreign("user1", ForeignUse::Lookup);
    core.sleep(Duration::from_secs(3));
    core.enter("user1");
    core.enter_foreign("user1", ForeignUse::Session);
    let again = core.enter_foreign("user1", ForeignUse::Session);
    core.enter_foreign("foo", ForeignUse::Unreachable);
    core.release(again);
    core.pass(10 * EXPIRE_SECS);
    let restored = core.restart(THREE);
    assert_eq!(restored, Restored { users: 2, foreign: 2, ..Restored::default() });
    let later = started.after(Duration::from_secs(3));
    assert_eq!(core.foreign("user1"), [(ForeignUse::Session, later), (ForeignUse::Lookup, started)]);
    core.pass(10 * EXPIRE_SECS);
    assert_eq!(core.visit("user1"), "10.1.0.3");
    let told = core.move_user("user1", "10.1.0.1").unwrap();
    assert_eq!(told.iter().filter(|action| matches!(action, Action::Kick { .. })).count(), 2, "{told:?}");
    assert!(matches!(core.login("user1"), Err(Wait::Moving { sessions: 2, .. })));
    let sessions: Vec<_> = core.core.foreign_sessions().map(|foreign| foreign.session).collect();
    core.release_all(sessions);
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("user1"), "10.1.0.1");
    assert_eq!(core.foreign("user1"), []);
}

#[test]
fn w07_a_move_under_way_waits_for_foreign_sessions_behind_a_restart() {
    let mut core = Checked::three();
    core.enter_foreign("user1", ForeignUse::Session);
    core.enter("user1");
    core.move_user("user1", "10.1.0.3").unwrap();
    core.told.clear();
    let restored = core.restart(THREE);
    assert_eq!(restored, Restored { users: 1, moving: 1, foreign: 1, ..Restored::default() });
    let session = core.core.foreign_sessions().next().unwrap().session;
    assert!(core.told.contains(&Action::Kick { session }), "{:?}", core.told);
    core.pass(10 * KICK_DELAY_SECS);
    let from = ip("10.1.0.2");
    assert_eq!(core.login("user1"), Err(Wait::Moving { from, sessions: 1, stuck: false }));
    core.release(session);
    assert!(matches!(core.login("user1"), Err(Wait::KickDelay { .. })));
    core.pass(KICK_DELAY_SECS);
    assert_eq!(core.visit("user1"), "10.1.0.3");
}

#[test]
fn w07_foreign_sessions_hold_a_backend_that_is_gone() {
    let mut core = Checked::three();
    core.enter_foreign("foo", ForeignUse::Session);
    let restored = core.restart("10.1.0.1=100");
    assert_eq!(restored, Restored { users: 1, foreign: 1, ..Restored::default() });
    assert_eq!(core.visit("foo"), "10.1.0.3");
    let session = core.core.foreign_sessions().next().unwrap().session;
    core.release(session);
    assert!(matches!(core.login("foo"), Err(Wait::KickDelay { .. })), "the backend gets time to be done");
    core.pass(2);
    assert_eq!(core.visit("foo"), "10.1.0.1");
}

/// Their coming and going is written down though the user is held all the time.
#[test]
fn w07_foreign_sessions_are_changes() {
    let mut core = Checked::three();
    core.enter("user1");
    save(&mut core.core);
    let uses = |core: &mut Checked| {
        let UnsavedChanges::Last(changes, None) = core.core.take_unsaved(10) else { panic!("one user") };
        let [Change::Is(user)] = &*changes else { panic!("{changes:?}") };
        user.foreign.iter().map(|foreign| foreign.purpose).collect::<Vec<_>>()
    };
    let session = core.enter_foreign("user1", ForeignUse::Session);
    assert_eq!(uses(&mut core), [ForeignUse::Session]);
    core.release(session);
    assert_eq!(uses(&mut core), []);
    core.enter("user1");
    assert!(!core.core.has_unsaved(), "sessions of our own are not counted");
}

/// A drain that a restart interrupts goes on: with its limits, its counts, and the weight that can be given back.
#[test]
fn w41_a_drain_goes_on_behind_a_restart() {
    let mut core = Checked::three();
    let (foo, backend) = (core.enter("foo"), ip("10.1.0.3"));
    core.move_user("user1", "10.1.0.3").unwrap();
    core.apply(Operation::SetVhosts { ip: backend, vhosts: 70 }).unwrap();
    save(&mut core.core);
    let draining = Draining { parallel: Some(7), per_sec: Some(9), grace: Some(Duration::from_secs(5)) };
    core.apply(Operation::Drain { ip: backend, draining }).unwrap();
    let UnsavedChanges::Last(_, Some(hosts)) = core.core.take_unsaved(10) else { panic!("nothing to write") };
    assert_eq!(hosts.drains.first().map(|drain| drain.vhosts_before), Some(Some(70)));
    core.busy.0.insert(foo);
    let started = core.now;
    core.pass(KICK_DELAY_SECS + 1);
    assert!(core.core.has_unsaved(), "a user was moved");
    core.restart(THREE);
    let drain = core.core.drain_of(core.now, backend).unwrap();
    assert_eq!((drain.vhosts_before, drain.users_at_start, drain.moved), (Some(70), 2, 1));
    assert_eq!(
        (drain.started, drain.origin, drain.parallel, drain.per_sec),
        (started, Origin::Operator, 7, 9)
    );
    assert_eq!((drain.grace, drain.users_left), (Duration::from_secs(5), 1));
    core.pass(10);
    core.pass(10);
    assert_eq!(core.core.drain_of(core.now, backend).unwrap().state, DrainState::Safe);
    core.apply(Operation::StopDrain { ip: backend, restore: true }).unwrap();
    assert_eq!(core.core.hosts().get(backend).unwrap().vhosts, 70);
    core.restart(THREE);
    assert_eq!(core.core.drains(core.now), [], "what has ended is over");
}

#[test]
fn w41_a_backend_that_the_configuration_uses_again_is_not_drained_behind_a_restart() {
    let mut core = Checked::three();
    let backend = ip("10.1.0.3");
    core.apply(Operation::Drain { ip: backend, draining: Draining::default() }).unwrap();
    core.restart("10.1.0.1=100,10.1.0.2=100,10.1.0.3=60");
    let drain = core.core.drain_of(core.now, backend).unwrap();
    assert_eq!(drain.state, DrainState::Ended(DrainEnd::BackInUse(Origin::Configuration)));
    assert_eq!(core.core.hosts().get(backend).unwrap().vhosts, 60);
}
