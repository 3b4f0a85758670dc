//! The core as a whole: a harness that checks the invariants behind every step, the rules one by one, and a
//! simulation against a simple model.

mod rules;
mod simulation;

use super::*;

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

fn table(hosts: &str, expire_secs: u64) -> Table {
    let format = UsernameFormat::parse("%Lu").unwrap();
    let naming = Naming { format, master_user_separator: None };
    Table { hosts: hosts_of_vector(hosts), naming, expire: Duration::from_secs(expire_secs) }
}

/// A core with a clock of its own. Every step ends with a check of all invariants.
struct Checked {
    core: Core,
    now: Instant,
    /// What the world believes: live sessions and where each one is.
    live: BTreeMap<SessionKey, IpAddr>,
}

impl Checked {
    fn new(table: Table) -> Self {
        Self { core: Core::new(table), now: Instant::now(), live: BTreeMap::new() }
    }

    fn place(&mut self, tag: &str, hash: UserHash) -> Option<SessionKey> {
        let placed = self.core.place(self.now, tag.as_bytes(), hash);
        if let Some(placed) = &placed {
            assert!(self.live.insert(placed.session, placed.host.ip).is_none(), "sessions are unique");
        }
        self.check();
        placed.map(|placed| placed.session)
    }

    /// Places a user by name under no tag.
    fn enter(&mut self, name: &str) -> SessionKey {
        let hash = self.core.hash(name.as_bytes());
        self.place("", hash).unwrap()
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

    fn release(&mut self, session: SessionKey) {
        self.live.remove(&session);
        self.core.release(self.now, session);
        self.check();
    }

    fn apply(&mut self, operation: Operation) -> Result<Vec<Action>, OperationError> {
        let actions = self.core.apply(Origin::Operator, operation);
        self.check();
        actions
    }

    fn configure(&mut self, hosts: &str) -> Vec<Action> {
        let expire_secs = self.core.expire.as_secs();
        self.apply(Operation::Configure(table(hosts, expire_secs))).unwrap()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.core.expire(self.now);
        self.check();
    }

    fn check(&self) {
        self.core.check_invariants();
        assert!(self.core.sessions.iter().eq(self.live.keys()), "the core knows exactly the live sessions");
        let mut places: BTreeMap<UserKey, IpAddr> = BTreeMap::new();
        for (session, ip) in &self.live {
            let first = places.entry(session.user).or_insert(*ip);
            assert_eq!(first, ip, "{:?} has sessions on two backends", session.user);
            assert_eq!(self.core.users.host_of(session.user), Some(*ip), "the mapping of {:?}", session.user);
        }
    }
}

impl Core {
    /// Panics if the tables contradict each other.
    fn check_invariants(&self) {
        self.users.check_invariants();
        let rows = self.users.rows();
        for (user, (ip, sessions)) in &rows {
            let live = self.sessions.iter().filter(|session| session.user == *user).count();
            assert_eq!(live, *sessions as usize, "sessions of {user:?}");
            let belongs = belongs(&self.hosts, &self.tags, *user, *ip);
            assert!(belongs || *sessions > 0, "an idle {user:?} on a backend that is not theirs");
            let known = self.hosts.contains(*ip) || self.leaving.contains(*ip);
            assert!(known, "{user:?} on unknown backend {ip}");
        }
        let counted: u32 = rows.values().map(|(_, sessions)| sessions).sum();
        assert_eq!(counted as usize, self.sessions.len(), "every session belongs to a mapping");
        for host in self.leaving.iter() {
            assert!(!self.hosts.contains(host.ip), "{} is configured", host.ip);
            assert!(rows.values().any(|(ip, _)| *ip == host.ip), "{} has nothing to wait for", host.ip);
        }
        assert_eq!(self.ring, Ring::of(self.hosts.iter().map(Arc::as_ref)), "the ring fits the backends");
    }
}
