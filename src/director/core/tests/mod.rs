//! The core as a whole, rule by rule, in a harness that checks everything behind every step. The simulation is in
//! `tests/sim`.

mod changes;
mod drains;
mod flush;
mod memory;
mod moves;
mod placement;
mod plans;
mod saved;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use super::*;

const THREE: &str = "10.1.0.1=100,10.1.0.2=100,10.1.0.3=100";
const EXPIRE_SECS: u64 = 900;
const KICK_DELAY_SECS: u64 = 2;

// "user1" belongs to 10.1.0.2 and "foo" to 10.1.0.3 of the three (tests/vectors/director_host_by_user.tsv).

/// The host sets of the vectors: `10.1.0.1@blue=100,10.1.0.2=100(down)`.
pub(in crate::director) fn hosts_of_vector(text: &str) -> Vec<Host> {
    let host = |word: &str| {
        let (address, weight) = word.rsplit_once('=').unwrap();
        let (ip, tag) = address.split_once('@').unwrap_or((address, ""));
        let up = !weight.ends_with("(down)");
        let vhosts = weight.trim_end_matches("(down)").parse().unwrap();
        Host { vhosts, up, ..Host::new(ip.parse().unwrap(), None, tag.into()) }
    };
    text.split(',').filter(|word| !word.is_empty()).map(host).collect()
}

fn table(hosts: &str) -> Table {
    let format = UsernameFormat::parse("%Lu").unwrap();
    let rules = Rules {
        naming: Naming { format, master_user_separator: None },
        expire: Duration::from_secs(EXPIRE_SECS),
        kick_delay: Duration::from_secs(KICK_DELAY_SECS),
        moves_max: NonZeroU32::new(100).unwrap(),
        flush_program: false,
    };
    Table { hosts: hosts_of_vector(hosts), rules }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Sessions in the middle of something; all others are quiet since the beginning.
#[derive(Debug, Default)]
struct Busy(BTreeSet<SessionKey>);

impl Activity for Busy {
    fn quiet_since(&self, session: SessionKey) -> Option<Moment> {
        (!self.0.contains(&session)).then(Moment::default)
    }
}

/// A core with a clock of its own. Every step ends with a check of all invariants.
struct Checked {
    core: Core,
    now: Moment,
    /// What the world believes: live sessions and where each one is.
    live: BTreeMap<SessionKey, IpAddr>,
    /// Everything that was told, in order.
    told: Vec<Action>,
    /// Sessions in the middle of something.
    busy: Busy,
}

impl Checked {
    fn new(table: Table) -> Self {
        let now = Moment::from_millis(1_700_000_000_000);
        Self {
            core: Core::new(now, table),
            now,
            live: BTreeMap::new(),
            told: Vec::new(),
            busy: Busy::default(),
        }
    }

    fn three() -> Self {
        Self::new(table(THREE))
    }

    fn hash(&self, name: &str) -> UserHash {
        self.core.hash(name.as_bytes())
    }

    fn place(&mut self, tag: &str, hash: UserHash) -> Result<SessionKey, Wait> {
        let placed = self.core.place(self.now, tag.as_bytes(), hash);
        if let Ok(placed) = &placed {
            assert!(self.live.insert(placed.session, placed.host.ip).is_none(), "sessions are unique");
        }
        self.check();
        placed.map(|placed| placed.session)
    }

    /// A login by name under no tag.
    fn login(&mut self, name: &str) -> Result<SessionKey, Wait> {
        let hash = self.hash(name);
        self.place("", hash)
    }

    /// A login that is placed.
    fn enter(&mut self, name: &str) -> SessionKey {
        self.login(name).unwrap()
    }

    /// Places and releases at once; where it was.
    fn visit(&mut self, name: &str) -> String {
        let session = self.enter(name);
        let ip = self.ip(session);
        self.release(session);
        ip
    }

    fn ip(&self, session: SessionKey) -> String {
        self.live[&session].to_string()
    }

    fn release(&mut self, session: SessionKey) -> Vec<Action> {
        self.live.remove(&session);
        let actions = self.core.release(self.now, session);
        self.heard(actions)
    }

    fn release_all(&mut self, sessions: impl IntoIterator<Item = SessionKey>) {
        for session in sessions {
            self.release(session);
        }
    }

    fn apply_as(&mut self, origin: Origin, operation: Operation) -> Result<Vec<Action>, OperationError> {
        let outcome = self.core.apply(self.now, origin, operation);
        self.check();
        outcome.map(|actions| self.heard(actions))
    }

    fn apply(&mut self, operation: Operation) -> Result<Vec<Action>, OperationError> {
        self.apply_as(Origin::Operator, operation)
    }

    fn configure(&mut self, hosts: &str) -> Vec<Action> {
        let table = Table { hosts: hosts_of_vector(hosts), rules: self.core.rules.clone() };
        self.apply_as(Origin::Configuration, Operation::Configure(table)).unwrap()
    }

    fn move_user(&mut self, name: &str, to: &str) -> Result<Vec<Action>, OperationError> {
        let user = self.hash(name);
        self.apply(Operation::MoveUser { user, ip: ip(to) })
    }

    /// Lets time pass without anybody looking.
    fn sleep(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Lets time pass and does what is due then.
    fn pass(&mut self, seconds: u64) -> Vec<Action> {
        self.sleep(Duration::from_secs(seconds));
        let mut actions = Vec::new();
        while self.core.next_step().is_some_and(|due| due <= self.now) {
            actions.extend(self.core.step_among(self.now, &self.busy));
            self.check();
        }
        self.heard(actions)
    }

    fn heard(&mut self, actions: Vec<Action>) -> Vec<Action> {
        self.check();
        self.told.extend(actions.clone());
        actions
    }

    fn check(&self) {
        assert_eq!(self.core.contradictions(), Vec::<String>::new());
        let users: BTreeSet<_> = self.live.keys().map(|session| session.user()).collect();
        let slots = users.iter().filter_map(|user| self.core.users.find(*user));
        let known: Vec<_> = slots.flat_map(|slot| self.core.users.sessions(slot)).collect();
        assert!(known.iter().eq(self.live.keys()), "the core knows the live sessions");
        assert_eq!(self.core.session_count(), self.live.len(), "and no other");
        let mut places: BTreeMap<UserKey, IpAddr> = BTreeMap::new();
        for (session, ip) in &self.live {
            let first = places.entry(session.user()).or_insert(*ip);
            assert_eq!(first, ip, "{:?} has sessions on two backends", session.user());
            let row = self.core.users.find(session.user()).and_then(|slot| self.core.users.row(slot));
            let mapped = row.and_then(|row| self.core.backends.row(row.host)).map(|row| row.host.ip);
            assert_eq!(mapped, Some(*ip), "the mapping of {:?}", session.user());
        }
    }

    /// Where a user is, without a login.
    fn whereabouts(&self, name: &str) -> Option<String> {
        let lookup = self.core.lookup(self.now, b"", self.hash(name));
        lookup.current.map(|row| row.ip.to_string())
    }
}
