//! The model's side of drains: what they may do at each step, and what they must have done in the end.

use std::net::IpAddr;

use homing::director::core::{
    Action, Activity, Core, DRAIN_GRACE, DRAIN_PER_SEC, DRAIN_QUIET, DrainEnd, DrainState, Draining, Host,
    Moment, Movement, Operation, OperationError, Origin, SessionKey,
};

use super::{
    driver::Sim,
    model::{Backend, Life, Model, Who},
    random::Random,
};

/// A backend that is being emptied.
#[derive(Debug)]
pub struct Emptying {
    pub ip: IpAddr,
    pub origin: Origin,
    pub began: u64,
    /// The weight before, if it is 0 by now.
    pub before: Option<u32>,
    pub limits: Draining,
    /// When users with sessions were moved.
    pub moves: Vec<u64>,
    pub moved: u64,
    pub told: Option<DrainState>,
}

/// What the world knows of sessions; those that are not here are in the middle of something.
impl Activity for Model {
    fn quiet_since(&self, session: SessionKey) -> Option<Moment> {
        self.quiet.get(&session).map(|since| Moment::from_millis(*since))
    }
}

impl Model {
    /// What the answer to a drain should be; the model follows.
    pub fn order_drain(&mut self, ip: IpAddr, limits: Draining) -> Result<(), OperationError> {
        let is_held = |at: usize| self.people.iter().any(|p| p.backend == at && p.is_held());
        let in_use = |at: usize| self.ip_of(at) == ip && (self.backends[at].in_table || is_held(at));
        if !(0..self.backends.len()).any(in_use) {
            return Err(OperationError::UnknownHost(ip));
        }
        if limits.parallel == Some(0) {
            return Err(OperationError::NoParallelMoves);
        }
        if limits.per_sec == Some(0) {
            return Err(OperationError::NoMovesPerSecond);
        }
        if let Some(known) = self.drains.iter_mut().find(|drain| drain.ip == ip) {
            known.limits = limits;
            known.moves.clear();
            return Ok(());
        }
        let (origin, began) = (Origin::Operator, self.now);
        self.drains.push(Emptying {
            ip,
            origin,
            began,
            before: None,
            limits,
            moves: Vec::new(),
            moved: 0,
            told: None,
        });
        self.drains.sort_by_key(|drain| drain.ip);
        // A backend that was removed has no weight to be given back.
        self.review_drains(Origin::Operator);
        Ok(())
    }

    pub fn order_stop(&mut self, ip: IpAddr, restore: bool) -> Result<(), OperationError> {
        let at = self.drains.iter().position(|drain| drain.ip == ip);
        let drain = &self.drains[at.ok_or(OperationError::UnknownDrain(ip))?];
        if let Some((at, vhosts)) = self.in_table(ip).zip(drain.before).filter(|_| restore) {
            self.backends[at].host.vhosts = vhosts;
            self.version += 1;
        }
        self.owed_ends.push((ip, DrainEnd::Stopped(Origin::Operator)));
        Ok(())
    }

    /// Drains of backends that are used again are over.
    pub fn review_drains(&mut self, origin: Origin) {
        for at in 0..self.drains.len() {
            let ip = self.drains[at].ip;
            match self.in_table(ip) {
                None => {
                    self.drains[at].before.get_or_insert(0);
                }
                Some(host) if self.drains[at].before.is_some() && self.backends[host].host.vhosts > 0 => {
                    self.owe_end(ip, DrainEnd::BackInUse(origin));
                }
                Some(_) => {}
            }
        }
    }

    pub fn owe_end(&mut self, ip: IpAddr, end: DrainEnd) {
        if self.drains.iter().any(|drain| drain.ip == ip)
            && self.owed_ends.iter().all(|(owed, _)| *owed != ip)
        {
            self.owed_ends.push((ip, end));
        }
    }

    /// The weight may go to 0 if that leaves new users a place, or takes none away.
    pub fn can_close(&self, drain: &Emptying) -> bool {
        let Some(at) = self.in_table(drain.ip).filter(|_| drain.before.is_none()) else { return false };
        !self.backends[at].host.is_usable() || self.has_another(drain.ip, self.tag_of(at))
    }

    fn has_another(&self, ip: IpAddr, tag: &str) -> bool {
        let serves = |host: &Host| host.ip != ip && host.is_usable() && host.tag == tag.as_bytes();
        self.backends.iter().any(|backend| backend.in_table && serves(&backend.host))
    }

    /// Nobody is there, comes there, or leaves.
    pub fn is_safe(&self, ip: IpAddr) -> bool {
        let closed = self.in_table(ip).is_none_or(|at| self.backends[at].host.vhosts == 0);
        let is_there = |at: usize| self.ip_of(at) == ip;
        let is_left = |b: &Backend| b.host.ip == ip && !b.in_table && b.left.is_some();
        closed
            && !self.backends.iter().any(is_left)
            && !self.people.iter().any(|p| is_there(p.backend) || (p.life != Life::Settled && p.from == ip))
    }

    /// Somebody is there, and none of them can go anywhere else.
    fn is_blocked(&self, ip: IpAddr) -> bool {
        let mut there = self.people.iter().filter(|p| self.ip_of(p.backend) == ip).peekable();
        match there.peek() {
            Some(_) => !there.any(|person| self.has_another(ip, person.who.0)),
            None => self.in_table(ip).is_some_and(|at| self.backends[at].host.vhosts > 0),
        }
    }

    /// The weight was set to 0 by a drain, not by the operation of this step.
    pub fn hear_change(&mut self, before: &Host, after: &Host, origin: Origin) {
        let Some(at) = self.in_table(after.ip).filter(|at| self.backends[*at].host.vhosts != after.vhosts)
        else {
            return;
        };
        let drain = self.drains.iter().position(|drain| drain.ip == after.ip);
        let drain = drain.unwrap_or_else(|| panic!("{before:?} became {after:?} for nothing"));
        assert!(self.can_close(&self.drains[drain]) && after.vhosts == 0, "{after:?}");
        assert_eq!(self.drains[drain].origin, origin);
        self.drains[drain].before = Some(self.backends[at].host.vhosts);
        self.backends[at].host.vhosts = 0;
        self.version += 1;
    }

    /// A weight of 0 leaves nothing to be changed, so nothing is told.
    pub fn close_weightless(&mut self) {
        for at in 0..self.drains.len() {
            let host = self.in_table(self.drains[at].ip).map(|host| self.backends[host].host.vhosts);
            if host == Some(0) && self.drains[at].before.is_none() {
                self.drains[at].before = Some(0);
            }
        }
    }

    /// A move by a drain: allowed, in its turn, and not too fast.
    pub fn hear_drained(&mut self, who: Who, movement: &Movement) {
        let now = self.now;
        let person = self.people.iter().find(|person| person.who == who).unwrap().clone();
        assert_eq!(person.life, Life::Settled, "{movement:?}");
        let target = self.flush_target(&person).unwrap_or_else(|| panic!("{person:?} belongs there"));
        assert!(target.is_some() && target == movement.to, "{movement:?}, not to {target:?}");
        let away = self.people.iter().filter(|p| p.life != Life::Settled && p.from == movement.from);
        let running = away.filter(|p| !matches!(p.life, Life::Ending { stuck: true, .. })).count() as u64;
        let (most, quiet_time) = (self.moves_max, DRAIN_QUIET.as_millis() as u64);
        let is_busy = person
            .sessions
            .iter()
            .any(|session| self.quiet.get(session).is_none_or(|since| since + quiet_time > now));
        let drain = self.drains.iter_mut().find(|drain| drain.ip == movement.from);
        let drain = drain.unwrap_or_else(|| panic!("{movement:?} but no drain"));
        assert!(running < drain.limits.parallel.map_or(most, u64::from), "too many at once: {movement:?}");
        if movement.sessions == 0 {
            return;
        }
        let grace = drain.limits.grace.unwrap_or(DRAIN_GRACE).as_millis() as u64;
        assert!(!is_busy || now >= drain.began + grace, "{person:?} is busy");
        let per_sec = u64::from(drain.limits.per_sec.unwrap_or(DRAIN_PER_SEC.get()));
        drain.moves.push(now);
        let lately = drain.moves.iter().filter(|at| **at + 1000 > now).count() as u64;
        assert!(lately <= per_sec + 1 + per_sec / 10, "too fast: {drain:?}");
    }

    /// What is told of a drain is so at that moment.
    pub fn hear_drain_state(&mut self, ip: IpAddr, state: DrainState) {
        let at = self.drains.iter().position(|drain| drain.ip == ip);
        let at = at.unwrap_or_else(|| panic!("{state:?} of {ip}, which is not drained"));
        assert_ne!(self.drains[at].told, Some(state), "{ip} twice");
        self.drains[at].told = Some(state);
        match state {
            DrainState::Ended(DrainEnd::Removed) => {
                assert!(self.is_safe(ip) && self.in_table(ip).is_none(), "{ip}");
                self.drains.remove(at);
            }
            DrainState::Ended(end) => {
                let owed = self.owed_ends.iter().position(|owed| *owed == (ip, end));
                self.owed_ends
                    .remove(owed.unwrap_or_else(|| panic!("{end:?} of {ip}: {:?}", self.owed_ends)));
                self.drains.remove(at);
            }
            DrainState::Safe => assert!(self.is_safe(ip), "{ip} is not safe"),
            DrainState::Blocked => assert!(self.is_blocked(ip), "{ip} is not blocked"),
            DrainState::Waiting { until } => assert!(until.millis() > self.now, "{ip}"),
            DrainState::Moving => {
                assert!(!self.is_safe(ip), "{ip} is safe: {:?}", self.people);
                assert!(!self.is_blocked(ip), "{ip} is blocked: {:?} {:?}", self.people, self.backends);
            }
        }
    }

    /// A user has left.
    pub fn note_left(&mut self, movement: &Movement) {
        if let Some(drain) =
            self.drains.iter_mut().find(|d| d.ip == movement.from && movement.to != Some(d.ip))
        {
            drain.moved += 1;
        }
    }

    /// Whatever the core says of drains and of safety, the model agrees. Expired mappings may be in the core's way until
    /// it looks at the time.
    pub fn check_drains(&self, core: &Core, is_settled: bool) {
        let now = Moment::from_millis(self.now);
        let known: Vec<_> = core.drains(now).into_iter().filter(|drain| !drain.is_over()).collect();
        assert_eq!(known.len(), self.drains.len(), "{known:?}, {:?}", self.drains);
        for (known, drain) in known.iter().zip(&self.drains) {
            assert_eq!((known.ip, known.moved), (drain.ip, drain.moved));
            assert_eq!(known.vhosts_before, drain.before, "{known:?}");
            let there = self.people.iter().filter(|p| self.ip_of(p.backend) == drain.ip);
            assert_eq!(known.sessions_left, there.clone().map(|p| p.sessions.len() as u64).sum::<u64>());
            let away = self.people.iter().filter(|p| p.life != Life::Settled && p.from == drain.ip);
            assert_eq!(known.moving, away.count() as u64);
            assert!(known.users_left >= there.clone().count() as u64);
            assert!(!is_settled || known.users_left == there.count() as u64, "{known:?}");
            assert!(!is_settled || !self.can_close(drain), "{drain:?} could be closed");
            assert!(
                !is_settled || drain.told.unwrap_or(DrainState::Moving) == known.state,
                "{known:?}, {drain:?}"
            );
        }
        for ip in (1..=super::model::HOSTS + 1).map(super::model::address) {
            let (told, is) = (core.is_safe_to_power_off(now, ip), self.is_safe(ip));
            assert!(if is_settled { told == is } else { is || !told }, "{ip}: told {told}, is {is}");
        }
        assert!(self.owed_ends.is_empty(), "not ended: {:?}", self.owed_ends);
    }

    /// After all grace and patience nobody is left who could go elsewhere, but those who do not end.
    fn check_emptied(&self) {
        for person in self.people.iter().filter(|person| person.life == Life::Settled) {
            let ip = self.ip_of(person.backend);
            let is_drained = self.drains.iter().any(|drain| drain.ip == ip);
            assert!(!is_drained || !self.has_another(ip, person.who.0), "{person:?} was left behind");
        }
    }
}

/// Time enough for the most patient drain.
pub fn wait_for_drains(sim: &mut Sim) {
    if sim.model.drains.is_empty() {
        return;
    }
    for _ in 0..40 {
        sim.clock = sim.model.now + super::model::PATIENCE + 1000;
        sim.model.pass_to(sim.clock);
        for _ in 0..4 {
            sim.clock += 1000;
            sim.model.pass_to(sim.clock);
            sim.look_at_the_time();
        }
    }
    sim.model.check_emptied();
}

pub fn drain(sim: &mut Sim, ip: IpAddr) {
    let random = &mut sim.random;
    let limit = |random: &mut Random| (!random.one_in(3)).then(|| random.below(5) as u32);
    let (parallel, per_sec) = (limit(random), limit(random));
    let grace = (!random.one_in(3)).then(|| std::time::Duration::from_secs(random.below(20)));
    let draining = Draining { parallel, per_sec, grace };
    let expected = sim.model.order_drain(ip, draining);
    sim.seen.drains += u64::from(expected.is_ok());
    sim.apply(Origin::Operator, Operation::Drain { ip, draining }, expected);
}

pub fn stop(sim: &mut Sim, ip: IpAddr) {
    let restore = sim.random.one_in(2);
    let ip = sim.model.drains.first().map_or(ip, |drain| drain.ip);
    let expected = sim.model.order_stop(ip, restore);
    sim.apply(Origin::Operator, Operation::StopDrain { ip, restore }, expected);
}

/// A session says something, or is answered.
pub fn traffic(sim: &mut Sim) {
    let live: Vec<_> = sim.live.keys().copied().collect();
    if live.is_empty() {
        return;
    }
    let session = *sim.random.one(&live);
    if sim.random.one_in(3) {
        sim.model.quiet.remove(&session);
    } else {
        sim.model.quiet.insert(session, sim.model.now);
    }
}

/// What of the core's actions is about drains.
pub fn hear(model: &mut Model, action: &Action) {
    match action {
        Action::HostChanged { before, after, origin } => model.hear_change(before, after, *origin),
        Action::DrainChanged { ip, state } => model.hear_drain_state(*ip, *state),
        Action::MoveEnded(movement) => model.note_left(movement),
        _ => {}
    }
    model.close_weightless();
}
