//! One history: random operations on the core and the model side by side. It is also the world: it knows the sessions
//! that live, whatever core and model believe, and checks behind every step that no user is on two backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use homing::director::core::{
    Action, Cause, Core, DrainEnd, DrainState, FlushRun, ForeignUse, Moment, Operation, OperationError,
    Origin, SessionKey, Table, UserCursor, UserHash, Wait,
};

use super::{
    drains,
    model::{Life, Model, Who},
    plans,
    random::Random,
    restart::Written,
};

/// How often the interesting things happened; a simulation that does not reach them proves nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub placed: u64,
    pub placed_on_leaving: u64,
    pub no_host: u64,
    pub moving: u64,
    pub flushing: u64,
    pub delayed: u64,
    pub leaving: u64,
    pub stuck: u64,
    pub refused: u64,
    pub moved: u64,
    pub flushed: u64,
    pub nowhere: u64,
    pub ended_flushes: u64,
    pub aborted: u64,
    pub forgotten: u64,
    pub restarts: u64,
    pub restarted_moves: u64,
    pub outlived: u64,
    pub outlived_moving: u64,
    pub drains: u64,
    pub drained: u64,
    pub drained_held: u64,
    pub drains_waited: u64,
    pub drains_blocked: u64,
    pub drains_safe: u64,
    pub drains_contradicted: u64,
    pub plans: u64,
}

pub struct Sim {
    pub core: Core,
    pub model: Model,
    pub random: Random,
    /// What the core is told; may go back.
    pub clock: u64,
    pub live: BTreeMap<SessionKey, (Who, IpAddr)>,
    pub kicked: BTreeSet<SessionKey>,
    /// Sessions that do not end before the end of the history.
    pub immortal: BTreeSet<SessionKey>,
    /// Sessions of other programs, one of a user at most.
    pub foreign: BTreeSet<SessionKey>,
    pub runs: Vec<FlushRun>,
    /// Logins that were told to wait and not woken since.
    pub waiting: BTreeSet<Who>,
    pub seen: Seen,
    /// What an attentive writer has written down.
    pub written: Written,
    /// What was done, if somebody wants to know.
    pub trace: Option<Vec<String>>,
}

impl Sim {
    pub fn new(seed: u64, random: Random, table: Table, model: Model, traced: bool) -> Self {
        let clock = 1_700_000_000_000 + seed % 1000;
        let mut core = Core::new(Moment::from_millis(clock), table);
        Self {
            written: Written::begin(&mut core),
            core,
            model,
            random,
            clock,
            live: BTreeMap::new(),
            kicked: BTreeSet::new(),
            immortal: BTreeSet::new(),
            foreign: BTreeSet::new(),
            runs: Vec::new(),
            waiting: BTreeSet::new(),
            seen: Seen::default(),
            trace: traced.then(Vec::new),
        }
    }

    pub fn now(&self) -> Moment {
        Moment::from_millis(self.clock)
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    pub fn login(&mut self, who: Who) {
        let expected = self.model.answer(who);
        let has_foreign = self.foreign.iter().any(|session| self.live[session].0 == who);
        let is_foreign = !has_foreign && self.random.one_in(4);
        let (now, tag) = (self.now(), who.0.as_bytes());
        let got = match is_foreign {
            true => self.core.place_foreign(now, tag, who.1, ForeignUse::Session),
            false => self.core.place(now, tag, who.1),
        };
        self.note(|| format!("login {who:?}: {got:?}"));
        match got {
            Ok(placed) => {
                let ip = placed.host.ip;
                assert_eq!(expected.map(|backend| self.model.ip_of(backend)), Ok(ip), "place of {who:?}");
                let backend = expected.unwrap();
                self.seen.placed += 1;
                self.seen.placed_on_leaving += u64::from(!self.model.backends[backend].in_table);
                assert!(self.live.insert(placed.session, (who, ip)).is_none(), "sessions are unique");
                self.model.enter(who, backend, placed.session);
                self.waiting.remove(&who);
                if is_foreign {
                    self.foreign.insert(placed.session);
                }
                if self.random.one_in(12) {
                    self.immortal.insert(placed.session);
                }
            }
            Err(wait) => {
                assert_eq!(expected.map(|backend| self.model.ip_of(backend)), Err(wait), "place of {who:?}");
                match wait {
                    Wait::NoHost => self.seen.no_host += 1,
                    Wait::Moving { .. } => self.seen.moving += 1,
                    Wait::Flushing => self.seen.flushing += 1,
                    Wait::KickDelay { until } => {
                        self.seen.delayed += 1;
                        if self.model.leavers.iter().any(|leaver| leaver.who == who) {
                            self.seen.leaving += 1;
                            self.model.alarms.push((who, until.millis()));
                        }
                    }
                }
                self.waiting.insert(who);
            }
        }
        self.check();
    }

    pub fn release(&mut self, session: SessionKey) {
        self.live.remove(&session);
        self.kicked.remove(&session);
        self.immortal.remove(&session);
        self.foreign.remove(&session);
        self.model.leave(session);
        let actions = self.core.release(self.now(), session);
        self.note(|| format!("release {session:?}: {actions:?}"));
        self.hear(&actions);
    }

    /// Applies an operation; the model has been told and expects this outcome.
    pub fn apply(&mut self, origin: Origin, operation: Operation, expected: Result<(), OperationError>) {
        let plan = plans::plan(self, origin, &operation);
        assert_eq!(plan.as_ref().map(drop), expected.as_ref().map(drop), "plan of {operation:?}");
        let outcome = self.core.apply(self.now(), origin, operation.clone());
        self.note(|| format!("{origin}: {operation:?}: {outcome:?}"));
        assert_eq!(outcome.as_ref().map(drop), expected.as_ref().map(drop), "{operation:?}");
        self.seen.refused += u64::from(outcome.is_err());
        self.hear(&outcome.unwrap_or_default());
    }

    /// Does what is due, as the timer of a service would.
    pub fn look_at_the_time(&mut self) {
        let mut rounds = 0;
        while self
            .core
            .next_step()
            .is_some_and(|due| due <= self.now().max(Moment::from_millis(self.model.now)))
        {
            rounds += 1;
            assert!(rounds < 1000, "steps without end");
            self.model.look_at_the_time();
            let actions = self.core.step_among(self.now(), &self.model);
            self.note(|| format!("step: {actions:?}"));
            self.hear(&actions);
        }
        self.model.check_drains(&self.core, true);
        assert!(self.model.flow_with_room().is_none(), "a flush does not go on: {:?}", self.model.flows);
    }

    pub fn hear(&mut self, actions: &[Action]) {
        for action in actions {
            self.model.hear(&self.core, action);
            match action {
                Action::Kick { session } => {
                    assert!(self.live.contains_key(session), "{session:?} is kicked but has ended");
                    self.kicked.insert(*session);
                }
                Action::Wake { user } => self.waiting.retain(|who| who.1 != *user),
                Action::WakeAll => self.waiting.clear(),
                Action::RunFlush(program) => self.runs.push(program.run),
                Action::AbortFlush { run } => {
                    self.runs.retain(|other| other != run);
                    self.seen.aborted += 1;
                }
                Action::Stuck { .. } => self.seen.stuck += 1,
                Action::MoveEnded(movement) => {
                    self.seen.moved += 1;
                    self.seen.nowhere += u64::from(movement.to.is_none());
                    let is_flushed = matches!(movement.cause, Cause::Flushed(_));
                    self.seen.flushed += u64::from(is_flushed);
                }
                Action::FlushEnded { .. } => self.seen.ended_flushes += 1,
                Action::UsersForgotten { .. } => self.seen.forgotten += 1,
                Action::MoveStarted(movement) if matches!(movement.cause, Cause::Drained(_)) => {
                    self.seen.drained += 1;
                    self.seen.drained_held += u64::from(movement.sessions > 0);
                }
                Action::DrainChanged { state, .. } => match state {
                    DrainState::Waiting { .. } => self.seen.drains_waited += 1,
                    DrainState::Blocked => self.seen.drains_blocked += 1,
                    DrainState::Safe => self.seen.drains_safe += 1,
                    DrainState::Ended(DrainEnd::BackInUse(_)) => self.seen.drains_contradicted += 1,
                    _ => {}
                },
                _ => {}
            }
        }
        self.check();
    }

    pub fn check(&self) {
        let contradictions = self.core.contradictions();
        assert!(contradictions.is_empty(), "{contradictions:#?}");
        let mut places: BTreeMap<Who, IpAddr> = BTreeMap::new();
        for (who, ip) in self.live.values() {
            let first = places.entry(*who).or_insert(*ip);
            assert_eq!(first, ip, "{who:?} HAS SESSIONS ON TWO BACKENDS");
        }
        self.model.check_nothing_is_owed();
        self.model.check_drains(&self.core, false);
        for (who, ip) in self.live.values() {
            assert!(
                !self.core.is_safe_to_power_off(Moment::from_millis(self.model.now), *ip),
                "{ip} IS NOT SAFE: {who:?}"
            );
        }
        for who in &self.waiting {
            let will_be_woken = self.model.alarms.iter().any(|(other, _)| other == who);
            let waits = self.model.answer(*who).is_err() || will_be_woken;
            assert!(waits, "{who:?} waits but nobody woke the login");
        }
        self.check_rows();
        assert_eq!(self.core.session_count(), self.live.len());
        assert_eq!(self.core.move_counts(), self.model.moves());
    }

    fn check_rows(&self) {
        let (rows, next) = self.core.users(self.now(), UserCursor::default(), usize::MAX);
        assert_eq!(next, None);
        let mut told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    super::told::tag(&row.tag),
                    row.user.hash(),
                    row.ip,
                    row.sessions as usize,
                    row.moving.is_some(),
                )
            })
            .collect();
        let mut expected: Vec<_> = self
            .model
            .people
            .iter()
            .map(|p| {
                let ip = self.model.ip_of(p.backend);
                (p.who.0, p.who.1, ip, p.sessions.len(), p.life != Life::Settled)
            })
            .collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "mappings");
    }

    /// In the end all sessions end and all times pass: then nobody waits but for want of a backend.
    pub fn finish(&mut self) {
        drains::wait_for_drains(self);
        for session in self.live.keys().copied().collect::<Vec<_>>() {
            self.release(session);
        }
        for _ in 0..40 {
            self.clock = self.model.now + super::model::PATIENCE + self.model.kick_delay;
            self.model.pass_to(self.clock);
            self.look_at_the_time();
        }
        assert_eq!(self.core.move_counts(), (0, 0), "moves without end");
        assert_eq!(self.core.flushes().count(), 0, "flushes without end");
        for who in &self.waiting {
            assert_eq!(self.model.answer(*who), Err(Wait::NoHost), "{who:?} waits without end");
        }
        assert_eq!(self.core.user_count(), self.model.people.len());
    }
}

/// One of few users, spread over the whole ring.
pub fn user(random: &mut Random) -> UserHash {
    UserHash::from_number((random.below(5) as u32) * 0x3333_3333 + 1)
}
