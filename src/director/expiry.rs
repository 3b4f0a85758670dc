//! The timer that forgets users who have not been seen for a while. Logins never meet an expired mapping, timer or
//! not: it only gives memory back.

use std::{sync::Weak, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::tables::Tables;

/// Shortest pause between two runs, so that a thousand users who expire in one second cost one run.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until the other end of `changes` is gone. A change of the settings starts a new round.
pub(super) async fn run(tables: Weak<Tables>, mut changes: watch::Receiver<()>) {
    while let Some(wake_up) = tables.upgrade().map(|tables| tables.expire()) {
        let wake_up = Instant::from_std(wake_up).max(Instant::now() + PAUSE);
        tokio::select! {
            () = sleep_until(wake_up) => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}
