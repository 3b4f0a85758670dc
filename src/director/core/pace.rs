//! At most so many of something in a second. Integers and told time only, so that it is the same everywhere.

use std::num::NonZeroU32;

use super::Moment;

/// Thousandths of one.
const WHOLE: u64 = 1000;
/// What may come at once after a pause: a tenth of a second's worth, or one.
const BURST_PART: u64 = 10;

/// A bucket of permits that fills evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    per_sec: NonZeroU32,
    /// Thousandths of permits at that moment.
    filled: u64,
    at: Moment,
}

impl Pace {
    /// A bucket with one permit.
    pub(super) fn new(per_sec: NonZeroU32, now: Moment) -> Self {
        Self { per_sec, filled: WHOLE, at: now }
    }

    /// Another number in a second from now on.
    pub(super) fn set(&mut self, per_sec: NonZeroU32, now: Moment) {
        let filled = self.filled_at(now);
        (self.per_sec, self.at) = (per_sec, now);
        self.filled = filled.min(self.full());
    }

    /// Takes a permit; whoever takes one before there is one waits longer for the next.
    pub(super) fn take(&mut self, now: Moment) {
        (self.filled, self.at) = (self.filled_at(now).saturating_sub(WHOLE), now.max(self.at));
    }

    /// When there is a permit, or was.
    pub(super) fn ready(&self) -> Moment {
        let missing = WHOLE.saturating_sub(self.filled);
        let millis = missing.div_ceil(u64::from(self.per_sec.get()));
        Moment::from_millis(self.at.millis().saturating_add(millis))
    }

    fn filled_at(&self, now: Moment) -> u64 {
        let millis = now.millis().saturating_sub(self.at.millis());
        let more = millis.saturating_mul(u64::from(self.per_sec.get()));
        self.filled.saturating_add(more).min(self.full().max(self.filled))
    }

    fn full(&self) -> u64 {
        (u64::from(self.per_sec.get()) * WHOLE / BURST_PART).max(WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_sec: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_sec).unwrap(), Moment::default())
    }

    /// Takes a permit if there is one.
    fn take(pace: &mut Pace, millis: u64) -> bool {
        let now = Moment::from_millis(millis);
        let is_ready = pace.ready() <= now;
        if is_ready {
            pace.take(now);
        }
        is_ready
    }

    /// Permits taken when asked every `every` milliseconds until then.
    fn taken(pace: &mut Pace, from: u64, until: u64, every: usize) -> usize {
        let mut count = 0;
        for millis in (from..until).step_by(every) {
            while take(pace, millis) {
                count += 1;
            }
        }
        count
    }

    #[test]
    fn permits_come_evenly_however_often_somebody_asks() {
        for per_sec in [1, 3, 50, 999, 5000] {
            for every in [1, 7, 50] {
                let count = taken(&mut pace(per_sec), 0, 10_000, every);
                let expected = 10 * per_sec as usize;
                assert!(count.abs_diff(expected) <= 1 + expected / 100, "{per_sec}/s every {every}: {count}");
            }
        }
    }

    #[test]
    fn a_pause_saves_up_a_tenth_of_a_second() {
        let mut fast = pace(100);
        assert_eq!(taken(&mut fast, 3_600_000, 3_600_001, 1), 10);
        let mut slow = pace(1);
        assert_eq!(taken(&mut slow, 3_600_000, 3_600_001, 1), 1);
    }

    #[test]
    fn ready_is_the_first_moment_with_a_permit() {
        for per_sec in [1, 3, 7, 1000] {
            let mut pace = pace(per_sec);
            for _ in 0..20 {
                let ready = pace.ready();
                if ready.millis() > 0 {
                    assert!(!take(&mut pace, ready.millis() - 1));
                }
                assert!(take(&mut pace, ready.millis()), "{per_sec}/s at {ready:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut pace = pace(1);
        let taken = [5_000, 4_000, 5_999, 6_000].map(|millis| take(&mut pace, millis));
        assert_eq!(taken, [true, false, false, true]);
    }

    #[test]
    fn another_rate_counts_from_now_on() {
        let mut pace = pace(1);
        assert!(take(&mut pace, 0));
        pace.set(NonZeroU32::new(10).unwrap(), Moment::from_millis(500));
        assert_eq!(pace.ready().millis(), 550);
    }
}
