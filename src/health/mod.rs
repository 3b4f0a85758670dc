//! How backends fare: checks of each protocol, and what logins see of them, become verdicts; a verdict takes a backend
//! down or brings it up in the director's table, as `doveadm director down` and `up` do (spec/director.md 10, W11).
//! `verdicts` decides; this room gives it time, checks and the table, and does what it says. It knows neither
//! sessions nor dialects, and what a change does to users is the director's business.

mod probe;
mod service;
mod verdicts;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    backend::{Backends, Watcher},
    config::settings::HealthSettings,
    director::Director,
};
use probe::Prober;
pub use verdicts::Verdict;
use verdicts::{Rules, Verdicts};

/// The health checks of this program. Clones share everything; with the last one gone, nobody is checked any more.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
    _end: Arc<DropGuard>,
}

/// What the background work and the watcher share.
struct Shared {
    director: Director,
    /// Empty while nothing is checked.
    prober: ArcSwapOption<Prober>,
    verdicts: Mutex<Option<Verdicts>>,
    wake: Notify,
    /// Held from a decision until it is done, so that nothing is done any more once the checks have ended.
    turn: Mutex<()>,
}

impl Health {
    /// Checks nothing until [`Health::reload`] says what.
    pub fn new(director: Director) -> Self {
        let shared = Arc::new(Shared {
            director,
            prober: ArcSwapOption::empty(),
            verdicts: Mutex::new(None),
            wake: Notify::new(),
            turn: Mutex::new(()),
        });
        let end = CancellationToken::new();
        tokio::spawn(service::run(Arc::clone(&shared), end.clone()));
        Self { shared, _end: Arc::new(end.drop_guard()) }
    }

    /// What tells of logins.
    pub fn watcher(&self) -> Watcher {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move |sighting| {
            if let Some(shared) = shared.upgrade() {
                shared.sighted(sighting);
            }
        })
    }

    /// Takes over changed settings; what is known of backends stays. Without checks nothing is marked any more; what
    /// was marked down stays so, and is named in the log.
    pub fn reload(&self, settings: &HealthSettings, backends: Backends) {
        let rules = Rules::of(settings);
        if rules.services.is_empty() {
            if self.shared.end() {
                self.shared.name_the_down();
            }
            return;
        }
        self.shared.prober.store(Some(Arc::new(Prober::new(settings, backends))));
        let mut verdicts = self.shared.lock();
        match verdicts.as_mut() {
            Some(verdicts) => verdicts.set_rules(rules),
            None => *verdicts = Some(Verdicts::new(rules, getrandom::u64().unwrap_or_default())),
        }
        drop(verdicts);
        self.shared.wake.notify_one();
    }

    /// The program ends: nobody is checked any more, and weights that are still rising are what they were before, so
    /// that nothing half-done is written down for the next run.
    pub fn stop(&self) {
        self.shared.end();
    }

    /// How each protocol of each backend fares, by address; empty while nothing is checked. Holds the lock for a copy.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.shared.lock().as_ref().map(Verdicts::rows).unwrap_or_default()
    }
}

impl Shared {
    /// Nobody is checked any more. False if nobody was.
    fn end(&self) -> bool {
        let _turn = self.turn();
        self.prober.store(None);
        let verdicts = self.lock().take();
        let was_checking = verdicts.is_some();
        self.end_slow_starts(verdicts);
        was_checking
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Verdicts>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
