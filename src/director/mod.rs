//! Which backend a user belongs to. [`core`] decides; this room gives it time, addresses of names and a lock, and
//! hands out placements as guards. It does not know dialects, auth services or TLS.

mod by_session;
mod clock;
pub mod core;
mod counted;
mod error;
mod explain;
mod flush_program;
mod foreign;
mod history;
mod line;
mod names;
mod placement;
pub mod state;
mod tables;
mod timer;
mod told;
mod views;
mod waits;
mod wakes;

#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use homing_login::UserName;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::core::{
    Action, MailServer, Naming, Operation, OperationError, Origin, Rules, Saved, UsernameFormat, Wait,
};
use crate::config::settings::DirectorSettings;
pub use error::{DirectorError, PlaceError};
pub use explain::{ExplainedBackend, Explanation};
use flush_program::FlushTarget;
use foreign::Foreign;
pub use foreign::{FOREIGN_USERS_MAX, ForeignError, ForeignPlace, ForeignUse, LOOKUP_TIME};
pub use history::{
    HISTORY_HOSTS_MAX, HISTORY_PLACED_MAX, HISTORY_SHOWN_MAX, HISTORY_USERS_MAX, HistoryEntry, HostEntry,
    HostEvent, HostLook, UserEvent,
};
pub use line::SessionLine;
use names::{Names, Plan, Resolver};
pub use placement::Placement;
use placement::SessionPlace;
use state::{Keeper, Store};
use tables::Tables;
pub use views::Census;

/// How long a login waits for a usable backend before it fails. 30 s, as the reference has it (spec/director.md 8.1),
/// though its shared timer makes that up to 60 s (W15).
const QUEUE_TIME: Duration = Duration::from_secs(30);

/// The director of this program. Clones share everything.
#[derive(Clone)]
pub struct Director {
    tables: Arc<Tables>,
    names: Arc<Names>,
    foreign: Arc<Foreign>,
    /// Who may walk over the users.
    walks: Arc<Semaphore>,
    /// Writes down what a restart must not lose.
    keeper: Option<Arc<Keeper>>,
    /// Ends the timer with the last clone, though placements may live on.
    _timer: Arc<DropGuard>,
}

/// A login that asks for its backend.
#[derive(Debug, Clone, Copy)]
pub struct PlaceRequest<'a> {
    /// Name at the backend, a master user behind it or not; hashed.
    pub user: &'a UserName,
    /// `director_tag` of the auth reply; empty for none.
    pub tag: &'a [u8],
}

impl Director {
    /// Resolves the backends and starts without users. Names that have no address are a warning: they come in by
    /// themselves when they have one, as other addresses do, and logins wait for a backend meanwhile.
    pub async fn new(settings: &DirectorSettings) -> Result<Self, DirectorError> {
        Self::with_resolver(settings, Resolver::of_system(), None).await
    }

    /// As [`Director::new`], but goes on where the last run ended and writes down what the next one needs, in
    /// `director_state_dir` if that is set.
    pub async fn start(settings: &DirectorSettings) -> Result<Self, DirectorError> {
        let resolver = Resolver::of_system();
        let Some(folder) = settings.state_dir.clone() else {
            return Self::with_resolver(settings, resolver, None).await;
        };
        let opened = tokio::task::spawn_blocking(move || Store::open(&folder)).await;
        let (store, saved) = opened.map_err(std::io::Error::other).map_err(DirectorError::Reading)??;
        let mut director = Self::with_resolver(settings, resolver, saved).await?;
        director.keeper = Some(Arc::new(Keeper::start(store, &director.tables)));
        Ok(director)
    }

    /// Writes down what is left. The last thing to be done.
    pub async fn finish(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.finish().await;
        }
    }

    async fn with_resolver(
        settings: &DirectorSettings,
        resolver: Resolver,
        saved: Option<Saved>,
    ) -> Result<Self, DirectorError> {
        let flush = FlushTarget::parse(&settings.flush_socket)?;
        let names = Names::start(plan(settings)?, resolver, saved).await?;
        let tables = Arc::clone(names.tables());
        tables.flush_jobs().set_target(flush);
        let end = CancellationToken::new();
        let programs = flush_program::run(Arc::downgrade(&tables), Arc::clone(tables.flush_jobs()));
        let programs_end = end.clone();
        tokio::spawn(async move { programs_end.run_until_cancelled(programs).await });
        tokio::spawn(timer::run(Arc::downgrade(&tables), tables.sooner(), end.clone()));
        let foreign = Foreign::start(settings.user_expire, &tables);
        let walks = Arc::new(Semaphore::new(views::WALKS_MAX));
        Ok(Self { tables, names, foreign, walks, keeper: None, _timer: Arc::new(end.drop_guard()) })
    }

    /// Takes over changed settings, or nothing of them. Mappings and sessions survive, and so do changes made while
    /// running ([`Operation::Configure`]). A slow resolver delays it by some seconds at most.
    pub async fn reload(&self, settings: &DirectorSettings) -> Result<(), DirectorError> {
        let flush = FlushTarget::parse(&settings.flush_socket)?;
        self.names.reload(plan(settings)?).await?;
        self.tables.flush_jobs().set_target(flush);
        self.foreign.set_expire(settings.user_expire);
        Ok(())
    }

    /// The names in `director_mail_servers` that have no address now.
    pub fn names_without_address(&self) -> Vec<String> {
        self.names.without_address()
    }

    /// Gives a login its backend. Waits for a while if none is usable now or the user is being moved. The session
    /// counts from here until the placement is dropped.
    pub async fn place(&self, request: PlaceRequest<'_>) -> Result<Placement, PlaceError> {
        self.place_within(QUEUE_TIME, request).await
    }

    async fn place_within(
        &self,
        patience: Duration,
        request: PlaceRequest<'_>,
    ) -> Result<Placement, PlaceError> {
        self.place_somewhere(patience, request, SessionPlace::Here).await
    }

    async fn place_somewhere(
        &self,
        patience: Duration,
        request: PlaceRequest<'_>,
        place: SessionPlace,
    ) -> Result<Placement, PlaceError> {
        let deadline = Instant::now() + patience;
        // Most logins wait for nothing, so nobody listens before the second question.
        let (mut waited, mut wakes) = (None, None);
        loop {
            let wait = match Placement::take(&self.tables, request, place)? {
                Ok(placement) => return Ok(placement.after(waited)),
                Err(wait) => wait,
            };
            waited = Some(wait);
            if let Some(heard) = &mut wakes
                && !self.hears(heard, wait, deadline).await
            {
                return Err(PlaceError::Timeout {
                    wait,
                    waited_secs: patience.as_secs(),
                    hash: self.tables.hash(request.user),
                    tag: homing_wire::printable(request.tag),
                });
            }
            wakes = Some(self.tables.wakes(request.user));
        }
    }

    /// Waits until it may make sense to ask again; false if there is no time left.
    async fn hears(&self, wakes: &mut watch::Receiver<()>, wait: Wait, deadline: Instant) -> bool {
        let _waiting = waits::Waiting::new(wait);
        matches!(tokio::time::timeout_at(deadline, wakes.changed()).await, Ok(Ok(())))
    }

    /// Ends the sessions of a user, logins in progress included. Sessions are found by what was hashed, never by
    /// a login name (spec/director.md 10, W1, W2).
    pub fn kick(&self, user: &UserName) {
        let user = self.tables.hash(user);
        // A kick cannot be refused.
        let _told = self.tables.apply(Origin::Operator, Operation::KickUser { user });
    }

    /// Changes the tables and does what follows: kicks reach their sessions, waiting logins ask again, events are
    /// logged. Returns what was done.
    pub fn apply(&self, origin: Origin, operation: Operation) -> Result<Vec<Action>, OperationError> {
        self.tables.apply(origin, operation)
    }
}

/// The settings as parsed.
fn plan(settings: &DirectorSettings) -> Result<Plan, DirectorError> {
    let format = UsernameFormat::parse(&settings.username_hash)?;
    let naming = Naming { format, master_user_separator: settings.master_user_separator };
    let words: Result<Vec<_>, _> = settings.mail_servers.iter().map(|word| MailServer::parse(word)).collect();
    Ok(Plan { servers: words?, rules: rules(settings, naming) })
}

fn rules(settings: &DirectorSettings, naming: Naming) -> Rules {
    Rules {
        naming,
        expire: settings.user_expire,
        kick_delay: settings.user_kick_delay,
        moves_max: NonZeroU32::new(settings.parallel_moves_max).unwrap_or(NonZeroU32::MIN),
        flush_program: !settings.flush_socket.is_empty(),
    }
}
