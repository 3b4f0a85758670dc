//! How one protocol of one backend fares: checks and logins go in, up or down comes out, not before enough of them in
//! a row agree. It reads no clock and knows neither other backends nor what follows.

use std::time::Duration;

use crate::director::core::Moment;

/// Of what happens to many logins in the same moment only one counts, since it has one reason.
pub(super) const BURST: Duration = Duration::from_millis(500);

/// Longest reason kept, in characters. Some of it is a backend's own words.
const REASON_CHARS_MAX: usize = 200;

/// How many in a row decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hysteresis {
    /// Failures until down.
    pub(super) fall: u32,
    /// Successes until up again.
    pub(super) rise: u32,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// It works.
    Good,
    /// It does not, in words.
    Bad(String),
}

/// One protocol of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch {
    down: bool,
    /// Since when it is up or down.
    since: Moment,
    /// In a row; one of both is 0.
    failures: u32,
    successes: u32,
    /// The first failure in the row.
    failing_since: Option<Moment>,
    last_success: Option<Moment>,
    last_failure: Option<Moment>,
    reason: Option<String>,
    latency: Option<Duration>,
}

impl Watch {
    /// Nothing is known: it counts as up, or as down if it was taken down for it before.
    pub(super) fn new(now: Moment, down: bool) -> Self {
        Self {
            down,
            since: now,
            failures: 0,
            successes: 0,
            failing_since: None,
            last_success: None,
            last_failure: None,
            reason: None,
            latency: None,
        }
    }

    /// A check has ended. `latency` is how long it took.
    pub(super) fn checked(&mut self, now: Moment, limits: Hysteresis, seen: Seen, latency: Duration) {
        self.latency = Some(latency);
        self.count(now, limits, seen);
    }

    /// A login has seen it. Returns true if that counts.
    pub(super) fn sighted(&mut self, now: Moment, limits: Hysteresis, seen: Seen) -> bool {
        let last = match seen {
            // Whatever it was that failed is over.
            Seen::Good if self.failures > 0 => None,
            Seen::Good => self.last_success,
            Seen::Bad(_) => self.last_failure,
        };
        let counts = last.is_none_or(|last| now.since(last) >= BURST);
        if counts {
            self.count(now, limits, seen);
        }
        counts
    }

    fn count(&mut self, now: Moment, limits: Hysteresis, seen: Seen) {
        match seen {
            Seen::Good => {
                self.failures = 0;
                self.failing_since = None;
                self.successes = self.successes.saturating_add(1);
                self.last_success = Some(now);
                if self.down && self.successes >= limits.rise {
                    (self.down, self.since) = (false, now);
                }
            }
            Seen::Bad(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(now);
                self.last_failure = Some(now);
                self.reason = Some(reason.chars().take(REASON_CHARS_MAX).collect());
                if !self.down && self.failures >= limits.fall {
                    (self.down, self.since) = (true, now);
                }
            }
        }
    }

    /// A person says that it is up: what was counted before says nothing any more.
    pub(super) fn forgive(&mut self, now: Moment) {
        *self = Self { latency: self.latency, reason: self.reason.take(), ..Self::new(now, false) };
    }

    pub(super) fn is_down(&self) -> bool {
        self.down
    }

    pub(super) fn since(&self) -> Moment {
        self.since
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn successes(&self) -> u32 {
        self.successes
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Since when the present row of failures makes it count as down: whoever is reached later shows that the fault is
    /// not on this side.
    pub(super) fn fallen_at(&self) -> Moment {
        self.failing_since.map_or(self.since, |failing| failing.max(self.since))
    }

    /// The last success, if nothing has failed since.
    pub(super) fn working_at(&self) -> Option<Moment> {
        self.last_success.filter(|_| self.failures == 0)
    }

    pub(super) fn last_failure(&self) -> Option<Moment> {
        self.last_failure
    }

    /// It is up, and nothing speaks against it.
    pub(super) fn is_calm(&self) -> bool {
        !self.down && self.failures == 0
    }

    /// The next few checks decide something, so they come sooner.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.down == (self.successes > 0) && self.failures + self.successes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Hysteresis = Hysteresis { fall: 3, rise: 2 };

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn bad() -> Seen {
        Seen::Bad("Connection refused".to_owned())
    }

    #[test]
    fn logins_count_at_once_and_a_burst_of_them_once() {
        let mut watch = Watch::new(at(0), false);
        assert!(watch.sighted(at(1000), LIMITS, bad()));
        for millis in 1000..1500 {
            assert!(!watch.sighted(at(millis), LIMITS, bad()), "at {millis}");
        }
        assert!(watch.sighted(at(1500), LIMITS, bad()));
        assert!(!watch.is_down());
        assert!(watch.sighted(at(2000), LIMITS, bad()));
        assert!(watch.is_down());
        assert_eq!((watch.since(), watch.fallen_at()), (at(2000), at(2000)));
        watch.sighted(at(9000), LIMITS, Seen::Good);
        watch.sighted(at(9001), LIMITS, bad());
        assert_eq!((watch.since(), watch.fallen_at()), (at(2000), at(9001)));
    }

    #[test]
    fn one_success_among_failures_starts_the_count_anew() {
        let mut watch = Watch::new(at(0), false);
        for n in 0..20 {
            let seen = if n % 3 == 2 { Seen::Good } else { bad() };
            watch.checked(at(n * 1000), LIMITS, seen, Duration::ZERO);
            assert!(!watch.is_down());
        }
        assert!(watch.sighted(at(19_001), LIMITS, bad()) || watch.failures() > 0);
        assert!(watch.sighted(at(19_002), LIMITS, Seen::Good), "a success after a failure counts at once");
        assert_eq!(watch.failures(), 0);
    }

    /// Counts by hand what must come out.
    #[test]
    fn it_changes_exactly_after_enough_in_a_row() {
        bolero::check!().with_type::<(Vec<bool>, u8, u8)>().for_each(|(results, fall, rise)| {
            let limits = Hysteresis { fall: u32::from(*fall % 5) + 1, rise: u32::from(*rise % 5) + 1 };
            let mut watch = Watch::new(at(0), false);
            let mut expected = false;
            for (n, good) in results.iter().enumerate() {
                let seen = if *good { Seen::Good } else { bad() };
                watch.checked(at(n as u64), limits, seen, Duration::ZERO);
                let row = results[..=n].iter().rev().take_while(|other| *other == good).count() as u32;
                match good {
                    true if row >= limits.rise => expected = false,
                    false if row >= limits.fall => expected = true,
                    _ => {}
                }
                assert_eq!(watch.is_down(), expected);
                assert!(watch.failures() == 0 || watch.successes() == 0);
            }
        });
    }

    #[test]
    fn reasons_are_cut() {
        let mut watch = Watch::new(at(0), false);
        watch.checked(at(1), LIMITS, Seen::Bad("x".repeat(10_000)), Duration::ZERO);
        assert_eq!(watch.reason().map(str::len), Some(REASON_CHARS_MAX));
    }
}
