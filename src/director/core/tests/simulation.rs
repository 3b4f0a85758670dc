//! Random operations over several seeds, compared with a model that is too simple to be wrong: lists, scanned from
//! front to back. A failure names seed and step.

use super::*;
use crate::director::core::hash::first_word;

const SEEDS: u64 = 12;
const STEPS: u64 = 3000;
const EXPIRE_SECS: u64 = 60;
const TAGS: [&str; 3] = ["", "blue", "green"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// One of few users, spread over the whole ring.
    fn user(&mut self) -> UserHash {
        UserHash::from_number((self.below(8) as u32) << 29 | 1)
    }

    /// A table of up to eight backends in the notation of the vectors.
    fn hosts(&mut self) -> String {
        let mut words = Vec::new();
        for n in 1..=8 {
            if self.below(4) > 0 {
                let tag = if self.below(2) == 0 { format!("@{}", self.one(&TAGS)) } else { String::new() };
                let down = if self.below(6) == 0 { "(down)" } else { "" };
                words.push(format!("10.1.0.{n}{tag}={}{down}", self.below(5)));
            }
        }
        words.join(",")
    }
}

struct ModelUser {
    tag: String,
    hash: UserHash,
    ip: IpAddr,
    sessions: Vec<SessionKey>,
    idle_since: Instant,
}

#[derive(Default)]
struct Model {
    hosts: Vec<Host>,
    users: Vec<ModelUser>,
}

impl Model {
    fn expire(&mut self, now: Instant) {
        let expire = Duration::from_secs(EXPIRE_SECS);
        self.users.retain(|user| !user.sessions.is_empty() || now - user.idle_since < expire);
    }

    fn belongs(&self, user: &ModelUser) -> bool {
        self.hosts.iter().any(|host| host.ip == user.ip && host.tag == user.tag.as_bytes())
    }

    fn forget_strays(&mut self) {
        let users = std::mem::take(&mut self.users);
        self.users =
            users.into_iter().filter(|user| !user.sessions.is_empty() || self.belongs(user)).collect();
    }

    /// Where a login goes.
    fn destination(&self, tag: &str, hash: UserHash) -> Option<IpAddr> {
        let mapped = self.users.iter().find(|user| user.tag == tag && user.hash == hash);
        mapped.map(|user| user.ip).or_else(|| self.hashed(tag, hash))
    }

    /// The smallest point behind the hash, else the smallest of all.
    fn hashed(&self, tag: &str, hash: UserHash) -> Option<IpAddr> {
        let usable = self.hosts.iter().filter(|host| host.up && host.tag == tag.as_bytes());
        let points = usable.flat_map(|host| {
            (0..host.vhosts).map(|n| (first_word(format!("{}-{n}", host.ip).as_bytes()), host.ip))
        });
        points.min_by_key(|(at, ip)| (*at < hash.number(), *at, *ip)).map(|(_, ip)| ip)
    }

    fn enter(&mut self, tag: &str, hash: UserHash, ip: IpAddr, session: SessionKey, now: Instant) {
        match self.users.iter_mut().find(|user| user.tag == tag && user.hash == hash) {
            Some(user) => user.sessions.push(session),
            None => self.users.push(ModelUser {
                tag: tag.to_owned(),
                hash,
                ip,
                sessions: vec![session],
                idle_since: now,
            }),
        }
    }

    fn leave(&mut self, session: SessionKey, now: Instant) {
        for user in self.users.iter_mut().filter(|user| user.sessions.contains(&session)) {
            user.sessions.retain(|s| *s != session);
            user.idle_since = now;
        }
        self.forget_strays();
    }
}

/// Tells where the simulation was when it failed.
struct Place {
    seed: u64,
    step: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulation failed: seed {}, step {}", self.seed, self.step);
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    placed: u64,
    refused: u64,
    expired: u64,
    /// Placed on a backend that is not configured any more.
    stayed: u64,
    kicked: u64,
}

fn run(seed: u64, seen: &mut Seen) {
    let mut place = Place { seed, step: 0 };
    let mut random = Random(seed);
    let first = random.hosts();
    let mut model = Model { hosts: hosts_of_vector(&first), users: Vec::new() };
    let mut core = Checked::new(table(&first, EXPIRE_SECS));
    while place.step < STEPS {
        place.step += 1;
        step(&mut random, &mut core, &mut model, seen);
        assert_eq!(core.core.user_count(), model.users.len(), "number of mappings");
    }
}

fn step(random: &mut Random, core: &mut Checked, model: &mut Model, seen: &mut Seen) {
    match random.below(100) {
        0..45 => login(random, core, model, seen),
        45..85 => {
            let live: Vec<_> = core.live.keys().copied().collect();
            if !live.is_empty() {
                let session = *random.one(&live);
                core.release(session);
                model.leave(session, core.now);
            }
        }
        85..93 => {
            let before = model.users.len();
            core.pass(random.below(EXPIRE_SECS / 2));
            model.expire(core.now);
            seen.expired += (before - model.users.len()) as u64;
        }
        93..97 => {
            let user = random.user();
            let expected: usize =
                model.users.iter().filter(|u| u.hash == user).map(|u| u.sessions.len()).sum();
            let actions = core.apply(Operation::Kick { user }).unwrap();
            assert_eq!(actions.len(), expected, "kicked sessions");
            seen.kicked += actions.len() as u64;
        }
        _ => {
            let hosts = random.hosts();
            core.configure(&hosts);
            model.hosts = hosts_of_vector(&hosts);
            model.forget_strays();
        }
    }
}

fn login(random: &mut Random, core: &mut Checked, model: &mut Model, seen: &mut Seen) {
    let tag = *random.one(&TAGS);
    let hash = random.user();
    model.expire(core.now);
    let expected = model.destination(tag, hash);
    let session = core.place(tag, hash);
    assert_eq!(session.map(|s| core.live[&s]), expected, "destination of {hash} under {tag:?}");
    match session.zip(expected) {
        Some((session, ip)) => {
            seen.placed += 1;
            seen.stayed += u64::from(core.core.leaving.contains(ip));
            model.enter(tag, hash, ip, session, core.now);
        }
        None => seen.refused += 1,
    }
}

#[test]
fn random_operations_agree_with_the_model() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        run(seed, &mut seen);
    }
    // A simulation that does not reach the interesting states proves nothing.
    let Seen { placed, refused, expired, stayed, kicked } = seen;
    let least = placed.min(refused).min(expired).min(stayed).min(kicked);
    assert!(least > 100, "too little happened: {seen:?}");
}

#[test]
fn equal_histories_give_equal_answers() {
    let answers = |seed| {
        let mut random = Random(seed);
        let mut core = Checked::new(table(&random.hosts(), EXPIRE_SECS));
        let mut answers = Vec::new();
        for _ in 0..200 {
            let user = random.user();
            let placed = core.place(TAGS[random.below(3) as usize], user);
            answers.push(format!("{placed:?} {:?}", core.apply(Operation::Kick { user })));
        }
        answers.push(format!("{:?}", core.configure(&random.hosts())));
        answers
    };
    assert_eq!(answers(7), answers(7));
}
