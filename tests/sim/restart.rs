//! A restart: all sessions end at once but those of other programs, and a new core begins with what was written down of
//! the old one. The writer wrote everything once and from then on only what had changed.

use std::collections::{BTreeMap, BTreeSet};

use homing::director::core::{
    Change, Core, Operation, Origin, Saved, SavedHosts, SavedUser, SessionKey, Table, UnsavedChanges,
    UserCursor, UserHash,
};

use super::{
    driver::Sim,
    model::{Life, Model, PATIENCE, Who},
};

/// The file, so to speak.
pub struct Written {
    hosts: SavedHosts,
    users: BTreeMap<(Vec<u8>, UserHash), SavedUser>,
}

impl Written {
    pub fn begin(core: &mut Core) -> Self {
        let hosts = core.begin_saving();
        let (users, next) = core.saved_users(UserCursor::default(), usize::MAX);
        assert_eq!(next, None);
        Self { hosts, users: users.into_iter().map(|user| ((user.tag.clone(), user.hash), user)).collect() }
    }

    /// Writes what has changed, a little at a time.
    fn go_on(&mut self, core: &mut Core) {
        loop {
            let (changes, is_last) = match core.take_unsaved(2) {
                UnsavedChanges::Everything => panic!("few users cannot be too many changes"),
                UnsavedChanges::Users(changes) => (changes, false),
                UnsavedChanges::Last(changes, hosts) => {
                    self.hosts = hosts.unwrap_or_else(|| self.hosts.clone());
                    (changes, true)
                }
            };
            for change in changes {
                match change {
                    Change::Is(user) => drop(self.users.insert((user.tag.clone(), user.hash), user)),
                    Change::Gone { tag, hash } => drop(self.users.remove(&(tag, hash))),
                }
            }
            if is_last {
                return;
            }
        }
    }
}

impl Sim {
    pub fn restart(&mut self, table: Table) {
        self.written.go_on(&mut self.core);
        assert!(!self.core.has_unsaved());
        let saved = Saved {
            hosts: self.written.hosts.clone(),
            users: self.written.users.values().cloned().collect(),
        };
        self.note(|| format!("restart with {table:?} from {saved:?}"));
        let (core, restored, told) = Core::restored(self.now().max(self.model_now()), table.clone(), saved);
        self.core = core;
        self.written = Written::begin(&mut self.core);
        let outlived = self.outlived();
        self.seen.outlived += outlived.len() as u64;
        self.model.restart(table, &outlived);
        self.kicked.clear();
        self.seen.outlived_moving += self.model.owed_kicks.len() as u64;
        self.runs.clear();
        // Whoever waited is gone, too.
        self.waiting.clear();
        self.seen.restarts += 1;
        self.seen.restarted_moves += restored.moving as u64;
        self.hear(&told);
    }

    /// The sessions that went on, by their users; the core has others for them.
    fn outlived(&mut self) -> BTreeMap<Who, SessionKey> {
        let before = std::mem::take(&mut self.live);
        let foreign: BTreeMap<_, _> =
            std::mem::take(&mut self.foreign).into_iter().map(|old| (before[&old].0, old)).collect();
        let immortal = std::mem::take(&mut self.immortal);
        let mut outlived = BTreeMap::new();
        for new in self.core.foreign_sessions().map(|foreign| foreign.session) {
            let tag = super::told::tag(self.core.tag_of(new.user()));
            let who = (tag, new.user().hash());
            let old = foreign.get(&who).unwrap_or_else(|| panic!("{who:?} has no such session"));
            self.live.insert(new, before[old]);
            self.foreign.insert(new);
            if immortal.contains(old) {
                self.immortal.insert(new);
            }
            assert!(outlived.insert(who, new).is_none(), "{who:?} twice");
        }
        assert_eq!(outlived.len(), foreign.len(), "a session is forgotten");
        outlived
    }

    fn model_now(&self) -> homing::director::core::Moment {
        homing::director::core::Moment::from_millis(self.model.now)
    }
}

impl Model {
    /// What is known of ends of sessions is what mappings tell.
    fn note_leavers(&mut self) {
        let now = self.now;
        self.backends.iter_mut().for_each(|backend| backend.left = None);
        let there = self.people.iter().map(|p| (p.backend, if p.is_held() { now } else { p.seen }));
        let left = self.leavers.iter().map(|leaver| (leaver.backend, leaver.seen));
        for (backend, seen) in there.chain(left) {
            let known = &mut self.backends[backend].left;
            *known = (*known).max(Some(seen));
        }
        self.forget_strays();
    }

    fn restart(&mut self, table: Table, outlived: &BTreeMap<Who, SessionKey>) {
        // Flushes end with the program; drains go on.
        self.flows.clear();
        for drain in &mut self.drains {
            (drain.told, drain.moves) = (None, Vec::new());
        }
        self.quiet.clear();
        self.change(Origin::Configuration, &Operation::Configure(table)).unwrap();
        self.owed_kicks.clear();
        self.alarms.clear();
        self.note_leavers();
        let latest = self.now + self.kick_delay;
        for at in 0..self.people.len() {
            let (backend, to, who) = (self.people[at].backend, self.people[at].to, self.people[at].who);
            let here = self.ip_of(backend);
            let is_there = self.backends[backend].in_table;
            let target = to.and_then(|ip| self.in_table(ip)).filter(|to| self.tag_of(*to) == who.0);
            let now = self.now;
            let person = &mut self.people[at];
            let had_sessions = !std::mem::take(&mut person.sessions).is_empty();
            person.flush = None;
            if let Some(session) = outlived.get(&who) {
                person.sessions = BTreeSet::from([*session]);
                if person.life != Life::Settled {
                    person.life = Life::Ending { deadline: now + PATIENCE, stuck: false };
                    self.owed_kicks.push(*session);
                }
                continue;
            }
            if person.life == Life::Settled {
                if had_sessions {
                    person.seen = now;
                }
                if !is_there {
                    (person.from, person.to, person.life) = (here, None, Life::Pause { until: latest });
                }
                continue;
            }
            let until = match person.life {
                Life::Pause { until } => until.min(latest),
                _ => latest,
            };
            person.life = Life::Pause { until };
            person.to = to.filter(|_| target.is_some());
            person.backend = target.unwrap_or(backend);
        }
    }
}
