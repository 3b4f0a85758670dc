//! From what is seen of backends to what is done about them, as a deterministic state machine: table rows, checks,
//! logins and time go in, decisions come out. It reads no clock and asks nobody; whose word about a backend holds is
//! the director's business and comes in with the rows.
//!
//! Methods by kind: `sync`, `checked`, `sighted`, `flushed` and `refused` take in; `due` and `decide` give out;
//! `next` says when to come back.

mod blame;
mod decide;
mod host;
mod ramp;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use homing_login::Service;

use super::watch::{Hysteresis, Seen, Watch};
use crate::{
    config::settings::{DownUsers, DownWhen, HealthSettings},
    director::core::{BackendRow, Moment},
};
pub(super) use decide::Decision;
use host::Host;
pub use view::Verdict;

/// Between two checks while the next few of them decide something, unless the interval is shorter.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);

/// A part of the settings: what verdicts depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) services: BTreeSet<Service>,
    pub(super) limits: Hysteresis,
    pub(super) interval: Duration,
    pub(super) down_when: DownWhen,
    pub(super) down_users: DownUsers,
    pub(super) slow_start: Duration,
}

impl Rules {
    pub(super) fn of(settings: &HealthSettings) -> Self {
        Self {
            services: settings.checks.iter().map(|check| check.service).collect(),
            limits: Hysteresis { fall: settings.fall.max(1), rise: settings.rise.max(1) },
            interval: settings.interval,
            down_when: settings.down_when,
            down_users: settings.down_users,
            slow_start: settings.slow_start,
        }
    }
}

/// All backends of the director's table.
#[derive(Debug)]
pub(super) struct Verdicts {
    rules: Rules,
    hosts: BTreeMap<IpAddr, Host>,
    /// Protocols and tags for which the fault is taken to be ours, as told.
    suspected: BTreeSet<(Vec<u8>, Service)>,
    /// Somebody has failed, and what is seen of others decides whose fault it is.
    is_unclear: bool,
    jitter: Jitter,
}

impl Verdicts {
    /// Knows nobody yet. `seed` spreads the checks.
    pub(super) fn new(rules: Rules, seed: u64) -> Self {
        Self {
            rules,
            hosts: BTreeMap::new(),
            suspected: BTreeSet::new(),
            is_unclear: false,
            jitter: Jitter(seed),
        }
    }

    /// Other rules hold from now on; what is known stays.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        for host in self.hosts.values_mut() {
            host.keep_services(|service| self.rules.services.contains(&service));
        }
    }

    /// Takes over the director's table: new backends are checked, others forgotten, and what people have said counts.
    pub(super) fn sync(&mut self, now: Moment, rows: &[BackendRow]) {
        let rows: BTreeMap<_, _> =
            rows.iter().filter(|row| !row.leaving).map(|row| (row.host.ip, row)).collect();
        self.hosts.retain(|ip, _| rows.contains_key(ip));
        for (ip, row) in rows {
            match self.hosts.get_mut(&ip) {
                Some(host) => host.update(now, row),
                None => {
                    self.hosts.insert(ip, Host::new(row));
                }
            }
            let Some(host) = self.hosts.get_mut(&ip) else { continue };
            for service in &self.rules.services {
                let first = now.after(self.jitter.part_of(self.rules.interval));
                host.add_service(now, *service, first);
            }
        }
    }

    /// Checks to start now.
    pub(super) fn due(&mut self, now: Moment) -> Vec<(IpAddr, Service)> {
        let mut due = Vec::new();
        for (ip, host) in &mut self.hosts {
            for (service, check) in &mut host.checks {
                if !check.under_way && check.due <= now {
                    check.under_way = true;
                    due.push((*ip, *service));
                }
            }
        }
        due
    }

    /// A check has ended; `None`: it says nothing about the backend. True if something may have to be decided.
    pub(super) fn checked(
        &mut self,
        now: Moment,
        of: (IpAddr, Service),
        seen: Option<Seen>,
        latency: Duration,
    ) -> bool {
        let (limits, interval) = (self.rules.limits, self.rules.interval);
        let spread = self.jitter.around(interval);
        let Some(check) = self.hosts.get_mut(&of.0).and_then(|host| host.checks.get_mut(&of.1)) else {
            return false;
        };
        check.under_way = false;
        let was_calm = check.watch.is_calm();
        if let Some(seen) = seen {
            check.watch.checked(now, limits, seen, latency);
        }
        let pause = if check.watch.is_in_doubt() { interval.min(DOUBT_INTERVAL) } else { spread };
        check.due = now.after(pause);
        !(was_calm && check.watch.is_calm()) || self.is_unclear
    }

    /// A login has seen a backend. A failure is looked into at once. True if something may have to be decided.
    pub(super) fn sighted(&mut self, now: Moment, of: (IpAddr, Service), seen: Seen) -> bool {
        let limits = self.rules.limits;
        let Some(check) = self.hosts.get_mut(&of.0).and_then(|host| host.checks.get_mut(&of.1)) else {
            return false;
        };
        let (is_bad, was_calm) = (matches!(seen, Seen::Bad(_)), check.watch.is_calm());
        let counts = check.watch.sighted(now, limits, seen);
        if counts && is_bad {
            check.due = now;
        }
        counts && (!(was_calm && check.watch.is_calm()) || self.is_unclear)
    }

    /// The moving of a backend's users has begun.
    pub(super) fn flushed(&mut self, ip: IpAddr) {
        if let Some(host) = self.hosts.get_mut(&ip) {
            host.flush_due = false;
        }
    }

    /// The end of all checks: weights that are still rising are set to what they were.
    pub(super) fn wind_up(&mut self) -> Vec<Decision> {
        let over =
            |(ip, host): (&IpAddr, &mut Host)| host.ramp.take().and_then(|ramp| ramp.end(*ip, host.vhosts));
        self.hosts.iter_mut().filter_map(over).collect()
    }

    /// When something is to be done without anything happening; `None` while nothing is checked.
    pub(super) fn next(&self) -> Option<Moment> {
        let checks = self.hosts.values().flat_map(|host| host.checks.values());
        checks.filter(|check| !check.under_way).map(|check| check.due).min()
    }

    fn watch(&self, ip: IpAddr, service: Service) -> Option<&Watch> {
        self.hosts.get(&ip)?.checks.get(&service).map(|check| &check.watch)
    }
}

/// A small generator (xorshift): spreading checks needs no secret randomness, and tests need the same every time.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn next(&mut self) -> u32 {
        let mut x = self.0 | 1;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        (x >> 32) as u32
    }

    /// From nothing to all of it.
    fn part_of(&mut self, time: Duration) -> Duration {
        time.mul_f64(f64::from(self.next() % 1000) / 1000.0)
    }

    /// Up to a tenth more or less.
    fn around(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.9 + f64::from(self.next() % 1000) / 5000.0)
    }
}
