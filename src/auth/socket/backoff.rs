//! Pauses between attempts to connect: growing, and never the same for two connections. Knows no sockets.

use std::time::Duration;

use super::Timing;

/// How long to wait before the next attempt, counted from the start of the last one.
#[derive(Debug)]
pub(super) struct Backoff {
    timing: Timing,
    pause: Duration,
}

impl Backoff {
    pub(super) fn new(timing: Timing) -> Self {
        Self { timing, pause: timing.pause_min }
    }

    /// The service works: start from the shortest pause again.
    pub(super) fn reset(&mut self) {
        self.pause = self.timing.pause_min;
    }

    /// The next pause. `dice` spreads it over the upper half, so that proxies do not come back in step.
    pub(super) fn next(&mut self, dice: u8) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(self.timing.pause_max);
        pause / 2 + pause / 2 * u32::from(dice) / u32::from(u8::MAX)
    }
}

/// A random number; a constant one if the system has none, which only costs the spread.
pub(super) fn dice() -> u8 {
    let mut byte = [u8::MAX];
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_fall_back() {
        let timing = Timing::default();
        let mut backoff = Backoff::new(timing);
        let pauses: Vec<_> = (0..8).map(|_| backoff.next(u8::MAX)).collect();
        assert_eq!(pauses.first(), Some(&timing.pause_min));
        assert_eq!(pauses.last(), Some(&timing.pause_max));
        assert!(pauses.is_sorted());
        assert_eq!(backoff.next(0), timing.pause_max / 2);
        backoff.reset();
        assert_eq!(backoff.next(u8::MAX), timing.pause_min);
    }
}
