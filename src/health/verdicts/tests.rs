//! Verdicts beside the director's own tables: what health checks do to them, and what they never do.

use std::num::NonZeroU32;

use super::*;
use crate::director::core::{
    Core, Flushing, Host as Backend, Naming, Operation, OperationError, Origin, Rules as CoreRules, Table,
    UsernameFormat,
};

const IMAP: Service = Service::Imap;
const POP3: Service = Service::Pop3;

/// A director with backends `10.0.0.1` and following, and their verdicts.
struct Site {
    core: Core,
    verdicts: Verdicts,
    now: Moment,
    /// Everything that was decided.
    log: Vec<Decision>,
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

fn rules() -> Rules {
    Rules {
        services: [IMAP].into(),
        limits: Hysteresis { fall: 3, rise: 2 },
        interval: Duration::from_secs(10),
        down_when: DownWhen::Any,
        down_users: DownUsers::Move,
        slow_start: Duration::ZERO,
    }
}

fn both() -> Rules {
    Rules { services: [IMAP, POP3].into(), ..rules() }
}

impl Site {
    fn new(backends: u8, rules: Rules) -> Self {
        Self::of((1..=backends).map(|n| Backend::new(ip(n), None, Vec::new())).collect(), rules)
    }

    fn of(hosts: Vec<Backend>, rules: Rules) -> Self {
        let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
        let core_rules = CoreRules {
            naming,
            expire: Duration::from_secs(900),
            kick_delay: Duration::ZERO,
            moves_max: NonZeroU32::new(100).unwrap(),
            flush_program: false,
        };
        let now = Moment::from_millis(1_000_000);
        let core = Core::new(now, Table { hosts, rules: core_rules });
        let mut site = Self { core, verdicts: Verdicts::new(rules, 1), now, log: Vec::new() };
        site.settle();
        site
    }

    fn apply(&mut self, origin: Origin, operation: Operation) -> Result<(), OperationError> {
        self.core.apply(self.now, origin, operation).map(|_| ())
    }

    fn operator(&mut self, operation: Operation) {
        self.apply(Origin::Operator, operation).unwrap();
    }

    /// As the service does it.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.verdicts.sync(self.now, &self.core.backend_rows());
            let decisions = self.verdicts.decide(self.now);
            if decisions.is_empty() {
                return;
            }
            for decision in decisions {
                self.perform(&decision);
                self.log.push(decision);
            }
        }
    }

    fn perform(&mut self, decision: &Decision) {
        let health = Origin::Health;
        match decision {
            Decision::TakeDown { ip, .. } => match self.apply(health, Operation::Down { ip: *ip }) {
                Ok(()) => {}
                Err(OperationError::LastUsable(_)) => {
                    self.verdicts.refused(*ip);
                }
                Err(error) => panic!("{error}"),
            },
            Decision::BringUp { ip } => self.apply(health, Operation::Up { ip: *ip }).unwrap(),
            Decision::Flush { ip } => {
                let flush = Flushing::Safe { parallel: None };
                self.apply(health, Operation::FlushHost { ip: *ip, flush }).unwrap();
                self.verdicts.flushed(*ip);
            }
            Decision::SetVhosts { ip, vhosts } => {
                self.apply(health, Operation::SetVhosts { ip: *ip, vhosts: *vhosts }).unwrap();
            }
            _ => {}
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.settle();
    }

    /// Checks with a result each, a second apart.
    fn check(&mut self, n: u8, service: Service, good: bool, times: u32) {
        for _ in 0..times {
            let seen = if good { Seen::Good } else { Seen::Bad("Connection refused".to_owned()) };
            self.now = self.now.after(Duration::from_secs(1));
            self.verdicts.checked(self.now, (ip(n), service), Some(seen), Duration::from_millis(3));
            self.settle();
        }
    }

    fn is_up(&self, n: u8) -> bool {
        self.core.hosts().get(ip(n)).unwrap().up
    }

    fn vhosts(&self, n: u8) -> u32 {
        self.core.hosts().get(ip(n)).unwrap().vhosts
    }

    fn count(&self, is_meant: impl Fn(&Decision) -> bool) -> usize {
        self.log.iter().filter(|decision| is_meant(decision)).count()
    }
}

#[test]
fn w11_a_dead_backend_is_taken_down_and_its_users_move() {
    let mut site = Site::new(3, rules());
    site.check(1, IMAP, false, 3);
    assert!(site.is_up(1), "whether others are reached is not known yet");
    site.check(2, IMAP, true, 1);
    assert!(!site.is_up(1));
    let why = "imap: 3 checks failed (Connection refused)".to_owned();
    assert_eq!(site.log, [Decision::TakeDown { ip: ip(1), why }, Decision::Flush { ip: ip(1) }]);
    site.check(1, IMAP, true, 1);
    assert!(!site.is_up(1));
    site.check(1, IMAP, true, 1);
    assert!(site.is_up(1) && site.vhosts(1) == 100);
}

#[test]
fn users_stay_where_the_setting_says_so() {
    let mut site = Site::new(2, Rules { down_users: DownUsers::Stay, ..rules() });
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    assert!(!site.is_up(1));
    assert_eq!(site.count(|decision| matches!(decision, Decision::Flush { .. })), 0);
}

#[test]
fn others_are_asked_at_once_whether_they_are_reached() {
    let mut site = Site::new(2, rules());
    site.check(2, IMAP, true, 1);
    site.verdicts.due(site.now.after(Duration::from_secs(20)));
    for n in [1, 2] {
        site.check(n, IMAP, true, 1);
    }
    assert_eq!(site.verdicts.due(site.now.after(Duration::from_secs(2))), []);
    site.check(1, IMAP, false, 3);
    let due = site.verdicts.due(site.now);
    assert!(due.contains(&(ip(2), IMAP)), "{due:?}");
}

#[test]
fn when_everything_fails_nobody_is_taken_down() {
    let mut site = Site::new(3, rules());
    for _ in 0..5 {
        (1..=3).for_each(|n| site.check(n, IMAP, false, 1));
    }
    site.wait(Duration::from_secs(600));
    assert!((1..=3).all(|n| site.is_up(n)));
    let suspected = Decision::Suspect { tag: Vec::new(), service: IMAP, failed: 3, of: 3 };
    assert_eq!(site.log.last(), Some(&suspected), "{:?}", site.log);
    assert_eq!(site.count(|decision| matches!(decision, Decision::Suspect { .. })), 1, "told once");
    // One after the other comes back: nobody is blamed for being the second.
    site.check(2, IMAP, true, 2);
    assert!((1..=3).all(|n| site.is_up(n)));
    site.check(1, IMAP, true, 2);
    site.check(3, IMAP, true, 2);
    assert!((1..=3).all(|n| site.is_up(n)));
    assert_eq!(site.log.last(), Some(&Decision::Relieved { tag: Vec::new(), service: IMAP }));
}

#[test]
fn who_stays_dead_when_others_come_back_is_taken_down() {
    let mut site = Site::new(2, rules());
    for _ in 0..5 {
        (1..=2).for_each(|n| site.check(n, IMAP, false, 1));
    }
    site.check(2, IMAP, true, 2);
    assert!(site.is_up(1), "it may be about to come back");
    site.check(1, IMAP, false, 1);
    assert!(!site.is_up(1) && site.is_up(2));
}

#[test]
fn many_failures_at_once_are_taken_for_ours_for_a_while() {
    let mut site = Site::new(3, rules());
    for _ in 0..3 {
        (1..=2).for_each(|n| site.check(n, IMAP, false, 1));
        site.check(3, IMAP, true, 1);
    }
    assert!((1..=3).all(|n| site.is_up(n)));
    assert!(site.count(|decision| matches!(decision, Decision::Suspect { .. })) == 1);
    site.wait(blame::LARGE_FAILURE_TIME);
    site.check(3, IMAP, true, 1);
    (1..=2).for_each(|n| site.check(n, IMAP, false, 1));
    assert!(!site.is_up(1) && !site.is_up(2) && site.is_up(3), "others are reached all the time");
}

#[test]
fn a_few_failures_at_once_are_theirs_once_the_others_are_reached() {
    let mut site = Site::new(5, rules());
    for _ in 0..3 {
        (1..=2).for_each(|n| site.check(n, IMAP, false, 1));
    }
    site.check(3, IMAP, true, 1);
    assert!(site.is_up(1) && site.is_up(2), "two against one, and two who have not answered yet");
    site.check(4, IMAP, true, 1);
    assert!(!site.is_up(1) && !site.is_up(2));
    assert_eq!(site.count(|decision| matches!(decision, Decision::Suspect { .. })), 0);
}

#[test]
fn who_was_reached_before_proves_nothing() {
    let mut site = Site::new(2, rules());
    site.check(1, IMAP, false, 1);
    site.check(2, IMAP, true, 1);
    site.check(1, IMAP, false, 2);
    site.check(2, IMAP, false, 3);
    assert!(site.is_up(1) && site.is_up(2), "the cable was cut in between");
}

#[test]
fn the_last_usable_one_with_its_tag_stays_up() {
    let mut site = Site::new(2, rules());
    site.operator(Operation::SetVhosts { ip: ip(2), vhosts: 0 });
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    site.check(1, IMAP, false, 9);
    assert!(site.is_up(1));
    let mut alone = Site::new(1, rules());
    alone.check(1, IMAP, false, 9);
    assert!(alone.is_up(1));
    assert_eq!(alone.count(|decision| matches!(decision, Decision::Stays { .. })), 1, "told once");
}

#[test]
fn tags_are_judged_apart() {
    let tagged = |n: u8, tag: &str| Backend::new(ip(n), None, tag.into());
    let mut site = Site::of(vec![tagged(1, "a"), tagged(2, "a"), tagged(3, "b")], rules());
    for _ in 0..5 {
        (1..=2).for_each(|n| site.check(n, IMAP, false, 1));
        site.check(3, IMAP, true, 1);
    }
    assert!((1..=3).all(|n| site.is_up(n)), "the one of another tag proves nothing");
}

#[test]
fn one_failed_protocol_is_enough_unless_all_must_fail() {
    let mut any = Site::new(2, both());
    let mut all = Site::new(2, Rules { down_when: DownWhen::All, ..both() });
    for site in [&mut any, &mut all] {
        for service in [IMAP, POP3] {
            site.check(2, service, true, 1);
        }
        site.check(1, POP3, true, 3);
        site.check(1, IMAP, false, 3);
        site.check(2, IMAP, true, 1);
    }
    assert!(!any.is_up(1));
    assert!(all.is_up(1));
    all.check(1, POP3, false, 3);
    all.check(2, POP3, true, 1);
    assert!(!all.is_up(1));
    all.check(1, POP3, true, 2);
    assert!(all.is_up(1), "one protocol works again");
    any.check(1, IMAP, true, 2);
    assert!(any.is_up(1));
}

#[test]
fn a_test_user_that_is_refused_everywhere_takes_nobody_down() {
    let mut site = Site::new(4, both());
    for _ in 0..5 {
        for n in 1..=4 {
            site.check(n, POP3, true, 1);
            site.check(n, IMAP, false, 1);
        }
    }
    assert!((1..=4).all(|n| site.is_up(n)), "the other protocol proves nothing");
}

#[test]
fn the_operators_down_is_never_undone() {
    let mut site = Site::new(3, rules());
    site.operator(Operation::Down { ip: ip(1) });
    site.check(1, IMAP, true, 5);
    assert!(!site.is_up(1));
    // Neither if the checks had said it first.
    site.check(2, IMAP, false, 3);
    site.check(3, IMAP, true, 1);
    assert!(!site.is_up(2));
    site.operator(Operation::Down { ip: ip(2) });
    site.check(2, IMAP, true, 5);
    assert!(!site.is_up(2), "a person has said so since");
    site.operator(Operation::Up { ip: ip(2) });
    assert!(site.is_up(2));
}

#[test]
fn the_operators_up_holds_until_checks_fail_anew() {
    let mut site = Site::new(2, rules());
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    assert!(!site.is_up(1));
    site.operator(Operation::Up { ip: ip(1) });
    site.settle();
    assert!(site.is_up(1));
    site.check(1, IMAP, false, 2);
    site.check(2, IMAP, true, 1);
    assert!(site.is_up(1), "not enough of them yet");
    site.check(1, IMAP, false, 1);
    site.check(2, IMAP, true, 1);
    assert!(!site.is_up(1));
}

#[test]
fn a_recovered_backend_gets_its_weight_back_in_steps() {
    let mut site = Site::new(2, Rules { slow_start: Duration::from_secs(40), ..rules() });
    site.operator(Operation::SetVhosts { ip: ip(1), vhosts: 50 });
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    site.check(1, IMAP, true, 2);
    assert!(site.is_up(1));
    let mut seen = vec![site.vhosts(1)];
    for _ in 0..50 {
        site.wait(Duration::from_secs(1));
        seen.push(site.vhosts(1));
    }
    seen.dedup();
    assert_eq!(seen, [10, 20, 30, 40, 50]);
}

#[test]
fn the_operators_weight_ends_a_slow_start() {
    let mut site = Site::new(2, Rules { slow_start: Duration::from_secs(40), ..rules() });
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    site.check(1, IMAP, true, 2);
    site.wait(Duration::from_secs(11));
    assert_eq!(site.vhosts(1), 40);
    site.operator(Operation::SetVhosts { ip: ip(1), vhosts: 7 });
    site.wait(Duration::from_secs(100));
    assert_eq!(site.vhosts(1), 7);
    assert_eq!(site.count(|decision| matches!(decision, Decision::SlowStartOver { .. })), 1);
}

#[test]
fn a_slow_start_that_is_cut_short_leaves_the_whole_weight() {
    let mut site = Site::new(2, Rules { slow_start: Duration::from_secs(40), ..rules() });
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    site.check(1, IMAP, true, 2);
    assert_eq!(site.vhosts(1), 20);
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    assert_eq!((site.is_up(1), site.vhosts(1)), (false, 100));
    site.check(1, IMAP, true, 2);
    let left = site.verdicts.wind_up();
    assert_eq!(left, [Decision::SetVhosts { ip: ip(1), vhosts: 100 }]);
}

#[test]
fn backends_come_and_go() {
    let mut site = Site::new(2, rules());
    site.operator(Operation::RemoveHost { ip: ip(1) });
    let new = Operation::AddHost { ip: ip(9), hostname: None, tag: None, vhosts: None };
    site.operator(new);
    site.settle();
    let known: Vec<_> = site.verdicts.rows().iter().map(|row| row.ip).collect();
    assert_eq!(known, [ip(2), ip(9)]);
    let due = site.verdicts.due(site.now.after(Duration::from_secs(10)));
    assert_eq!(due, [(ip(2), IMAP), (ip(9), IMAP)]);
    // A check of one that is gone meanwhile.
    site.check(1, IMAP, false, 1);
}

#[test]
fn other_rules_forget_no_verdict() {
    let mut site = Site::new(2, both());
    site.check(1, IMAP, false, 3);
    site.check(2, IMAP, true, 1);
    site.verdicts.set_rules(rules());
    site.settle();
    let rows = site.verdicts.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(!rows[0].up && rows[1].up && !site.is_up(1));
    assert_eq!(rows[0].last_error.as_deref(), Some("Connection refused"));
    assert_eq!(rows[0].latency, Some(Duration::from_millis(3)));
}

#[test]
fn what_an_earlier_run_has_taken_down_must_prove_itself() {
    let mut site = Site::new(2, rules());
    site.apply(Origin::Health, Operation::Down { ip: ip(1) }).unwrap();
    let mut later = Site { verdicts: Verdicts::new(rules(), 2), log: Vec::new(), ..site };
    later.settle();
    assert!(!later.is_up(1));
    assert_eq!(later.log, [Decision::Flush { ip: ip(1) }]);
    later.check(1, IMAP, true, 2);
    assert!(later.is_up(1));
}

#[test]
fn checks_do_not_come_all_at_once() {
    let mut site = Site::new(100, rules());
    let mut most = 0;
    for _ in 0..100 {
        site.now = site.now.after(Duration::from_millis(100));
        most = most.max(site.verdicts.due(site.now).len());
    }
    assert!(most > 0 && most <= 10, "{most} at once");
}

/// Whatever happens: what a person has taken down stays down, and who is taken down has failed often enough while
/// another one was reached.
#[test]
fn whatever_happens_the_rules_hold() {
    bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|steps| {
        let mut site = Site::new(4, rules());
        for (what, n) in steps {
            let n = n % 4 + 1;
            let before = site.log.len();
            let operator_down = |site: &Site, n: u8| {
                let rows = site.core.backend_rows();
                let row = rows.iter().find(|row| row.host.ip == ip(n)).unwrap();
                !row.host.up && row.changed.is_some_and(|(_, origin)| origin == Origin::Operator)
            };
            let held: Vec<_> = (1..=4).filter(|n| operator_down(&site, *n)).collect();
            let mut said = None;
            match what % 8 {
                0..=2 => site.check(n, IMAP, false, 1),
                3 | 4 => site.check(n, IMAP, true, 1),
                5 => site.wait(Duration::from_secs(u64::from(*what))),
                6 => {
                    said = Some(n);
                    site.operator(Operation::Up { ip: ip(n) });
                }
                _ => {
                    said = Some(n);
                    site.operator(Operation::Down { ip: ip(n) });
                }
            }
            site.settle();
            for n in held.into_iter().filter(|n| said != Some(*n)) {
                assert!(!site.is_up(n), "a person has taken {n} down");
            }
            for decision in &site.log[before..] {
                let Decision::TakeDown { ip: taken, .. } = decision else { continue };
                let watch = site.verdicts.watch(*taken, IMAP).unwrap();
                assert!(watch.is_down() && watch.failures() > 0);
                let reached = (1..=4).filter(|other| ip(*other) != *taken).any(|other| {
                    let other = site.verdicts.watch(ip(other), IMAP).unwrap();
                    other.working_at().is_some_and(|last| last > watch.fallen_at())
                });
                assert!(reached, "nobody else was reached");
            }
            assert!(site.core.contradictions().is_empty());
        }
    });
}
