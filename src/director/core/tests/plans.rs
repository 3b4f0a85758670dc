//! Plans say what operations do: each test asks for a plan, does the operation, and compares.

use super::*;

impl Checked {
    fn plan(&self, operation: &Operation) -> Result<Plan, OperationError> {
        let before = format!("{:?}", self.core);
        let mut planner = self.core.begin_plan(self.now, Origin::Operator, operation)?;
        while planner.is_counting() {
            self.core.plan_some(self.now, &mut planner, 7);
        }
        assert_eq!(format!("{:?}", self.core), before, "nothing changes");
        Ok(planner.into_plan())
    }

    /// The rows that the moves under way and those that have been told make.
    fn begun(&mut self, operation: Operation) -> BTreeMap<(IpAddr, Option<IpAddr>), PlanCount> {
        let mut rows: BTreeMap<_, PlanCount> = BTreeMap::new();
        self.told.clear();
        self.apply(operation).unwrap();
        self.live_on(100);
        for action in std::mem::take(&mut self.told) {
            if let Action::MoveStarted(m) = action {
                let row = rows.entry((m.from, m.to)).or_default();
                row.users += 1;
                row.sessions += u64::from(m.sessions);
            }
        }
        rows
    }

    /// Thirty users with none to three sessions each.
    fn crowd(&mut self) {
        for n in 0..30 {
            let name = format!("user{n}");
            self.visit(&name);
            for _ in 0..n % 4 {
                self.enter(&name);
            }
        }
    }
}

fn rows(rows: &[PlanRow]) -> BTreeMap<(IpAddr, Option<IpAddr>), PlanCount> {
    rows.iter().map(|row| ((row.from, row.to), row.count)).collect()
}

fn crowd() -> Checked {
    let mut core = Checked::three();
    core.crowd();
    core
}

#[test]
fn a_plan_of_a_drain_is_what_it_does() {
    let mut core = crowd();
    let draining = Draining { per_sec: Some(1_000_000), parallel: Some(1_000_000), grace: None };
    let drain = Operation::Drain { ip: ip("10.1.0.2"), draining };
    let plan = core.plan(&drain).unwrap();
    assert!(plan.moves.len() == 2 && plan.moved().sessions > 5, "{plan:?}");
    assert_eq!((plan.kept, plan.later.len()), (PlanCount::default(), 0));
    assert_eq!(rows(&plan.moves), core.begun(drain));
}

#[test]
fn a_plan_of_a_drain_says_who_is_blocked() {
    let mut core = Checked::new(table("10.1.0.2=100,10.1.0.3=100(down)"));
    core.crowd();
    let drain = Operation::Drain { ip: ip("10.1.0.2"), draining: Draining::default() };
    let plan = core.plan(&drain).unwrap();
    assert_eq!((plan.moves.len(), plan.kept.users, plan.blocked.users), (0, 30, 30));
    assert_eq!(core.begun(drain), BTreeMap::new());
}

#[test]
fn a_plan_of_a_flush_is_what_it_does() {
    let flush = Flushing::Safe { parallel: Some(1_000_000) };
    let here = ip("10.1.0.2");
    for operation in [Operation::FlushHost { ip: here, flush }, Operation::FlushAll { tag: None, flush }] {
        let mut core = crowd();
        assert_eq!(core.plan(&operation).unwrap().moved(), PlanCount::default(), "all are where they belong");
        core.apply(Operation::SetVhosts { ip: here, vhosts: 10 }).unwrap();
        let plan = core.plan(&operation).unwrap();
        assert!(plan.moved().users > 3 && plan.kept.users > 0, "{plan:?}");
        let begun = core.begun(operation);
        assert_eq!(rows(&plan.moves), begun);
    }
}

/// Without a backend a flush kicks users and forgets them.
#[test]
fn a_plan_tells_of_users_who_would_be_nowhere() {
    let mut core = Checked::new(table("10.1.0.2=100"));
    core.crowd();
    core.apply(Operation::SetVhosts { ip: ip("10.1.0.2"), vhosts: 0 }).unwrap();
    let flush = Operation::FlushHost { ip: ip("10.1.0.2"), flush: Flushing::Safe { parallel: Some(100) } };
    let plan = core.plan(&flush).unwrap();
    assert_eq!((plan.moves.len(), plan.moves[0].to, plan.moved().users), (1, None, 30));
    assert_eq!(rows(&plan.moves), core.begun(flush));
}

#[test]
fn users_of_a_removed_backend_leave_without_a_kick() {
    let flush = Flushing::Forced;
    for operation in [
        Operation::RemoveHost { ip: ip("10.1.0.2") },
        Operation::SetTag { ip: ip("10.1.0.2"), tag: b"blue".to_vec() },
        Operation::FlushHost { ip: ip("10.1.0.2"), flush },
    ] {
        let mut core = crowd();
        let forced = matches!(operation, Operation::FlushHost { .. });
        let plan = core.plan(&operation).unwrap();
        assert_eq!(plan.moves, []);
        let later = PlanCount::default();
        let later = plan.later.iter().fold(later, |sum, row| PlanCount {
            users: sum.users + row.count.users,
            sessions: sum.sessions + row.count.sessions,
        });
        // A healthy backend gets its users back.
        assert_eq!((later.users == 0, plan.kept.users > 0), (forced, forced), "{plan:?}");
        assert!(plan.later.iter().all(|row| row.from == ip("10.1.0.2")), "{plan:?}");
        assert_eq!(core.begun(operation), BTreeMap::new());
    }
}

/// Mappings stay, so the plan says where users would be once they have ended.
#[test]
fn a_plan_of_a_new_weight_tells_who_would_be_elsewhere_later() {
    let here = ip("10.1.0.2");
    for operation in [Operation::SetVhosts { ip: here, vhosts: 0 }, Operation::Down { ip: here }] {
        let mut core = crowd();
        let plan = core.plan(&operation).unwrap();
        assert_eq!((plan.moves.len(), plan.kept), (0, PlanCount::default()));
        core.apply(operation).unwrap();
        let sessions: Vec<_> = core.live.keys().copied().collect();
        core.release_all(sessions);
        let mut expected: BTreeMap<_, u64> = BTreeMap::new();
        for n in 0..30 {
            let name = format!("user{n}");
            let from = core.whereabouts(&name).unwrap();
            let hashed = core.core.hashed(b"", core.hash(&name)).unwrap().to_string();
            if from != hashed {
                *expected.entry((ip(&from), Some(ip(&hashed)))).or_default() += 1;
            }
        }
        let users: BTreeMap<_, _> =
            plan.later.iter().map(|row| ((row.from, row.to), row.count.users)).collect();
        assert_eq!(users, expected);
    }
}

#[test]
fn a_plan_for_one_user_is_what_happens() {
    let mut core = crowd();
    let user = core.hash("user3");
    let from = ip(&core.whereabouts("user3").unwrap());
    let kick = core.plan(&Operation::KickUser { user }).unwrap();
    let count = PlanCount { users: 1, sessions: 3 };
    assert_eq!(kick.moves, [PlanRow { from, to: Some(from), count }]);

    let stay = core.plan(&Operation::MoveUser { user, ip: from }).unwrap();
    assert_eq!((stay.moves.len(), stay.kept), (0, count));
    let to = ip(if from == ip("10.1.0.1") { "10.1.0.2" } else { "10.1.0.1" });
    let go = Operation::MoveUser { user, ip: to };
    let plan = core.plan(&go).unwrap();
    assert_eq!(plan.moves, [PlanRow { from, to: Some(to), count }]);
    assert_eq!(rows(&plan.moves), core.begun(go.clone()));
    assert_eq!(core.plan(&go).unwrap().kept, count, "under way");
    let elsewhere = core.plan(&Operation::MoveUser { user, ip: from });
    assert_eq!(elsewhere, Err(OperationError::BeingMoved));

    let stranger = core.hash("stranger");
    assert_eq!(core.plan(&Operation::MoveUser { user: stranger, ip: to }).unwrap(), Plan::default());
}

/// What is refused is refused at once, in the same words.
#[test]
fn a_plan_is_refused_like_the_operation() {
    let (unknown, flush) = (ip("10.1.0.9"), Flushing::Safe { parallel: Some(0) });
    let here = ip("10.1.0.2");
    let no_moves = Draining { per_sec: Some(0), ..Draining::default() };
    let user = UserHash::from_number(1);
    let format = UsernameFormat::parse("%u").unwrap();
    let mut other = table(THREE);
    other.rules.naming.format = format;
    for operation in [
        Operation::Configure(other),
        Operation::SetVhosts { ip: here, vhosts: VHOSTS_MAX + 1 },
        Operation::AddHost { ip: here, hostname: None, tag: Some(b"blue".to_vec()), vhosts: None },
        Operation::RemoveHost { ip: unknown },
        Operation::FlushHost { ip: unknown, flush: Flushing::Forced },
        Operation::FlushHost { ip: here, flush },
        Operation::FlushAll { tag: None, flush },
        Operation::Drain { ip: unknown, draining: Draining::default() },
        Operation::Drain { ip: here, draining: no_moves },
        Operation::StopDrain { ip: here, restore: true },
        Operation::MoveUser { user, ip: unknown },
        Operation::MapUser { user, ip: unknown },
    ] {
        let mut core = crowd();
        let plan = core.plan(&operation).map(drop);
        let done = core.apply(operation.clone()).map(drop);
        assert_eq!(plan, done, "{operation:?}");
        assert!(done.is_err(), "{operation:?}");
    }
}

/// What is not in the table any more can still be emptied.
#[test]
fn a_removed_backend_with_users_has_plans() {
    let mut core = crowd();
    let here = ip("10.1.0.2");
    core.apply(Operation::RemoveHost { ip: here }).unwrap();
    let draining = Draining { per_sec: Some(1_000_000), ..Draining::default() };
    let flush = Operation::FlushHost { ip: here, flush: Flushing::Safe { parallel: None } };
    let drain = Operation::Drain { ip: here, draining };
    let plan = core.plan(&flush).unwrap();
    assert!(plan.moved().users > 3, "{plan:?}");
    assert_eq!(core.plan(&drain).unwrap(), plan);
    let forced = core.plan(&Operation::FlushHost { ip: here, flush: Flushing::Forced }).unwrap();
    assert_eq!(forced.moves, []);
    assert_eq!(rows(&plan.moves), core.begun(drain));
}
