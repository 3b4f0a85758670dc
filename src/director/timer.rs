//! The timer behind the core: expired mappings, moves and flushes go on by it. It knows when, not what.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::tables::Tables;

/// Shortest pause between two steps: logins come in between, and what is due in the same moment costs one step.
const PAUSE: Duration = Duration::from_millis(5);

/// Runs until `end` fires. `sooner` tells that the next step is earlier than it was when the last one ended.
pub(super) async fn run(tables: Weak<Tables>, sooner: Arc<Notify>, end: CancellationToken) {
    let steps = async {
        while let Some(next) = tables.upgrade().map(|tables| tables.step()) {
            sleep(PAUSE).await;
            tokio::select! {
                () = wake_up(next) => {}
                () = sooner.notified() => {}
            }
        }
    };
    end.run_until_cancelled(steps).await;
}

async fn wake_up(at: Option<std::time::Instant>) {
    match at {
        Some(at) => sleep_until(Instant::from_std(at)).await,
        None => std::future::pending().await,
    }
}
