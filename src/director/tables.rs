//! The core behind a lock, with a clock. The one place where its actions are performed.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use homing_login::UserName;
use tokio::sync::{Notify, watch};

use super::{
    PlaceError, PlaceRequest, SessionLine,
    by_session::BySession,
    clock::Clock,
    core::{
        Action, Activity, Core, ForeignSession, ForeignUse, Moment, Operation, OperationError, Origin,
        Placed, STEP_USERS_MAX, Saved, SavedHosts, SavedUser, SessionKey, Table, UnsavedChanges, UserCursor,
        UserHash, Wait,
    },
    counted,
    flush_program::{FlushJob, FlushJobs},
    foreign::ForeignKicks,
    history::History,
    state, told,
    wakes::Wakes,
};

/// Longest sleep of the timer: keeps sums of times small, whatever is configured.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// What all clones of a director and all placements share.
pub(super) struct Tables {
    state: Mutex<State>,
    clock: Clock,
    /// Tells waiting logins to ask again.
    wakes: Wakes,
    /// Tells the timer that it sleeps too long.
    sooner: Arc<Notify>,
    foreign_kicks: ForeignKicks,
    flush_jobs: Arc<FlushJobs>,
    /// Tells that a move, a flush or a drain is further.
    progress: watch::Sender<()>,
    /// Tells that a session has ended, if anybody asks.
    ends: watch::Sender<()>,
    /// Tells that a change should be written down soon.
    soon: Arc<Notify>,
}

struct State {
    core: Core,
    /// False without `director_mail_servers`.
    configured: bool,
    /// How to end each session; foreign ones are not among them.
    stops: BySession<SessionLine>,
    /// When the timer comes back; never, if `None`.
    timer: Option<Moment>,
    history: History,
}

impl State {
    /// True if the timer sleeps too long; it has to be told.
    fn is_sooner(&mut self) -> bool {
        let next = self.core.next_step();
        let is_sooner = next.is_some_and(|next| self.timer.is_none_or(|timer| next < timer));
        if is_sooner {
            self.timer = next;
        }
        is_sooner
    }
}

impl Tables {
    /// Tables that are empty, or as an earlier run has left them.
    pub(super) fn new(table: Table, configured: bool, saved: Option<Saved>) -> Self {
        let clock = Clock::new();
        let foreign_kicks = ForeignKicks::default();
        let core = match saved {
            Some(saved) => state::restored(clock.now(), table, saved, &foreign_kicks),
            None => Core::new(clock.now(), table),
        };
        let state = State { core, configured, stops: BySession::new(), timer: None, history: History::new() };
        let news = || watch::Sender::new(());
        Self {
            state: Mutex::new(state),
            clock,
            wakes: Wakes::new(),
            sooner: Arc::default(),
            foreign_kicks,
            flush_jobs: Arc::default(),
            progress: news(),
            ends: news(),
            soon: Arc::default(),
        }
    }

    /// Fires whenever waiting logins of the user may ask again. Should the rules of hashing change, everybody may.
    pub(super) fn wakes(&self, user: &UserName) -> watch::Receiver<()> {
        self.wakes.of(self.hash(user))
    }

    /// Fires whenever a move has ended, a flush has looked at all its users or ended, or a drain does something else.
    pub(super) fn progress(&self) -> watch::Receiver<()> {
        self.progress.subscribe()
    }

    /// Fires whenever a session has ended.
    pub(super) fn session_ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    /// Looks at what happened lately.
    pub(super) fn recall<T>(&self, view: impl FnOnce(&History) -> T) -> T {
        view(&self.lock().history)
    }

    /// Looks at the tables. `view` keeps logins waiting.
    pub(super) fn read<T>(&self, view: impl FnOnce(&Core, Moment) -> T) -> T {
        view(&self.lock().core, self.clock.now())
    }

    /// Ends the sessions of a user but for those on one backend; the number of those that were not ending yet.
    pub(super) fn kick(&self, user: UserHash, except: Option<IpAddr>) -> u64 {
        let mut state = self.lock();
        let (core, now) = (&state.core, self.clock.now());
        let place = |session: SessionKey| {
            let tag = core.tag_of(session.user());
            core.lookup(now, tag, user).current.map(|row| row.ip)
        };
        let meant = core.sessions_of(user).filter(|session| except.is_none() || place(*session) != except);
        let stops = meant.filter_map(|session| Some((session, state.stops.get(&session).cloned()?)));
        let fresh: Vec<_> = stops.filter(|(_, stop)| !stop.is_cancelled()).collect();
        let told: Vec<_> =
            fresh.iter().filter_map(|(session, _)| Some(kicked(*session, place(*session)?))).collect();
        state.history.note(now, &told);
        drop(state);
        told.iter().for_each(told::tell);
        // Without the lock: sessions that wake up give their placements back.
        fresh.iter().for_each(|(_, stop)| stop.cancel());
        fresh.len() as u64
    }

    pub(super) fn sooner(&self) -> Arc<Notify> {
        Arc::clone(&self.sooner)
    }

    /// Users whose foreign sessions have to end.
    pub(super) fn foreign_kicks(&self) -> &ForeignKicks {
        &self.foreign_kicks
    }

    /// Runs of the flush program that are due.
    pub(super) fn flush_jobs(&self) -> &Arc<FlushJobs> {
        &self.flush_jobs
    }

    /// Registers a session, or says why that has to wait.
    pub(super) fn place(
        &self,
        request: PlaceRequest<'_>,
        stop: &SessionLine,
    ) -> Result<Result<Placed, Wait>, PlaceError> {
        self.place_with(request, |state, now, hash| {
            let placed = state.core.place(now, request.tag, hash)?;
            state.stops.insert(placed.session, stop.clone());
            Ok(placed)
        })
    }

    /// [`Tables::place`] for a foreign session. A restart must know of it soon, since it does not end then.
    pub(super) fn place_foreign(
        &self,
        request: PlaceRequest<'_>,
        purpose: ForeignUse,
    ) -> Result<Result<Placed, Wait>, PlaceError> {
        let placed = self.place_with(request, |state, now, hash| {
            state.core.place_foreign(now, request.tag, hash, purpose)
        });
        if purpose != ForeignUse::Lookup {
            self.soon.notify_one();
        }
        placed
    }

    /// The name is hashed under the lock, since a reload must not change the rules between hashing and placing.
    fn place_with(
        &self,
        request: PlaceRequest<'_>,
        place: impl FnOnce(&mut State, Moment, UserHash) -> Result<Placed, Wait>,
    ) -> Result<Result<Placed, Wait>, PlaceError> {
        let mut state = self.lock();
        let hash = state.core.hash(request.user.as_bytes());
        let now = self.clock.now();
        let placed = match place(&mut state, now, hash) {
            Ok(placed) => placed,
            Err(Wait::NoHost) if !state.configured => return Err(PlaceError::NoDirector),
            Err(wait) => {
                // Its end may be the next thing to come.
                if state.is_sooner() {
                    self.sooner.notify_one();
                }
                return Ok(Err(wait));
            }
        };
        let (user, ip, cause) = (placed.session.user(), placed.host.ip, placed.cause);
        if placed.fresh {
            state.history.note_placed(now, user, ip, cause);
        }
        drop(state);
        if placed.fresh {
            tracing::debug!("user hash {}: placed on {ip} {cause}", user.hash());
        }
        Ok(Ok(placed))
    }

    /// The sessions of other programs.
    pub(super) fn foreign_sessions(&self) -> Vec<ForeignSession> {
        self.lock().core.foreign_sessions().collect()
    }

    /// How long a moment is over.
    pub(super) fn age(&self, moment: Moment) -> Duration {
        self.clock.now().since(moment)
    }

    /// The moment of an instant.
    pub(super) fn moment(&self, at: Instant) -> Moment {
        self.clock.at(at)
    }

    /// A person has ended a session by other ways.
    pub(super) fn note_kicked(&self, session: SessionKey, ip: IpAddr) {
        self.lock().history.note(self.clock.now(), &[kicked(session, ip)]);
    }

    /// The user was heard of: mappings live on, none is made.
    pub(super) fn refresh(&self, user: &UserName) -> UserHash {
        let mut state = self.lock();
        let user = state.core.hash(user.as_bytes());
        state.core.refresh(self.clock.now(), user);
        user
    }

    /// A session has ended.
    pub(super) fn release(&self, session: SessionKey) {
        let mut state = self.lock();
        state.stops.remove(&session);
        let now = self.clock.now();
        let actions = state.core.release(now, session);
        self.perform(state, now, &actions);
        if self.ends.receiver_count() > 0 {
            self.ends.send_replace(());
        }
    }

    /// Does what is due; returns when to come back.
    pub(super) fn step(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = self.clock.now();
        let State { core, stops, .. } = &mut *state;
        let actions = core.step_among(now, &Lines(stops));
        let next = state.core.next_step();
        state.timer = next;
        self.perform(state, now, &actions);
        next.map(|next| Instant::now() + self.clock.until(next).min(SLEEP_MAX))
    }

    pub(super) fn configure(&self, table: Table, configured: bool) -> Result<(), OperationError> {
        let mut state = self.lock();
        let operation = Operation::Configure(table);
        let now = self.clock.now();
        let actions = state.core.apply(now, Origin::Configuration, operation)?;
        state.configured = configured;
        tracing::debug!("hosts_hash={}", state.core.hosts().checksum());
        self.perform(state, now, &actions);
        Ok(())
    }

    /// Changes the tables; returns what was done and told.
    pub(super) fn apply(&self, origin: Origin, operation: Operation) -> Result<Vec<Action>, OperationError> {
        let mut state = self.lock();
        let now = self.clock.now();
        let actions = state.core.apply(now, origin, operation)?;
        self.perform(state, now, &actions);
        Ok(actions)
    }

    /// Performs the actions. Lets go of the lock before sessions wake up: they give their placements back.
    fn perform(&self, mut state: MutexGuard<'_, State>, now: Moment, actions: &[Action]) {
        state.history.note(now, actions);
        let (mut stops, mut foreign) = (Vec::new(), Vec::new());
        for action in actions {
            let Action::Kick { session } = action else { continue };
            match state.stops.get(session) {
                Some(stop) => stops.push(stop.clone()),
                None => foreign.push(session.user().hash()),
            }
        }
        let is_sooner = state.is_sooner();
        drop(state);
        actions.iter().for_each(counted::count);
        actions.iter().for_each(told::tell);
        stops.iter().for_each(SessionLine::cancel);
        self.foreign_kicks.add(foreign);
        self.flush_jobs.add(actions.iter().filter_map(|action| match action {
            Action::RunFlush(program) => Some(FlushJob::Run(program.clone())),
            Action::AbortFlush { run } => Some(FlushJob::Abort(*run)),
            _ => None,
        }));
        self.wakes.ring(actions);
        let is_further = |action: &Action| {
            matches!(
                action,
                Action::MoveEnded(_)
                    | Action::FlushWalked { .. }
                    | Action::FlushEnded { .. }
                    | Action::DrainChanged { .. }
            )
        };
        if actions.iter().any(is_further) {
            self.progress.send_replace(());
        }
        if is_sooner {
            self.sooner.notify_one();
        }
        if actions.iter().any(state::is_pressing) {
            self.soon.notify_one();
        }
    }

    /// Fires when something was changed that should be written down soon.
    pub(super) fn soon(&self) -> Arc<Notify> {
        Arc::clone(&self.soon)
    }

    /// See [`Core::begin_saving`].
    pub(super) fn begin_saving(&self) -> SavedHosts {
        self.lock().core.begin_saving()
    }

    /// Some mappings to be written down, and where to go on.
    pub(super) fn saved_users(&self, from: UserCursor) -> (Vec<SavedUser>, Option<UserCursor>) {
        self.lock().core.saved_users(from, STEP_USERS_MAX)
    }

    /// True if something is not written down.
    pub(super) fn has_unsaved(&self) -> bool {
        self.lock().core.has_unsaved()
    }

    /// Some of that.
    pub(super) fn take_unsaved(&self) -> UnsavedChanges {
        self.lock().core.take_unsaved(STEP_USERS_MAX)
    }

    pub(super) fn hash(&self, user: &UserName) -> UserHash {
        self.lock().core.hash(user.as_bytes())
    }

    #[cfg(test)]
    pub(super) fn hosts(&self) -> super::core::Hosts {
        self.lock().core.hosts().clone()
    }

    /// Numbers of mappings and of sessions.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let core = &self.lock().core;
        (core.user_count(), core.session_count())
    }

    /// When the core has something to do.
    #[cfg(test)]
    pub(super) fn next_step(&self) -> Option<Moment> {
        self.lock().core.next_step()
    }

    /// Logins that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.wakes.waiting()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session was ended by a person.
fn kicked(session: SessionKey, ip: IpAddr) -> Action {
    Action::UserKicked { user: session.user(), ip, sessions: 1, origin: Origin::Operator }
}

/// How busy the sessions are that this program forwards. Of others nothing is known, so they count as quiet.
struct Lines<'a>(&'a BySession<SessionLine>);

impl Activity for Lines<'_> {
    fn quiet_since(&self, session: SessionKey) -> Option<Moment> {
        self.0.get(&session).map_or(Some(Moment::default()), SessionLine::quiet_since)
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}
