//! Whose fault is it? A backend is blamed only if others are reached when it has failed; else the fault is taken to be
//! on this side, and moving users would help nobody.

use std::{net::IpAddr, time::Duration};

use homing_login::Service;

use super::{Verdicts, host::Host};
use crate::{config::settings::DownWhen, director::core::Moment};

/// How long the failure of more backends than are reached may be a fault on this side, like a switch that restarts. If
/// there are others that are still reached then, it is theirs.
pub(super) const LARGE_FAILURE_TIME: Duration = Duration::from_secs(30);

/// How a protocol of a backend counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It works, or nobody knows yet.
    Fine,
    /// It has failed while others were reached.
    Blamed,
    /// It has failed; whether others are reached is being found out.
    Unclear,
    /// It has failed, and there is no other to compare it with.
    Alone,
    /// It has failed as all others have, or as many have at once.
    Ours,
}

impl Verdicts {
    /// The others that a backend is compared with.
    fn peers<'a>(&'a self, ip: IpAddr, host: &'a Host) -> impl Iterator<Item = (IpAddr, &'a Host)> {
        self.hosts
            .iter()
            .map(|(other, row)| (*other, row))
            .filter(move |(other, row)| *other != ip && row.tag == host.tag)
    }

    pub(super) fn standing(&self, now: Moment, ip: IpAddr, service: Service) -> Standing {
        let (Some(host), Some(watch)) = (self.hosts.get(&ip), self.watch(ip, service)) else {
            return Standing::Fine;
        };
        // One that has begun to recover is given the time.
        if !watch.is_down() || watch.failures() == 0 {
            return Standing::Fine;
        }
        let (mut peers, mut reached, mut open, mut failing, mut down) = (0, 0, 0, 1, 0);
        let mut first_reached = None;
        for (_, peer) in self.peers(ip, host) {
            let Some(other) = peer.checks.get(&service).map(|check| &check.watch) else { continue };
            peers += 1;
            let working = other.working_at().filter(|last| *last > watch.fallen_at());
            reached += u32::from(working.is_some());
            open += u32::from(working.is_none() && other.failures() == 0);
            first_reached = first_reached.into_iter().chain(working).min();
            // Those that were taken down already are known to be dead.
            failing += u32::from(peer.up && other.failures() > 0);
            down += u32::from(other.is_down() || !peer.up);
        }
        if peers == 0 {
            Standing::Alone
        } else if reached == 0 {
            if down == peers { Standing::Ours } else { Standing::Unclear }
        } else if self.was_ours(host, service) && first_reached > watch.last_failure() {
            // When others come back, this one may be about to.
            Standing::Ours
        } else if failing > reached && now.since(watch.since()) < LARGE_FAILURE_TIME {
            if failing > reached + open { Standing::Ours } else { Standing::Unclear }
        } else {
            Standing::Blamed
        }
    }

    fn was_ours(&self, host: &Host, service: Service) -> bool {
        self.suspected.iter().any(|(tag, of)| *tag == host.tag && *of == service)
    }

    /// What all checked protocols of a backend amount to.
    pub(super) fn overall(&self, now: Moment, ip: IpAddr) -> Standing {
        let Some(host) = self.hosts.get(&ip) else { return Standing::Fine };
        let all: Vec<_> = host.checks.keys().map(|service| self.standing(now, ip, *service)).collect();
        let blamed = all.iter().filter(|standing| **standing == Standing::Blamed).count();
        let is_blamed = match self.rules.down_when {
            DownWhen::Any => blamed > 0,
            DownWhen::All => blamed > 0 && blamed == all.len(),
        };
        if is_blamed {
            return Standing::Blamed;
        }
        if self.rules.down_when == DownWhen::All && all.contains(&Standing::Fine) {
            return Standing::Fine;
        }
        let first = |wanted: Standing| all.iter().copied().find(|standing| *standing == wanted);
        first(Standing::Ours)
            .or_else(|| first(Standing::Alone))
            .or_else(|| first(Standing::Unclear))
            .unwrap_or(Standing::Fine)
    }

    /// True if a backend that was taken down works again.
    pub(super) fn has_recovered(&self, host: &Host) -> bool {
        let mut works = host.checks.values().map(|check| !check.watch.is_down());
        match self.rules.down_when {
            DownWhen::Any => works.all(|works| works) && !host.checks.is_empty(),
            DownWhen::All => works.any(|works| works),
        }
    }

    /// Asks those who could tell whose fault it is.
    pub(super) fn look_around(&mut self, now: Moment, ip: IpAddr, service: Service) {
        let Some(host) = self.hosts.get(&ip) else { return };
        let Some(since) = self.watch(ip, service).map(|watch| watch.fallen_at()) else { return };
        let tag = host.tag.clone();
        for (_, peer) in self.hosts.iter_mut().filter(|(other, row)| **other != ip && row.tag == tag) {
            let Some(check) = peer.checks.get_mut(&service) else { continue };
            let is_fresh = check.watch.working_at().is_some_and(|last| last > since);
            if check.watch.failures() == 0 && !is_fresh {
                check.due = check.due.min(now);
            }
        }
    }
}
