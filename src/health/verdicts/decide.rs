//! What is to be done, given what is known.

use std::{collections::BTreeSet, net::IpAddr};

use homing_login::Service;

use super::{Verdicts, blame::Standing, ramp::Ramp};
use crate::{config::settings::DownUsers, director::core::Moment};

/// What is to be done or told, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::health) enum Decision {
    /// Take a backend down. Said again until the table has it.
    TakeDown {
        /// Which one.
        ip: IpAddr,
        /// Why, in words.
        why: String,
    },
    /// Bring a backend up. Said again until the table has it.
    BringUp {
        /// Which one.
        ip: IpAddr,
    },
    /// Move the users of a backend away. Said again until [`Verdicts::flushed`].
    Flush {
        /// Which one.
        ip: IpAddr,
    },
    /// Set a weight.
    SetVhosts {
        /// Of which backend.
        ip: IpAddr,
        /// The weight.
        vhosts: u32,
    },
    /// Tell: somebody else has set the weight, which holds.
    SlowStartOver {
        /// Of which backend.
        ip: IpAddr,
    },
    /// Tell, once: a backend has failed and stays up, since it is the only one with its tag.
    Stays {
        /// Which one.
        ip: IpAddr,
        /// Why it would have been taken down.
        why: String,
    },
    /// Tell, once: a protocol fails at so many backends with this tag that the fault is taken to be ours.
    Suspect {
        /// The tag.
        tag: Vec<u8>,
        /// The protocol.
        service: Service,
        /// Backends that have failed.
        failed: usize,
        /// Backends with the tag.
        of: usize,
    },
    /// Tell: that is over.
    Relieved {
        /// The tag.
        tag: Vec<u8>,
        /// The protocol.
        service: Service,
    },
}

impl Verdicts {
    /// What is to be done now. The table must have been taken over before.
    pub(in crate::health) fn decide(&mut self, now: Moment) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let ips: Vec<_> = self.hosts.keys().copied().collect();
        let mut suspected = BTreeSet::new();
        self.is_unclear = false;
        for ip in ips {
            self.decide_host(now, ip, &mut decisions);
            self.decide_services(now, ip, &mut suspected);
        }
        self.tell_suspicions(suspected, &mut decisions);
        decisions
    }

    fn decide_host(&mut self, now: Moment, ip: IpAddr, decisions: &mut Vec<Decision>) {
        let overall = self.overall(now, ip);
        let why = self.why(ip);
        let slow_start = self.rules.slow_start;
        let moves = self.rules.down_users == DownUsers::Move;
        let recovered = self.hosts.get(&ip).is_some_and(|host| self.has_recovered(host));
        let Some(host) = self.hosts.get_mut(&ip) else { return };
        if let Some(mut ramp) = host.ramp.take() {
            let progress = ramp.advance(now, ip, host.up, host.vhosts);
            decisions.extend(progress.decision);
            host.ramp = progress.goes_on.then_some(ramp);
        }
        if host.up {
            match overall {
                Standing::Blamed => decisions.push(Decision::TakeDown { ip, why }),
                Standing::Alone if !host.told_held => {
                    host.told_held = true;
                    decisions.push(Decision::Stays { ip, why });
                }
                Standing::Fine => host.told_held = false,
                Standing::Alone | Standing::Unclear | Standing::Ours => {}
            }
        } else if host.is_held_by_us() {
            if recovered {
                host.ramp = Ramp::begin(now, slow_start, host.vhosts);
                let first = host.ramp.map(|ramp| Decision::SetVhosts { ip, vhosts: ramp.first() });
                decisions.extend(first);
                decisions.push(Decision::BringUp { ip });
            } else if host.flush_due && moves {
                decisions.push(Decision::Flush { ip });
            }
        }
    }

    fn decide_services(&mut self, now: Moment, ip: IpAddr, suspected: &mut BTreeSet<(Vec<u8>, Service)>) {
        let Some(host) = self.hosts.get(&ip).filter(|host| host.up) else { return };
        let tag = host.tag.clone();
        let services: Vec<_> = host.checks.keys().copied().collect();
        for service in services {
            match self.standing(now, ip, service) {
                Standing::Ours => {
                    self.is_unclear = true;
                    suspected.insert((tag.clone(), service));
                }
                Standing::Unclear => {
                    self.is_unclear = true;
                    self.look_around(now, ip, service);
                }
                Standing::Fine | Standing::Blamed | Standing::Alone => {}
            }
        }
    }

    fn tell_suspicions(&mut self, suspected: BTreeSet<(Vec<u8>, Service)>, decisions: &mut Vec<Decision>) {
        for (tag, service) in suspected.difference(&self.suspected) {
            let with_tag = self.hosts.values().filter(|host| host.tag == *tag);
            let watches: Vec<_> = with_tag.filter_map(|host| host.checks.get(service)).collect();
            let failed = watches.iter().filter(|check| check.watch.is_down()).count();
            let (tag, service) = (tag.clone(), *service);
            decisions.push(Decision::Suspect { tag, service, failed, of: watches.len() });
        }
        for (tag, service) in self.suspected.difference(&suspected) {
            decisions.push(Decision::Relieved { tag: tag.clone(), service: *service });
        }
        self.suspected = suspected;
    }

    /// Which protocols have failed, in words.
    fn why(&self, ip: IpAddr) -> String {
        let Some(host) = self.hosts.get(&ip) else { return String::new() };
        let failed = host.checks.iter().filter(|(_, check)| check.watch.is_down());
        let words = failed.map(|(service, check)| {
            let (watch, name) = (&check.watch, service.auth_name());
            format!("{name}: {} checks failed ({})", watch.failures(), watch.reason().unwrap_or("unknown"))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The director keeps a backend up, since it is the last usable one with its tag. True the first time.
    pub(in crate::health) fn refused(&mut self, ip: IpAddr) -> bool {
        self.hosts.get_mut(&ip).is_some_and(|host| !std::mem::replace(&mut host.told_held, true))
    }
}
