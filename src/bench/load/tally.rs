//! What became of the sessions: counts, times, reasons of failures. Shared by all clients of a scenario.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::LoadError;

/// Different reasons kept; the rest is counted only.
const REASONS_MAX: usize = 20;

/// Counts so far.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Times of what succeeded.
    times: Vec<Duration>,
    resumed: usize,
    failed: usize,
    reasons: BTreeMap<String, usize>,
}

impl Tally {
    /// A step succeeded after that time.
    pub(super) fn succeeded(&self, time: Duration, resumed: bool) {
        let mut counts = self.counts();
        counts.times.push(time);
        counts.resumed += usize::from(resumed);
    }

    /// A step failed.
    pub(super) fn failed(&self, error: &LoadError) {
        let mut counts = self.counts();
        counts.failed += 1;
        let reason = error.to_string();
        if counts.reasons.len() < REASONS_MAX || counts.reasons.contains_key(&reason) {
            *counts.reasons.entry(reason).or_default() += 1;
        }
    }

    /// How many failed.
    pub(super) fn failures(&self) -> usize {
        self.counts().failed
    }

    /// Everything, times in milliseconds.
    pub(super) fn report(&self) -> Value {
        let mut counts = self.counts();
        counts.times.sort_unstable();
        let times = &counts.times;
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(place).map_or(0.0, |time| (time.as_secs_f64() * 1e6).round() / 1e3)
        };
        json!({
            "done": times.len(), "resumed": counts.resumed, "failed": counts.failed,
            "p50_ms": at(50), "p99_ms": at(99), "max_ms": at(100), "reasons": counts.reasons,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_percentiles() {
        let tally = Tally::default();
        for ms in 1..=200 {
            tally.succeeded(Duration::from_millis(ms), ms % 2 == 0);
        }
        tally.failed(&LoadError::Closed("answer"));
        tally.failed(&LoadError::Closed("answer"));
        let wanted = json!({"done": 200, "resumed": 100, "failed": 2, "p50_ms": 100.0, "p99_ms": 198.0,
            "max_ms": 200.0, "reasons": {"closed: answer": 2}});
        assert_eq!(tally.report(), wanted);
        for n in 0..100 {
            tally.failed(&LoadError::Refused(n.to_string()));
        }
        assert_eq!(tally.report()["reasons"].as_object().unwrap().len(), REASONS_MAX);
    }
}
