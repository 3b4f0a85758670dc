//! When the state is written: soon after changes of backends and moves, a little later after others, and at the end.
//! The writing itself is done by a thread that may block.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::Store;
use crate::director::tables::Tables;

/// Pause between two writes. A login or a logout that is lost by a kill is found again by the hash, unless backends
/// have changed since the mapping was made.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// How long a change of a backend or a move waits for others to be written together.
pub(super) const SOON: Duration = Duration::from_millis(100);

/// Pause after a failure, doubled each time up to [`RETRY_MAX`]: everything is written then.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The writer of one director.
pub(in super::super) struct Keeper {
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(in super::super) fn start(store: Store, tables: &Arc<Tables>) -> Self {
        let stop = CancellationToken::new();
        let work = keep(store, Arc::downgrade(tables), tables.soon(), stop.clone());
        Self { stop, task: Mutex::new(Some(tokio::spawn(work))) }
    }

    /// Writes what is left. Nothing is written afterwards, and the folder is free.
    pub(in super::super) async fn finish(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // If it has panicked it has ended, too.
            let _ = task.await;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn keep(store: Store, tables: Weak<Tables>, soon: Arc<Notify>, stop: CancellationToken) {
    let mut trouble = Trouble::default();
    let (mut store, mut pause) = (store, Duration::ZERO);
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = soon_enough(&soon), if !trouble.is_there() => {}
            () = stop.cancelled() => {}
        }
        let is_last = stop.is_cancelled();
        let Some(tables) = tables.upgrade() else { return };
        let write = move || {
            let outcome = store.save(&tables);
            (store, outcome)
        };
        let Ok((back, outcome)) = tokio::task::spawn_blocking(write).await else {
            return tracing::error!("director_state_dir: the writer has ended; nothing is written any more");
        };
        store = back;
        pause = trouble.pause_after(outcome);
        if is_last {
            return;
        }
    }
}

async fn soon_enough(soon: &Notify) {
    soon.notified().await;
    sleep(SOON).await;
}

/// What goes wrong, told once.
#[derive(Default)]
struct Trouble {
    told: Option<String>,
    pause: Duration,
}

impl Trouble {
    fn is_there(&self) -> bool {
        self.told.is_some()
    }

    /// When to come back.
    fn pause_after(&mut self, outcome: std::io::Result<()>) -> Duration {
        let Err(error) = outcome else {
            if self.told.take().is_some() {
                tracing::info!("director_state_dir: the state is written again");
            }
            self.pause = Duration::ZERO;
            return PAUSE;
        };
        let text = error.to_string();
        if self.told.as_ref() != Some(&text) {
            tracing::error!(
                "director_state_dir: the state cannot be written: {text}; a restart now would lose changes; tried again"
            );
            self.told = Some(text);
        }
        self.pause = (self.pause * 2).clamp(RETRY_MIN, RETRY_MAX);
        self.pause
    }
}
