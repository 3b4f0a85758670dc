//! What the core tells, checked against what it may and must tell.

use homing::director::core::{Action, Cause, Core, FlushProgram, Movement};

use super::{
    drains,
    model::{Life, Model, TAGS, Who},
};

impl Model {
    /// One action: is it right, and what does it mean.
    pub fn hear(&mut self, core: &Core, action: &Action) {
        drains::hear(self, action);
        match action {
            Action::Kick { session } => {
                let at = self.owed_kicks.iter().position(|owed| owed == session);
                self.owed_kicks.remove(at.unwrap_or_else(|| panic!("{session:?} is kicked for nothing")));
            }
            Action::MoveStarted(movement) => self.hear_start(who(core, movement), movement),
            Action::MoveEnded(movement) => self.hear_end(who(core, movement), movement),
            Action::RunFlush(program) => self.hear_run(core, program),
            Action::AbortFlush { run } => {
                let at = self.owed_aborts.iter().position(|owed| owed == run);
                self.owed_aborts.remove(at.unwrap_or_else(|| panic!("{run:?} is not late")));
            }
            Action::Stuck { user, ip, sessions } => {
                let who = (tag(core.tag_of(*user)), user.hash());
                let at = self.owed_stuck.iter().position(|owed| *owed == who);
                self.owed_stuck.remove(at.unwrap_or_else(|| panic!("{who:?} is not stuck")));
                let person = self.person(who).unwrap();
                assert_eq!((person.from, person.sessions.len()), (*ip, *sessions as usize));
            }
            Action::FlushWalked { flush } => {
                let flow = self.flows.iter_mut().find(|flow| flow.id == *flush).unwrap();
                assert!(!std::mem::replace(&mut flow.walked, true), "{flow:?} twice");
                let at = self.flows.iter().position(|flow| flow.id == *flush).unwrap();
                self.check_nobody_was_missed(at);
            }
            Action::FlushEnded { flush, .. } => {
                let at = self.flows.iter().position(|flow| flow.id == *flush).unwrap();
                assert!(self.flows.remove(at).walked);
                let on_the_way = self.people.iter().find(|person| person.flush == Some(*flush));
                assert!(on_the_way.is_none(), "{on_the_way:?}");
            }
            _ => {}
        }
    }

    fn hear_start(&mut self, who: Who, movement: &Movement) {
        let mut flush = None;
        match movement.cause {
            Cause::Moved(_) | Cause::Mapped(_) => {
                assert_eq!(self.owed_start.take(), movement.to.map(|to| (who, to)))
            }
            Cause::Flushed(_) => {
                let flow = self.flow_with_room().unwrap_or_else(|| panic!("no room for {movement:?}"));
                assert!(flow.ips.contains(&movement.from), "{movement:?} is not of {flow:?}");
                assert!(flow.tag.is_none_or(|tag| tag == who.0), "{who:?} is not of {flow:?}");
                flush = Some(flow.id);
                let person = self.people.iter().find(|person| person.who == who).unwrap();
                assert_eq!(person.life, Life::Settled);
                assert_eq!(self.flush_target(person), Some(movement.to), "{person:?}");
            }
            Cause::Drained(_) => self.hear_drained(who, movement),
            cause => panic!("{cause:?}"),
        }
        let person = self.person(who).unwrap();
        assert_eq!(person.sessions.len(), movement.sessions as usize);
        self.start(who, movement.to, flush);
        assert_eq!(self.person(who).unwrap().from, movement.from);
    }

    fn hear_end(&mut self, who: Who, movement: &Movement) {
        let (now, step) = (self.now, self.step);
        let at = self.people.iter().position(|person| person.who == who).unwrap();
        assert_eq!(self.people[at].life, Life::Done, "{movement:?} too early");
        let lives = self.backends[self.people[at].backend].in_table;
        let person = &mut self.people[at];
        assert_eq!((movement.from, movement.to), (person.from, person.to.filter(|_| lives)));
        (person.life, person.flush, person.arrived) = (Life::Settled, None, step);
        if person.sessions.is_empty() {
            person.seen = now;
            if person.to.is_none() || !lives {
                self.people.remove(at);
            }
        }
        self.forget_strays();
    }

    fn hear_run(&mut self, core: &Core, program: &FlushProgram) {
        let who = self.people.iter().find(|person| {
            person.who.1 == program.user && matches!(person.life, Life::Script { run: None, .. })
        });
        let who = who.unwrap_or_else(|| panic!("{program:?} for nobody")).who;
        assert_eq!(core.hosts().get(program.new.ip).map(|host| host.tag.clone()), Some(who.0.into()));
        let person = self.person(who).unwrap();
        assert_eq!((program.old.ip, Some(program.new.ip)), (person.from, person.to));
        if let Life::Script { run, .. } = &mut person.life {
            *run = Some(program.run);
        }
    }

    /// Whoever was there when the flush began and has not moved must belong there.
    fn check_nobody_was_missed(&self, flow: usize) {
        let flow = &self.flows[flow];
        for person in self.people.iter().filter(|_| flow.version == self.version) {
            let was_there = flow.present.contains(&(person.who, person.arrived));
            if was_there && person.life == Life::Settled {
                assert_eq!(self.flush_target(person), None, "{person:?} was missed by {flow:?}");
            }
        }
    }

    /// Everything that had to be told has been.
    pub fn check_nothing_is_owed(&self) {
        assert!(self.owed_kicks.is_empty(), "not kicked: {:?}", self.owed_kicks);
        assert!(self.owed_stuck.is_empty(), "not told to be stuck: {:?}", self.owed_stuck);
        assert!(self.owed_aborts.is_empty(), "not aborted: {:?}", self.owed_aborts);
        assert_eq!(self.owed_start, None, "not started");
        for flow in self.flows.iter().filter(|flow| flow.walked) {
            let going = self.people.iter().any(|person| person.flush == Some(flow.id));
            assert!(going, "not told to have ended: {flow:?}");
        }
        for person in &self.people {
            let owed = matches!(person.life, Life::Done | Life::Script { run: None, .. });
            assert!(!owed, "not gone on: {person:?}");
        }
    }
}

fn who(core: &Core, movement: &Movement) -> Who {
    (tag(core.tag_of(movement.user)), movement.user.hash())
}

pub fn tag(name: &[u8]) -> &'static str {
    TAGS.iter().find(|tag| tag.as_bytes() == name).unwrap()
}
