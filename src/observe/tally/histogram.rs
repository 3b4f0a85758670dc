//! How long things take: counts by bucket, and their sum.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper ends of the buckets, in milliseconds. From a handshake on the local network to the 30 s after which clients
/// and the director give up; 2.5 s is just above the pause after a wrong password and the one after a kick.
const ENDS_MILLIS: [u32; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/// Durations of one kind.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; ENDS_MILLIS.len()],
    longer: AtomicU64,
    sum_micros: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Upper end in seconds (the last one is infinite), and how many durations are in the bucket but in none before.
    pub buckets: Vec<(f64, u64)>,
    /// All of them.
    pub count: u64,
    /// In seconds.
    pub sum: f64,
}

impl Histogram {
    /// Adds a duration.
    pub fn observe(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let fits = |end: u32| micros <= u64::from(end) * 1000;
        let mut ends = self.buckets.iter().zip(ENDS_MILLIS);
        let bucket = ends.find(|(_, end)| fits(*end)).map_or(&self.longer, |(bucket, _)| bucket);
        bucket.fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    /// As it is now. Durations that are being added may be in the buckets and not in the sum.
    pub fn distribution(&self) -> Distribution {
        let ends = ENDS_MILLIS.iter().map(|millis| f64::from(*millis) / 1000.0).chain([f64::INFINITY]);
        let counts = self.buckets.iter().chain([&self.longer]).map(|bucket| bucket.load(Relaxed));
        let buckets: Vec<_> = ends.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Distribution {
            buckets,
            count,
            sum: Duration::from_micros(self.sum_micros.load(Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let histogram = Histogram::default();
        for millis in [0, 1, 3, 2500, 30_000, 30_001, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let seen = histogram.distribution();
        let filled: Vec<_> = seen.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.001, 2), (0.005, 1), (2.5, 1), (30.0, 1), (f64::INFINITY, 2)]);
        assert_eq!(seen.count, 7);
        assert!((seen.sum - 152.505).abs() < 1e-9, "{}", seen.sum);
    }

    #[test]
    fn no_duration_is_too_long() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.distribution().buckets.last().unwrap().1, 1);
    }
}
