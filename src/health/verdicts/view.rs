//! What can be read off the verdicts, for metrics and people. Nothing here changes anything.

use std::{net::IpAddr, time::Duration};

use homing_login::Service;

use super::Verdicts;
use crate::director::core::Moment;

/// How one protocol of one backend fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The backend.
    pub ip: IpAddr,
    /// The protocol.
    pub service: Service,
    /// False once enough checks in a row have failed, until enough have succeeded. Whether the backend is down for it
    /// is the director's to say.
    pub up: bool,
    /// Since when that is so, in time since the Unix epoch.
    pub since: Moment,
    /// Checks and logins that have failed in a row.
    pub failures: u32,
    /// That have succeeded in a row.
    pub successes: u32,
    /// The last failure's words, cut and without control characters; kept when it is over.
    pub last_error: Option<String>,
    /// How long the last check took.
    pub latency: Option<Duration>,
}

impl Verdicts {
    /// All of them, by address and protocol.
    pub(in crate::health) fn rows(&self) -> Vec<Verdict> {
        let row = |ip: &IpAddr, service: &Service| {
            let watch = self.watch(*ip, *service)?;
            Some(Verdict {
                ip: *ip,
                service: *service,
                up: !watch.is_down(),
                since: watch.since(),
                failures: watch.failures(),
                successes: watch.successes(),
                last_error: watch.reason().map(str::to_owned),
                latency: watch.latency(),
            })
        };
        let all = self.hosts.iter().flat_map(|(ip, host)| host.checks.keys().map(move |s| (ip, s)));
        all.filter_map(|(ip, service)| row(ip, service)).collect()
    }
}
