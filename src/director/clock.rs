//! The clock of the core: the wall clock as it was at start, with monotonic time added.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::core::Moment;

/// Both clocks, read once and together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    unix_at_start: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        let unix_at_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), unix_at_start }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::default().after(self.unix_at_start).after(self.started.elapsed())
    }

    /// How long until then; nothing if it has passed.
    pub(super) fn until(&self, moment: Moment) -> Duration {
        moment.since(self.now())
    }
}
