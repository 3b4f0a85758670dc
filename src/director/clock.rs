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
        self.at(Instant::now())
    }

    /// The moment of an instant that somebody else has read.
    pub(super) fn at(&self, instant: Instant) -> Moment {
        Moment::default().after(self.unix_at_start).after(instant.saturating_duration_since(self.started))
    }

    /// How long until then; nothing if it has passed.
    pub(super) fn until(&self, moment: Moment) -> Duration {
        moment.since(self.now())
    }
}
