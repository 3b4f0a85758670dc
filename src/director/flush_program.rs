//! Runs the flush program for users that were moved (spec/director.md 4.8): it tidies up at the old backend before the
//! user may come back, and says whether the kick delay can be left out. When a run is due, and what follows from its
//! answer, the core decides.

mod exchange;
mod target;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{
    sync::{Notify, Semaphore},
    task::{AbortHandle, JoinSet},
};

use super::{
    core::{FlushProgram, FlushRun, Operation, Origin, UserHash},
    tables::Tables,
};
pub(super) use target::{FlushTarget, TargetError};

/// Programs that run at one time. As many as users are moved at one time by default; further ones wait, and the time
/// limit of a run counts meanwhile.
const RUNS_MAX: usize = 100;

/// What the core wants done, in order. No more than a few for each move under way.
#[derive(Debug, Default)]
pub(super) struct FlushJobs {
    waiting: Mutex<VecDeque<FlushJob>>,
    added: Notify,
    target: Mutex<Option<FlushTarget>>,
}

#[derive(Debug)]
pub(super) enum FlushJob {
    Run(FlushProgram),
    Abort(FlushRun),
}

impl FlushJobs {
    pub(super) fn add(&self, jobs: impl IntoIterator<Item = FlushJob>) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.len();
        waiting.extend(jobs);
        if waiting.len() > before {
            self.added.notify_one();
        }
    }

    /// Programs that start from now on are there; `None`: nowhere.
    pub(super) fn set_target(&self, target: Option<FlushTarget>) {
        *lock(&self.target) = target;
    }

    async fn next(&self) -> FlushJob {
        loop {
            let first = lock(&self.waiting).pop_front();
            match first {
                Some(job) => return job,
                None => self.added.notified().await,
            }
        }
    }

    fn target(&self) -> Option<FlushTarget> {
        lock(&self.target).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs for as long as there are tables; ends programs when it is dropped.
pub(super) async fn run(tables: Weak<Tables>, jobs: Arc<FlushJobs>) {
    let (mut running, places) = (JoinSet::new(), Arc::new(Semaphore::new(RUNS_MAX)));
    let mut by_run: HashMap<FlushRun, (AbortHandle, UserHash)> = HashMap::new();
    loop {
        tokio::select! {
            job = jobs.next() => match job {
                FlushJob::Run(program) => {
                    let (run, user) = (program.run, program.user);
                    let (target, places) = (jobs.target(), Arc::clone(&places));
                    let task = running.spawn(async move {
                        let _place = places.acquire().await;
                        (run, perform(target, &program).await)
                    });
                    by_run.insert(run, (task, user));
                }
                FlushJob::Abort(run) => {
                    if let Some((task, user)) = by_run.remove(&run) {
                        task.abort();
                        tracing::error!("flush program for user hash {user} took too long and was ended");
                    }
                }
            },
            Some(ended) = running.join_next() => {
                let (Ok((run, success)), Some(tables)) = (ended, tables.upgrade()) else { continue };
                by_run.remove(&run);
                // An answer that nobody waits for any more changes nothing.
                let _told = tables.apply(Origin::Operator, Operation::FlushDone { run, success });
            }
        }
    }
}

/// True if the kick delay need not be waited for.
async fn perform(target: Option<FlushTarget>, program: &FlushProgram) -> bool {
    // Switched off meanwhile.
    let Some(target) = target else { return false };
    let address = target.address(&program.new);
    match exchange::exchange(&address, program).await {
        Ok(exchange::Outcome::Success) => true,
        Ok(exchange::Outcome::Failure { lines }) => {
            let (user, host) = (program.user, program.new.ip);
            for line in lines {
                tracing::error!("{address}: Failed to flush user hash {user} in host {host}: {line}");
            }
            false
        }
        Err(error) => {
            tracing::error!("program {address}: {error}");
            false
        }
    }
}
