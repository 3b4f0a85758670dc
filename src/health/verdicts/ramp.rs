//! Slow start: a recovered backend gets its weight back in a few steps, so that not all of its new users find cold
//! caches at once. Few, since each step changes the table for everybody who follows it.

use std::{net::IpAddr, time::Duration};

use super::Decision;
use crate::director::core::Moment;

/// Steps to the full weight.
pub(super) const STEPS: u32 = 5;

/// A weight that is coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ramp {
    started: Moment,
    time: Duration,
    /// Where it goes.
    target: u32,
    /// The last weight that was set: another one is somebody else's word.
    set: u32,
}

impl Ramp {
    /// `None` where there is nothing to raise.
    pub(super) fn begin(now: Moment, time: Duration, target: u32) -> Option<Self> {
        let first = weight(target, 1);
        (!time.is_zero() && first < target).then_some(Self { started: now, time, target, set: first })
    }

    /// The weight to begin with.
    pub(super) fn first(&self) -> u32 {
        self.set
    }

    /// What is due, and whether it goes on. `vhosts` is the weight as it is.
    pub(super) fn advance(&mut self, now: Moment, ip: IpAddr, up: bool, vhosts: u32) -> Progress {
        if vhosts != self.set {
            return Progress { decision: Some(Decision::SlowStartOver { ip }), goes_on: false };
        }
        if !up {
            // It comes back with its whole weight in the table, whoever brings it up.
            return Progress { decision: self.end(ip, vhosts), goes_on: false };
        }
        let wanted = weight(self.target, self.step(now));
        let decision = (wanted != vhosts).then_some(Decision::SetVhosts { ip, vhosts: wanted });
        self.set = wanted;
        Progress { decision, goes_on: wanted < self.target }
    }

    /// It ends early; nothing if somebody else has set the weight.
    pub(super) fn end(&self, ip: IpAddr, vhosts: u32) -> Option<Decision> {
        (vhosts == self.set).then_some(Decision::SetVhosts { ip, vhosts: self.target })
    }

    fn step(&self, now: Moment) -> u32 {
        let pause = self.time.div_f64(f64::from(STEPS - 1)).as_millis().max(1);
        let done = now.since(self.started).as_millis() / pause;
        u32::try_from(done).unwrap_or(STEPS).saturating_add(1).min(STEPS)
    }
}

/// What became of a slow start.
pub(super) struct Progress {
    pub(super) decision: Option<Decision>,
    pub(super) goes_on: bool,
}

/// Never 0, which would take no users.
fn weight(target: u32, step: u32) -> u32 {
    (target.saturating_mul(step) / STEPS).max(1).min(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::from_millis(secs * 1000)
    }

    fn ip() -> IpAddr {
        "10.0.0.1".parse().unwrap()
    }

    #[test]
    fn the_weight_rises_in_steps_to_what_it_was() {
        let mut ramp = Ramp::begin(at(0), Duration::from_secs(40), 100).unwrap();
        let mut vhosts = ramp.first();
        let mut seen = vec![vhosts];
        for secs in 0..=40 {
            let progress = ramp.advance(at(secs), ip(), true, vhosts);
            if let Some(Decision::SetVhosts { vhosts: next, .. }) = progress.decision {
                vhosts = next;
                seen.push(next);
            }
            assert_eq!(progress.goes_on, secs < 40, "at {secs}");
        }
        assert_eq!(seen, [20, 40, 60, 80, 100]);
    }

    #[test]
    fn another_weight_is_somebody_elses_word() {
        let mut ramp = Ramp::begin(at(0), Duration::from_secs(40), 100).unwrap();
        let progress = ramp.advance(at(1), ip(), true, 0);
        assert!(!progress.goes_on && progress.decision == Some(Decision::SlowStartOver { ip: ip() }));
    }

    #[test]
    fn going_down_gives_the_weight_back() {
        let mut ramp = Ramp::begin(at(0), Duration::from_secs(40), 100).unwrap();
        let progress = ramp.advance(at(1), ip(), false, 20);
        assert_eq!(progress.decision, Some(Decision::SetVhosts { ip: ip(), vhosts: 100 }));
        assert!(!progress.goes_on);
    }

    #[test]
    fn there_is_nothing_to_raise() {
        for (time, target) in [(0, 100), (40, 1), (40, 0)] {
            assert_eq!(Ramp::begin(at(0), Duration::from_secs(time), target), None);
        }
        assert_eq!(Ramp::begin(at(0), Duration::from_secs(9), 2).unwrap().first(), 1);
    }
}
