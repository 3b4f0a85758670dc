//! Time as the core sees it: a number that somebody else reads off a clock.

use std::time::Duration;

/// A moment: milliseconds since the Unix epoch on a clock that runs evenly. The shell reads the wall clock once and
/// adds monotonic time to it, so a person who sets the clock neither ages nor revives mappings (spec/director.md
/// 10, W20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Seconds since the Unix epoch, as admin commands show them.
    pub const fn unix_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment this much later, rounded up to milliseconds; the end of time at most.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(time)))
    }

    /// The latest moment that is this much earlier, the opposite of [`Moment::after`]; none before the epoch.
    pub fn before(self, time: Duration) -> Option<Self> {
        self.0.checked_sub(whole_millis(time)).map(Self)
    }

    /// Time since an earlier moment; nothing if that is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_neither_wrap_nor_go_negative() {
        let noon = Moment::from_millis(1_999);
        assert_eq!(noon.unix_secs(), 1);
        assert_eq!(noon.after(Duration::from_micros(1)).millis(), 2_000);
        assert_eq!(noon.after(Duration::from_micros(1)).before(Duration::from_micros(1)), Some(noon));
        assert_eq!(noon.before(Duration::from_secs(2)), None);
        assert_eq!(noon.after(Duration::MAX).millis(), u64::MAX);
        assert_eq!(noon.since(Moment::from_millis(3_000)), Duration::ZERO);
        assert_eq!(Moment::from_millis(3_000).since(noon), Duration::from_millis(1_001));
    }
}
