//! Drains: a backend is emptied for good (spec/director.md 10, W41). Of the users "user0" to "user29" a third is on
//! 10.1.0.2.

use super::*;

const HERE: &str = "10.1.0.2";

fn draining() -> Draining {
    Draining { parallel: Some(100), per_sec: Some(1000), grace: Some(Duration::from_secs(60)) }
}

fn names() -> impl Iterator<Item = String> {
    (0..30).map(|n| format!("user{n}"))
}

impl Checked {
    fn drain_with(&mut self, ip_text: &str, draining: Draining) -> Vec<Action> {
        self.apply(Operation::Drain { ip: ip(ip_text), draining }).unwrap()
    }

    fn drain(&mut self) -> Vec<Action> {
        self.drain_with(HERE, draining())
    }

    fn progress(&self) -> DrainProgress {
        self.core.drain_of(self.now, ip(HERE)).unwrap()
    }

    fn state(&self) -> DrainState {
        self.progress().state
    }

    /// Lets time pass bit by bit.
    pub(super) fn live_on(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(50) {
            self.sleep(Duration::from_millis(50));
            self.pass(0);
        }
    }

    /// Sessions of users on the backend; the users on others are not there.
    fn sessions_here(&mut self) -> Vec<SessionKey> {
        let mut here = Vec::new();
        for name in names() {
            let session = self.enter(&name);
            if self.ip(session) == HERE {
                here.push(session);
            } else {
                self.release(session);
            }
        }
        assert!(here.len() > 5, "{here:?}");
        here.sort_unstable();
        here
    }

    /// The sessions that were kicked since, in order.
    fn kicked(&mut self) -> Vec<SessionKey> {
        let told = std::mem::take(&mut self.told);
        told.into_iter()
            .filter_map(|action| if let Action::Kick { session } = action { Some(session) } else { None })
            .collect()
    }

    fn states(&self) -> Vec<DrainState> {
        let state = |action: &Action| {
            if let Action::DrainChanged { state, .. } = action { Some(*state) } else { None }
        };
        self.told.iter().filter_map(state).collect()
    }
}

/// What a flush alone does not do: users who belong there leave, too, and nobody new comes.
#[test]
fn w41_a_drain_empties_a_healthy_backend_and_takes_no_new_users() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.drain();
    assert_eq!(core.core.hosts().get(ip(HERE)).unwrap().vhosts, 0);
    core.live_on(1000);
    let mut kicked = core.kicked();
    kicked.sort_unstable();
    assert_eq!(kicked, here);
    assert_eq!((core.state(), core.progress().safe), (DrainState::Moving, false), "they have not ended");
    core.release_all(here);
    core.live_on(KICK_DELAY_SECS * 1000);
    assert_eq!((core.state(), core.progress().safe), (DrainState::Safe, true));
    assert_eq!(core.states(), [DrainState::Safe]);
    for name in names() {
        assert_ne!(core.visit(&name), HERE);
    }
    let progress = core.progress();
    assert_eq!((progress.users_left, progress.sessions_left, progress.moving), (0, 0, 0));
    assert_eq!((progress.moved, progress.users_at_start), (progress.users_at_start, progress.moved));
}

#[test]
fn users_without_session_go_first_and_at_once() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    let (vacant, held) = here.split_at(here.len() / 2);
    core.release_all(vacant.iter().copied());
    // Longer ago than the kick delay, so nobody has to wait for it.
    core.sleep(Duration::from_secs(KICK_DELAY_SECS));
    core.drain_with(HERE, Draining { per_sec: Some(1), ..draining() });
    core.pass(0);
    let ended = core.told.iter().filter(|action| matches!(action, Action::MoveEnded(_))).count();
    assert_eq!(ended, vacant.len(), "no limit of reconnects holds for those who have none");
    assert_eq!(core.kicked().len(), 1, "one in a second");
    let progress = core.progress();
    assert_eq!(progress.moved, vacant.len() as u64);
    assert_eq!(progress.users_left, held.len() as u64);
}

#[test]
fn quiet_sessions_go_before_busy_ones_which_get_their_grace() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    let (busy, quiet) = here.split_at(3);
    core.busy.0 = busy.iter().copied().collect();
    core.drain();
    core.live_on(2000);
    let mut kicked = core.kicked();
    kicked.sort_unstable();
    assert_eq!(kicked, quiet, "the busy ones came first, but wait");
    let DrainState::Waiting { until } = core.state() else { panic!("{:?}", core.state()) };
    assert!(until > core.now && until <= core.now.after(Duration::from_secs(60)));

    core.busy.0.remove(&busy[1]);
    core.live_on(1500);
    assert_eq!(core.kicked(), [busy[1]], "as soon as it is quiet");
    core.release_all(quiet.iter().chain(&busy[1..2]).copied());

    core.sleep(until.since(core.now) - Duration::from_millis(1));
    core.pass(0);
    assert_eq!(core.kicked(), []);
    core.live_on(1500);
    assert_eq!(core.kicked(), [busy[0], busy[2]], "in the end the grace is over");
    assert_eq!(core.state(), DrainState::Moving);
}

/// One session in the middle of something is enough, since the user moves as a whole.
#[test]
fn a_user_is_as_busy_as_the_busiest_session() {
    let mut core = Checked::three();
    let quiet = core.enter("user1");
    let busy = core.enter("user1");
    assert_eq!(core.ip(quiet), HERE);
    core.busy.0.insert(busy);
    core.drain();
    core.live_on(3000);
    assert_eq!(core.kicked(), []);
    core.release(busy);
    core.live_on(1500);
    assert_eq!(core.kicked(), [quiet]);
}

#[test]
fn without_grace_nobody_is_waited_for() {
    let mut core = Checked::three();
    let session = core.enter("user1");
    core.busy.0.insert(session);
    core.drain_with(HERE, Draining { grace: Some(Duration::ZERO), ..draining() });
    core.live_on(1500);
    assert_eq!(core.kicked(), [session]);
}

#[test]
fn the_pace_and_the_number_of_moves_at_a_time_are_bounded() {
    let mut core = Checked::three();
    core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(2), per_sec: Some(4), grace: None });
    core.live_on(10_000);
    let kicked = core.kicked();
    assert_eq!(kicked.len(), 2, "nobody ends, so nobody follows");
    core.release_all(kicked);
    core.live_on(KICK_DELAY_SECS * 1000 - 50);
    assert_eq!(core.kicked(), []);
    core.live_on(200);
    assert_eq!(core.kicked().len(), 1, "a permit has been there");
    core.live_on(200);
    assert_eq!(core.kicked().len(), 1, "the next one after a quarter of a second");
    core.live_on(5000);
    assert_eq!(core.kicked(), []);
}

/// Moves whose sessions do not end would hold up the drain for ever.
#[test]
fn stuck_users_do_not_count_as_moving() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
    core.live_on(1000);
    assert_eq!(core.kicked().len(), 1);
    core.live_on(30_000);
    let progress = core.progress();
    assert_eq!((progress.stuck, progress.moving), (1, 2));
    assert!(!progress.safe && progress.users_left == here.len() as u64);
}

#[test]
fn a_drain_belongs_to_the_director_and_can_be_asked_for_again() {
    let mut core = Checked::three();
    core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
    core.live_on(1000);
    let before = core.progress();
    assert_eq!(core.drain_with(HERE, Draining { parallel: Some(3), ..draining() }), [], "nothing begins");
    let after = core.progress();
    assert_eq!((after.started, after.vhosts_before, after.parallel), (before.started, Some(100), 3));
    core.live_on(1000);
    assert_eq!(core.progress().moving, 3);
}

#[test]
fn a_stop_leaves_moves_alone_and_restores_the_weight_if_asked() {
    for restore in [false, true] {
        let mut core = Checked::three();
        let here = core.sessions_here();
        core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
        core.live_on(1000);
        let kicked = core.kicked();
        let stop = Operation::StopDrain { ip: ip(HERE), restore };
        core.apply(stop.clone()).unwrap();
        assert_eq!(core.apply(stop), Err(OperationError::UnknownDrain(ip(HERE))));
        assert_eq!(core.state(), DrainState::Ended(DrainEnd::Stopped(Origin::Operator)));
        let weight = core.core.hosts().get(ip(HERE)).unwrap().vhosts;
        assert_eq!(weight, if restore { 100 } else { 0 });
        core.release_all(kicked);
        core.live_on(5000);
        assert_eq!(core.kicked(), []);
        let progress = core.progress();
        assert_eq!((progress.moving, progress.users_left), (0, here.len() as u64 - 1));
    }
}

#[test]
fn a_backend_that_is_used_again_ends_its_drain() {
    let up = |core: &mut Checked| core.apply(Operation::Up { ip: ip(HERE) }).unwrap();
    let weigh = |core: &mut Checked| core.apply(Operation::SetVhosts { ip: ip(HERE), vhosts: 1 }).unwrap();
    for (is_down, change) in [(true, up as fn(&mut Checked) -> Vec<Action>), (false, weigh)] {
        let mut core = Checked::three();
        let here = core.sessions_here();
        core.drain();
        if is_down {
            core.apply_as(Origin::Health, Operation::Down { ip: ip(HERE) }).unwrap();
        } else {
            core.apply(Operation::Up { ip: ip(HERE) }).unwrap();
            assert_eq!(core.state(), DrainState::Moving, "it was up, so nothing was said");
        }
        let actions = change(&mut core);
        let end = DrainState::Ended(DrainEnd::BackInUse(Origin::Operator));
        assert!(actions.contains(&Action::DrainChanged { ip: ip(HERE), state: end }), "{actions:?}");
        core.kicked();
        core.live_on(3000);
        assert_eq!(core.kicked(), [], "{} stay", here.len());
    }
}

/// A health check that sees the backend alive does not know what people want.
#[test]
fn a_health_check_does_not_end_a_drain() {
    let mut core = Checked::three();
    core.apply_as(Origin::Health, Operation::Down { ip: ip(HERE) }).unwrap();
    core.drain();
    core.apply_as(Origin::Health, Operation::Up { ip: ip(HERE) }).unwrap();
    let raise = Operation::SetVhosts { ip: ip(HERE), vhosts: 20 };
    assert_eq!(core.apply_as(Origin::Health, raise), Err(OperationError::HeldDown(ip(HERE))), "a slow start");
    core.pass(0);
    assert_eq!(core.state(), DrainState::Safe);
}

/// Nobody is kicked into nowhere, and new users are not shut out for a backend that cannot be emptied anyway.
#[test]
fn w41_a_drain_of_the_last_backend_waits_for_another_one() {
    let mut core = Checked::new(table("10.1.0.2=100,10.1.0.3=100(down)"));
    let session = core.enter("user1");
    core.drain();
    core.live_on(3000);
    assert_eq!(core.state(), DrainState::Blocked);
    assert_eq!(core.states(), [DrainState::Blocked], "told once");
    assert_eq!((core.kicked(), core.progress().vhosts_before), (Vec::new(), None));
    assert_eq!(core.visit("somebody"), HERE);

    core.apply(Operation::Up { ip: ip("10.1.0.3") }).unwrap();
    core.live_on(200);
    assert_eq!(core.progress().vhosts_before, Some(100));
    assert_eq!(core.kicked(), [session]);

    core.apply(Operation::Down { ip: ip("10.1.0.3") }).unwrap();
    core.release(session);
    core.live_on(KICK_DELAY_SECS * 1000);
    assert_eq!(core.state(), DrainState::Safe, "a move that has begun goes on");
}

/// Mappings without session count, too: the next login would go there.
#[test]
fn a_mapping_is_not_safe_before_it_is_gone() {
    let mut core = Checked::new(table("10.1.0.2=0,10.1.0.3=100(down)"));
    core.move_user("user1", HERE).unwrap();
    core.drain();
    core.live_on(1000);
    assert_eq!((core.state(), core.progress().safe), (DrainState::Blocked, false));
    core.pass(EXPIRE_SECS);
    assert_eq!(core.state(), DrainState::Safe);
}

#[test]
fn somebody_who_is_sent_there_meanwhile_is_moved_on() {
    let mut core = Checked::three();
    core.drain();
    core.pass(0);
    assert_eq!(core.state(), DrainState::Safe);
    core.move_user("foo", HERE).unwrap();
    assert!(!core.progress().safe);
    core.pass(0);
    assert_eq!(core.states(), [DrainState::Safe, DrainState::Moving]);
    core.live_on(DRAIN_PAUSE.as_millis() as u64 + KICK_DELAY_SECS * 1000);
    assert_eq!((core.state(), core.whereabouts("foo").unwrap()), (DrainState::Safe, "10.1.0.3".to_owned()));
}

/// The users' sessions live on until they are moved, table or not.
#[test]
fn w04_a_drained_backend_can_be_removed_before_it_is_empty() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
    core.live_on(1000);
    core.apply(Operation::RemoveHost { ip: ip(HERE) }).unwrap();
    assert!(!core.progress().safe);
    for _ in &here {
        let kicked = core.kicked();
        core.release_all(kicked);
        core.live_on(KICK_DELAY_SECS * 1000 + 100);
    }
    assert_eq!(core.state(), DrainState::Ended(DrainEnd::Removed));
    assert!(core.progress().safe && core.states().contains(&DrainState::Safe));
}

#[test]
fn a_removed_backend_that_comes_back_is_not_drained_any_more() {
    for hosts in [THREE, "10.1.0.2=100"] {
        let mut core = Checked::new(table(hosts));
        core.enter("user1");
        core.drain();
        core.apply(Operation::RemoveHost { ip: ip(HERE) }).unwrap();
        let add = Operation::AddHost { ip: ip(HERE), hostname: None, tag: None, vhosts: None };
        core.apply(add).unwrap();
        assert_eq!(core.state(), DrainState::Ended(DrainEnd::BackInUse(Origin::Operator)), "{hosts}");
    }
}

/// Both walk over the same users, of whom nobody is forgotten for that.
#[test]
fn a_drain_and_a_flush_of_the_same_backend_get_on() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
    core.live_on(500);
    let flush = Flushing::Safe { parallel: Some(2) };
    core.apply(Operation::FlushHost { ip: ip(HERE), flush }).unwrap();
    for _ in 0..here.len() {
        let kicked = core.kicked();
        core.release_all(kicked);
        core.live_on(KICK_DELAY_SECS * 1000 + DRAIN_PAUSE.as_millis() as u64);
    }
    assert_eq!((core.state(), core.core.flushes().count()), (DrainState::Safe, 0));
    assert_eq!(core.progress().moved, here.len() as u64);
}

/// A walk over a backend is one at a time; a drain that took it from a flush would make the flush miss users.
#[test]
fn a_flush_keeps_its_place_while_the_backend_is_drained() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.busy.0 = here.iter().copied().collect();
    core.apply(Operation::SetVhosts { ip: ip(HERE), vhosts: 0 }).unwrap();
    let flush = Flushing::Safe { parallel: Some(1) };
    core.apply(Operation::FlushHost { ip: ip(HERE), flush }).unwrap();
    core.drain();
    for _ in &here {
        core.live_on(500);
        let kicked = core.kicked();
        assert_eq!(kicked.len(), 1, "the flush goes on, and the drain waits for busy sessions");
        core.release_all(kicked);
        core.live_on(KICK_DELAY_SECS * 1000);
    }
    assert_eq!(core.core.flushes().count(), 0);
}

#[test]
fn several_backends_are_drained_at_once() {
    let mut core = Checked::new(table("10.1.0.1=100,10.1.0.2=100,10.1.0.3=100,10.1.0.4=100"));
    names().for_each(|name| drop(core.visit(&name)));
    core.drain();
    core.drain_with("10.1.0.1", draining());
    core.live_on(KICK_DELAY_SECS * 1000);
    let drains = core.core.drains(core.now);
    assert!(drains.iter().all(|drain| drain.state == DrainState::Safe && drain.moved > 0), "{drains:#?}");
    assert_eq!(drains.len(), 2);
    for name in names() {
        let ip = core.visit(&name);
        assert!(ip == "10.1.0.3" || ip == "10.1.0.4", "{ip}");
    }
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    let mut core = Checked::three();
    let mut refused = |text, draining| core.apply(Operation::Drain { ip: ip(text), draining }).unwrap_err();
    let nobody = Draining { parallel: Some(0), ..draining() };
    assert_eq!(refused(HERE, nobody), OperationError::NoParallelMoves);
    let never = Draining { per_sec: Some(0), ..draining() };
    assert_eq!(refused(HERE, never), OperationError::NoMovesPerSecond);
    let patient = Draining { grace: Some(DRAIN_GRACE_MAX + Duration::from_millis(1)), ..draining() };
    assert_eq!(refused(HERE, patient), OperationError::GraceTooLong);
    let unknown = ip("10.1.0.9");
    assert_eq!(refused("10.1.0.9", draining()), OperationError::UnknownHost(unknown));
    assert_eq!(core.core.drains(core.now), []);
    assert_eq!(core.core.hosts().get(ip(HERE)).unwrap().vhosts, 100);
}

#[test]
fn the_number_of_drains_is_bounded() {
    let hosts: Vec<_> = (0..=DRAINS_MAX).map(|n| format!("10.2.{}.{}=1", n / 250, n % 250)).collect();
    let mut core = Core::new(Moment::default(), table(&hosts.join(",")));
    let ips: Vec<_> = core.hosts().iter().map(|host| host.ip).collect();
    let mut apply = |operation| core.apply(Moment::default(), Origin::Operator, operation);
    let (last, others) = ips.split_last().unwrap();
    for ip in others {
        apply(Operation::Drain { ip: *ip, draining: draining() }).unwrap();
    }
    let one_more = Operation::Drain { ip: *last, draining: draining() };
    assert_eq!(apply(one_more.clone()), Err(OperationError::TooManyDrains));
    apply(Operation::StopDrain { ip: others[7], restore: true }).unwrap();
    apply(one_more).unwrap();
    assert_eq!(core.drains(Moment::default()).len(), DRAINS_MAX, "the one that ended is forgotten");
    assert_eq!(core.drain_of(Moment::default(), others[7]), None);
}

/// Many users keep nobody waiting: each step looks at some of them.
#[test]
fn each_step_of_a_drain_is_bounded() {
    let mut core = Core::new(Moment::from_millis(1_700_000_000_000), table(THREE));
    let now = Moment::from_millis(1_700_000_000_000);
    for n in 0..20_000 {
        let user = UserHash::from_number(n * 200_003);
        core.apply(now, Origin::Restored, Operation::MapUser { user, ip: ip(HERE) }).unwrap();
    }
    core.apply(now, Origin::Operator, Operation::Drain { ip: ip(HERE), draining: draining() }).unwrap();
    let later = now.after(Duration::from_secs(KICK_DELAY_SECS));
    let mut steps = 0;
    while core.next_step().is_some_and(|due| due <= later) {
        let ended = core.step(later).iter().filter(|action| matches!(action, Action::MoveEnded(_))).count();
        assert!(ended <= STEP_USERS_MAX, "{ended}");
        steps += 1;
    }
    assert!((40..60).contains(&steps), "{steps}");
    assert_eq!(core.drain_of(later, ip(HERE)).unwrap().state, DrainState::Safe);
}

#[test]
fn the_time_left_is_as_good_as_the_pace_so_far() {
    let mut core = Checked::three();
    let here = core.sessions_here();
    core.drain_with(HERE, Draining { parallel: Some(1), ..draining() });
    assert_eq!(core.progress().time_left(), None);
    core.live_on(1000);
    let kicked = core.kicked();
    core.release_all(kicked);
    core.live_on(3000);
    let expected = Duration::from_secs(4) * (here.len() as u32 - 1);
    assert_eq!(core.progress().time_left(), Some(expected));
}
