//! What the director should do, in the plainest way: lists that are searched from front to back, time that acts at
//! once, mappings that vanish when they mean nothing. It shares no code with the core.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::IpAddr,
    sync::OnceLock,
};

use homing::director::core::{DrainEnd, FlushId, FlushRun, Host, Moment, Origin, SessionKey, UserHash, Wait};
use md5::{Digest, Md5};

use super::drains::Emptying;

pub const TAGS: [&str; 3] = ["", "blue", "green"];
pub const HOSTS: u8 = 6;
pub const VHOSTS: u32 = 4;
/// Milliseconds until a session that does not end is told, and that the flush program may take.
pub const PATIENCE: u64 = 30_000;

pub fn address(n: u8) -> IpAddr {
    IpAddr::from([10, 1, 0, n])
}

pub type Who = (&'static str, UserHash);

/// A backend; its place in the list is its identity, so one that is removed and added again is two.
#[derive(Debug, Clone)]
pub struct Backend {
    pub host: Host,
    pub in_table: bool,
    pub changed_by: Option<Origin>,
    /// When a session last ended there, as long as that means something.
    pub left: Option<u64>,
}

/// Somebody without mapping who may still be at a backend that is gone.
#[derive(Debug, Clone)]
pub struct Leaver {
    pub who: Who,
    pub backend: usize,
    pub seen: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    Settled,
    Ending {
        deadline: u64,
        stuck: bool,
    },
    /// `run` is filled in when the core asks for it.
    Script {
        ended: u64,
        until: u64,
        run: Option<FlushRun>,
    },
    Pause {
        until: u64,
    },
    /// The end of the move must be told now.
    Done,
}

#[derive(Debug, Clone)]
pub struct Person {
    pub who: Who,
    pub backend: usize,
    pub sessions: BTreeSet<SessionKey>,
    pub seen: u64,
    pub life: Life,
    pub from: IpAddr,
    pub to: Option<IpAddr>,
    pub flush: Option<FlushId>,
    /// When the mapping began to be what it is, in steps.
    pub arrived: u64,
}

#[derive(Debug)]
pub struct Flow {
    pub id: FlushId,
    pub limit: Option<u64>,
    pub tag: Option<&'static str>,
    pub ips: Vec<IpAddr>,
    pub walked: bool,
    /// Who was there and when they came; and the state of the backends then.
    pub present: Vec<(Who, u64)>,
    pub version: u64,
}

#[derive(Debug, Default)]
pub struct Model {
    pub now: u64,
    pub step: u64,
    /// Changes of backends so far.
    pub version: u64,
    pub expire: u64,
    pub kick_delay: u64,
    /// Whoever was last seen then or before has left by an earlier kick delay.
    pub left_before: u64,
    pub moves_max: u64,
    pub script: bool,
    pub said: Vec<Host>,
    pub backends: Vec<Backend>,
    pub people: Vec<Person>,
    pub leavers: Vec<Leaver>,
    /// Leavers whose logins were told to wait, and until when.
    pub alarms: Vec<(Who, u64)>,
    pub flows: Vec<Flow>,
    pub owed_kicks: Vec<SessionKey>,
    pub owed_stuck: Vec<Who>,
    pub owed_aborts: Vec<FlushRun>,
    pub owed_start: Option<(Who, IpAddr)>,
    pub drains: Vec<Emptying>,
    pub owed_ends: Vec<(IpAddr, DrainEnd)>,
    /// Since when each session has been between two commands, if it is.
    pub quiet: BTreeMap<SessionKey, u64>,
}

impl Person {
    pub fn is_held(&self) -> bool {
        !self.sessions.is_empty() || self.life != Life::Settled
    }
}

impl Model {
    pub fn in_table(&self, ip: IpAddr) -> Option<usize> {
        self.backends.iter().position(|b| b.in_table && b.host.ip == ip)
    }

    pub fn ip_of(&self, backend: usize) -> IpAddr {
        self.backends[backend].host.ip
    }

    pub fn tag_of(&self, backend: usize) -> &'static str {
        TAGS.iter().find(|tag| tag.as_bytes() == self.backends[backend].host.tag).unwrap()
    }

    pub fn person(&mut self, who: Who) -> Option<&mut Person> {
        self.people.iter_mut().find(|person| person.who == who)
    }

    /// The backend with the nearest point at or behind the hash, else the very first point.
    pub fn hashed(&self, who: Who) -> Option<usize> {
        let mut best = None;
        for (index, backend) in self.backends.iter().enumerate() {
            let host = &backend.host;
            if backend.in_table && host.up && host.tag == who.0.as_bytes() {
                for vhost in 0..host.vhosts {
                    let at = point(host.ip, vhost);
                    let rank = (at < who.1.number(), at, host.ip);
                    if best.is_none_or(|(other, _)| rank < other) {
                        best = Some((rank, index));
                    }
                }
            }
        }
        best.map(|(_, index)| index)
    }

    /// Where a login goes, or why it waits.
    pub fn answer(&self, who: Who) -> Result<usize, Wait> {
        if let Some(leaver) = self.leavers.iter().find(|leaver| leaver.who == who) {
            let until = Moment::from_millis(leaver.seen + self.kick_delay);
            let ip = self.ip_of(leaver.backend);
            return self
                .hashed(who)
                .filter(|backend| self.ip_of(*backend) == ip)
                .ok_or(Wait::KickDelay { until });
        }
        let Some(person) = self.people.iter().find(|person| person.who == who) else {
            return self.hashed(who).ok_or(Wait::NoHost);
        };
        match person.life {
            Life::Settled => Ok(person.backend),
            Life::Ending { stuck, .. } => {
                Err(Wait::Moving { from: person.from, sessions: person.sessions.len() as u32, stuck })
            }
            Life::Script { .. } => Err(Wait::Flushing),
            Life::Pause { until } => Err(Wait::KickDelay { until: Moment::from_millis(until) }),
            Life::Done => panic!("{person:?} is owed the end of a move"),
        }
    }

    /// Time acts on mappings at once.
    pub fn pass_to(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.forget_strays();
    }

    pub fn forget_strays(&mut self) {
        let (now, kick_delay, before, backends) =
            (self.now, self.kick_delay, self.left_before, &mut self.backends);
        let expire = self.expire.max(kick_delay);
        let is_recent = |seen: u64| seen > before && seen + kick_delay > now;
        for backend in backends.iter_mut() {
            backend.left = backend.left.filter(|left| is_recent(*left));
        }
        let leavers = &mut self.leavers;
        self.people.retain(|person| {
            if person.is_held() {
                return true;
            }
            let (who, backend, seen) = (person.who, person.backend, person.seen);
            if !backends[backend].in_table {
                leavers.push(Leaver { who, backend, seen });
            }
            seen + expire > now && backends[backend].in_table
        });
        leavers.retain(|leaver| is_recent(leaver.seen));
    }

    /// Somebody who leaves is sent to a backend: the old one counts again as where the way begins.
    pub fn call_back(&mut self, who: Who) {
        if let Some(at) = self.leavers.iter().position(|leaver| leaver.who == who) {
            let leaver = self.leavers.remove(at);
            self.add(who, leaver.backend);
            self.person(who).unwrap().seen = leaver.seen;
        }
    }

    pub fn enter(&mut self, who: Who, backend: usize, session: SessionKey) {
        self.leavers.retain(|leaver| leaver.who != who);
        if self.person(who).is_none() {
            self.add(who, backend);
        }
        self.person(who).unwrap().sessions.insert(session);
    }

    pub fn add(&mut self, who: Who, backend: usize) {
        let (from, seen, arrived) = (self.ip_of(backend), self.now, self.step);
        let (sessions, life) = (BTreeSet::new(), Life::Settled);
        self.people.push(Person { who, backend, sessions, seen, life, from, to: None, flush: None, arrived });
    }

    pub fn leave(&mut self, session: SessionKey) {
        let now = self.now;
        self.quiet.remove(&session);
        if let Some(at) = self.people.iter().position(|person| person.sessions.contains(&session)) {
            let person = &mut self.people[at];
            person.sessions.remove(&session);
            self.backends[person.backend].left = Some(now);
            if person.sessions.is_empty() {
                person.seen = now;
                if person.life != Life::Settled {
                    self.over(at, now);
                }
            }
        }
        self.forget_strays();
    }

    /// A user sets out.
    pub fn start(&mut self, who: Who, to: Option<IpAddr>, flush: Option<FlushId>) {
        let at = self.people.iter().position(|person| person.who == who).unwrap();
        let from = self.ip_of(self.people[at].backend);
        let deadline = self.now + PATIENCE;
        let person = &mut self.people[at];
        (person.from, person.to, person.flush) = (from, to, flush);
        person.life = Life::Ending { deadline, stuck: false };
        self.owed_kicks.extend(person.sessions.iter());
        if person.sessions.is_empty() {
            let ended = person.seen;
            self.over(at, ended);
        }
    }

    /// Nobody is left behind.
    fn over(&mut self, at: usize, ended: u64) {
        let (who, to) = (self.people[at].who, self.people[at].to);
        let target = to.and_then(|ip| self.in_table(ip)).filter(|backend| self.tag_of(*backend) == who.0);
        let Some(backend) = target else {
            self.people[at].to = None;
            return self.pause(at, ended);
        };
        self.people[at].backend = backend;
        if self.script {
            self.people[at].life = Life::Script { ended, until: self.now + PATIENCE, run: None };
        } else {
            self.pause(at, ended);
        }
    }

    pub fn pause(&mut self, at: usize, ended: u64) {
        let until = ended + self.kick_delay;
        self.people[at].life = if until <= self.now { Life::Done } else { Life::Pause { until } };
    }

    /// What is due by now, when somebody looks.
    pub fn look_at_the_time(&mut self) {
        self.alarms.retain(|(_, until)| *until > self.now);
        for at in 0..self.people.len() {
            let now = self.now;
            let person = &mut self.people[at];
            match person.life.clone() {
                Life::Ending { deadline, stuck } if deadline <= now => {
                    person.life = Life::Ending { deadline: now + PATIENCE, stuck: true };
                    self.owed_kicks.extend(person.sessions.iter());
                    if !stuck {
                        self.owed_stuck.push(person.who);
                    }
                }
                Life::Script { ended, until, run } if until <= now => {
                    self.owed_aborts.extend(run);
                    self.pause(at, ended);
                }
                Life::Pause { until } if until <= now => person.life = Life::Done,
                _ => {}
            }
        }
    }

    /// Moves under way and those that are stuck.
    pub fn moves(&self) -> (usize, usize) {
        let is_stuck = |person: &&Person| matches!(person.life, Life::Ending { stuck: true, .. });
        let moving = self.people.iter().filter(|person| person.life != Life::Settled).count();
        (moving, self.people.iter().filter(is_stuck).count())
    }

    /// The flush whose turn it is, if it may move another user.
    pub fn flow_with_room(&self) -> Option<&Flow> {
        let (moving, stuck) = self.moves();
        let flow = self.flows.iter().find(|flow| !flow.walked)?;
        (((moving - stuck) as u64) < flow.limit.unwrap_or(self.moves_max)).then_some(flow)
    }

    /// Where a flush would send a user; `None`: the user stays.
    pub fn flush_target(&self, person: &Person) -> Option<Option<IpAddr>> {
        let target = self.hashed(person.who).map(|backend| self.ip_of(backend));
        (target != Some(self.ip_of(person.backend))).then_some(target)
    }
}

/// Points of all backends there can be.
fn point(ip: IpAddr, vhost: u32) -> u32 {
    static POINTS: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
    let points = POINTS.get_or_init(|| {
        let of = |n, vhost| {
            let mut text = String::new();
            write!(text, "{}-{vhost}", address(n)).unwrap();
            u32::from_be_bytes(Md5::digest(text)[..4].try_into().unwrap())
        };
        (0..=HOSTS + 1).map(|n| (0..VHOSTS).map(|vhost| of(n, vhost)).collect()).collect()
    });
    let IpAddr::V4(ip) = ip else { panic!("{ip}") };
    points[ip.octets()[3] as usize][vhost as usize]
}
