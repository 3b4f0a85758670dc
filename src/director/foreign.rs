//! Sessions that other programs forward: they ask for a place, and their ends are not seen here. Such a place is held
//! like a session of our own for as long as the user is heard of, so that the user has no second backend meanwhile, and
//! also behind a restart, which such a session does not notice. How they ask and how they are heard of is not known here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use homing_login::UserName;
use thiserror::Error;
use tokio::{sync::Notify, time::sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use super::core::ForeignUse;
use super::{
    Director, PlaceError, PlaceRequest, Placement, QUEUE_TIME,
    core::{ForeignSession, UserHash},
    placement::SessionPlace,
    tables::Tables,
};

/// Users whose foreign sessions are held at one time, each with some 200 bytes. As many as a large site has mailboxes
/// in use; beyond that something asks for names that do not exist.
pub const FOREIGN_USERS_MAX: usize = 1_000_000;

/// How long a lookup holds the place. Deliveries and administrators' commands do not tell when they are over
/// (spec/director.md 5.4); most are within seconds, and whoever wants to move the user has to wait so long.
pub const LOOKUP_TIME: Duration = Duration::from_secs(60);

/// Shortest pause between two looks at what is held.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a foreign session has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPlace {
    /// Whose it is.
    pub user: UserHash,
    /// Address of the backend.
    pub ip: IpAddr,
    /// Name of the backend, if it was configured by name.
    pub hostname: Option<String>,
    /// How often [`Director::refresh_foreign`] is expected, in seconds.
    pub refresh_secs: u64,
}

/// Why a foreign session has no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForeignError {
    /// As for every login.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// [`FOREIGN_USERS_MAX`] are held.
    #[error("{FOREIGN_USERS_MAX} users of other login processes are known, no more are taken")]
    TooMany,
}

impl Director {
    /// Gives a session of another program its backend; waits like [`Director::place`]. The place is held from here
    /// on, whether the session comes about or not.
    pub async fn place_foreign(
        &self,
        purpose: ForeignUse,
        request: PlaceRequest<'_>,
    ) -> Result<ForeignPlace, ForeignError> {
        let placement = self.place_somewhere(QUEUE_TIME, request, SessionPlace::Elsewhere(purpose)).await?;
        self.hold_foreign(purpose, request.tag, placement)
    }

    fn hold_foreign(
        &self,
        purpose: ForeignUse,
        tag: &[u8],
        placement: Placement,
    ) -> Result<ForeignPlace, ForeignError> {
        let (expire, user) = (self.foreign.lock().expire, placement.user());
        let place = ForeignPlace {
            user,
            ip: placement.ip(),
            hostname: placement.hostname().map(ToOwned::to_owned),
            refresh_secs: expire.as_secs() / 2,
        };
        let key = Key { user, purpose, tag: tag.into() };
        let time = match purpose {
            ForeignUse::Session | ForeignUse::Unreachable => expire,
            ForeignUse::Lookup => LOOKUP_TIME.min(expire),
        };
        self.foreign.hold(key, placement, Instant::now(), time)?;
        // If a move has begun since the place was given, its kick came too early for this session.
        if self.tables.read(|core, _| core.is_moving(user)) {
            self.tables.foreign_kicks().add([user]);
        }
        Ok(place)
    }

    /// The foreign sessions of a user live. Unknown users stay unknown (spec/director.md 5.5); a mapping without
    /// session lives on, too, should the report come late.
    pub fn refresh_foreign(&self, user: &UserName) {
        let user = self.tables.refresh(user);
        let mut held = self.foreign.lock();
        let until = Instant::now() + held.expire;
        held.extend(user, until);
    }

    /// The next user whose foreign sessions have to end: by a kick, or since the user is being moved, which waits for
    /// [`Director::end_foreign`]. For one caller; nothing is lost if it gives up waiting.
    pub async fn foreign_kicked(&self) -> UserHash {
        loop {
            let user = self.tables.foreign_kicks().next().await;
            if !self.foreign.lock().sessions(user).is_empty() {
                return user;
            }
        }
    }

    /// The foreign sessions of a user that were placed before some moment are over, as those who forward them say.
    /// Later ones may still be logging in, when a kick does not reach them (spec/director.md 10, W1): with one of those
    /// the place stays held.
    pub fn end_foreign(&self, user: UserHash, placed_before: Instant) {
        let ended = self.foreign.lock().end(user, placed_before);
        drop(ended);
    }

    /// The foreign sessions that an earlier run has left, and when each user's last one was placed. Who forwards them has
    /// yet to be heard of.
    pub fn foreign_taken_over(&self) -> &[(UserHash, Instant)] {
        &self.foreign.taken_over
    }

    /// When the last one of the foreign sessions that kicks by hash find was placed; `None`: the user has none.
    pub fn foreign_placed(&self, user: UserHash) -> Option<Instant> {
        let held = self.foreign.lock();
        let of_user = held.sessions(user);
        let kickable = of_user.iter().filter(|key| key.purpose == ForeignUse::Session);
        kickable.filter_map(|key| held.by_key.get(key)).map(|hold| hold.placed).max()
    }

    /// True if a program that knows the session by `login_name` finds it by the hash of the user: it hashes the whole
    /// name.
    pub fn is_found_by_hash(&self, user: &UserName, login_name: &UserName) -> bool {
        self.tables
            .read(|core, _| core.naming().hash_whole(login_name.as_bytes()) == core.hash(user.as_bytes()))
    }
}

#[cfg(test)]
impl Director {
    /// Until when the sessions of a user are held if nothing more is heard.
    pub(crate) fn foreign_until(&self, user: &UserName) -> Option<Instant> {
        let user = self.tables.hash(user);
        let held = self.foreign.lock();
        held.sessions(user).iter().filter_map(|key| held.by_key.get(key)).map(|hold| hold.until).max()
    }
}

/// Users whose foreign sessions have to end, each once; at most [`FOREIGN_USERS_MAX`], beyond which some are forgotten:
/// their sessions end by themselves.
#[derive(Debug, Default)]
pub(super) struct ForeignKicks {
    users: Mutex<BTreeSet<UserHash>>,
    added: Notify,
}

impl ForeignKicks {
    pub(super) fn add(&self, users: impl IntoIterator<Item = UserHash>) {
        let mut kicked = self.lock();
        kicked.extend(users);
        while kicked.len() > FOREIGN_USERS_MAX {
            kicked.pop_first();
        }
        if !kicked.is_empty() {
            self.added.notify_one();
        }
    }

    async fn next(&self) -> UserHash {
        loop {
            let first = self.lock().pop_first();
            match first {
                Some(user) => return user,
                None => self.added.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<UserHash>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What all clones of a director share about foreign sessions.
pub(super) struct Foreign {
    held: Mutex<Held<Placement>>,
    taken_over: Vec<(UserHash, Instant)>,
    /// Tells the timer that it sleeps too long.
    sooner: Arc<Notify>,
    _end: DropGuard,
}

impl Foreign {
    /// Takes over what an earlier run has left, and starts the timer that gives places back.
    pub(super) fn start(expire: Duration, tables: &Arc<Tables>) -> Arc<Self> {
        let (end, sooner) = (CancellationToken::new(), Arc::<Notify>::default());
        let mut held = Held::new(expire);
        let taken_over = take_over(&mut held, tables);
        let (held, end_of_timer) = (Mutex::new(held), end.clone().drop_guard());
        let foreign = Arc::new(Self { held, taken_over, sooner: Arc::clone(&sooner), _end: end_of_timer });
        let timer = run(Arc::downgrade(&foreign), sooner);
        tokio::spawn(async move { end.run_until_cancelled(timer).await });
        foreign
    }

    /// `director_user_expire` has another value from now on.
    pub(super) fn set_expire(&self, expire: Duration) {
        self.lock().expire = expire;
    }

    fn hold(&self, key: Key, placement: Placement, now: Instant, time: Duration) -> Result<(), ForeignError> {
        let mut held = self.lock();
        if held.is_full_for(&key, FOREIGN_USERS_MAX) {
            return Err(ForeignError::TooMany);
        }
        let is_sooner = held.next().is_none_or(|next| now + time < next);
        let replaced = held.insert(key, Hold { guard: placement, placed: now, until: now + time });
        drop(held);
        drop(replaced);
        if is_sooner {
            self.sooner.notify_one();
        }
        Ok(())
    }

    /// Gives back what nothing was heard of; returns when to come back.
    fn expire(&self) -> Option<Instant> {
        let mut held = self.lock();
        let over = held.expire(Instant::now());
        let next = held.next();
        drop(held);
        drop(over);
        next
    }

    fn lock(&self) -> MutexGuard<'_, Held<Placement>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While the program was away nobody could tell it that the sessions live. So they are believed in as if that had just
/// been told, but for lookups, whose time goes on.
fn take_over(held: &mut Held<Placement>, tables: &Arc<Tables>) -> Vec<(UserHash, Instant)> {
    let now = Instant::now();
    let mut taken_over = Vec::new();
    for ForeignSession { session, purpose, placed } in tables.foreign_sessions() {
        let Some((placement, tag)) = Placement::taken_over(tables, session) else { continue };
        let user = session.user().hash();
        let placed = now.checked_sub(tables.age(placed)).unwrap_or(now);
        let until = match purpose {
            ForeignUse::Session | ForeignUse::Unreachable => now + held.expire,
            ForeignUse::Lookup => placed + LOOKUP_TIME.min(held.expire),
        };
        if purpose == ForeignUse::Session {
            taken_over.push((user, placed));
        }
        let key = Key { user, purpose, tag: tag.into() };
        held.insert(key, Hold { guard: placement, placed, until });
    }
    taken_over
}

/// Runs until the last director is gone; keeps none of them.
async fn run(foreign: Weak<Foreign>, sooner: Arc<Notify>) {
    while let Some(next) = foreign.upgrade().map(|foreign| foreign.expire()) {
        let wake_up = next.map(|next| tokio::time::Instant::from_std(next.max(Instant::now() + PAUSE)));
        tokio::select! {
            () = sleep_until(wake_up.unwrap_or_else(tokio::time::Instant::now)), if wake_up.is_some() => {}
            () = sooner.notified() => {}
        }
    }
}

/// Foreign sessions of one user under one tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    user: UserHash,
    purpose: ForeignUse,
    tag: Box<[u8]>,
}

/// A guard, when it was last asked for, and when it is given back.
#[derive(Debug)]
struct Hold<G> {
    guard: G,
    placed: Instant,
    until: Instant,
}

/// The table of what is held. It reads no clock.
#[derive(Debug)]
struct Held<G> {
    expire: Duration,
    by_key: BTreeMap<Key, Hold<G>>,
    by_time: BTreeSet<(Instant, Key)>,
}

impl<G> Held<G> {
    fn new(expire: Duration) -> Self {
        Self { expire, by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// True if a user would be one more than `users_max`.
    fn is_full_for(&self, key: &Key, users_max: usize) -> bool {
        self.by_key.len() >= users_max && !self.by_key.contains_key(key)
    }

    /// Holds a guard for a user, in place of the one before, which is returned; never for a shorter time than that.
    fn insert(&mut self, key: Key, mut hold: Hold<G>) -> Option<G> {
        let before = self.remove(&key);
        if let Some(before) = &before {
            hold.until = hold.until.max(before.until);
        }
        self.by_time.insert((hold.until, key.clone()));
        self.by_key.insert(key, hold);
        before.map(|before| before.guard)
    }

    /// Sessions of a user, under all tags.
    fn sessions(&self, user: UserHash) -> Vec<Key> {
        let first = Key { user, purpose: ForeignUse::Session, tag: Box::default() };
        let keys = self.by_key.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.user == user && key.purpose != ForeignUse::Lookup).cloned().collect()
    }

    /// The sessions of a user live.
    fn extend(&mut self, user: UserHash, until: Instant) {
        for key in self.sessions(user) {
            if let Some(hold) = self.remove(&key) {
                self.insert(key, Hold { until: until.max(hold.until), ..hold });
            }
        }
    }

    /// The sessions of a user are over, if all of them were placed before some moment.
    fn end(&mut self, user: UserHash, placed_before: Instant) -> Vec<G> {
        let is_over = |key: &Key| {
            let is_before = self.by_key.get(key).is_some_and(|hold| hold.placed < placed_before);
            is_before && key.purpose == ForeignUse::Session
        };
        let keys: Vec<_> = self.sessions(user).into_iter().filter(is_over).collect();
        keys.iter().filter_map(|key| self.remove(key)).map(|hold| hold.guard).collect()
    }

    /// Takes out what is over.
    fn expire(&mut self, now: Instant) -> Vec<G> {
        let mut over = Vec::new();
        while let Some((_, key)) = self.by_time.first().filter(|(until, _)| *until <= now).cloned() {
            over.extend(self.remove(&key).map(|hold| hold.guard));
        }
        over
    }

    /// When something is over.
    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(until, _)| *until)
    }

    fn remove(&mut self, key: &Key) -> Option<Hold<G>> {
        let hold = self.by_key.remove(key)?;
        self.by_time.remove(&(hold.until, key.clone()));
        Some(hold)
    }
}

#[cfg(test)]
mod tests;
