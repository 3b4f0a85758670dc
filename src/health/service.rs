//! The loop around the verdicts: it starts checks, takes the director's table over, and does what was decided.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    verdicts::{Decision, Verdicts},
    watch::Seen,
};
use crate::{
    backend::{Sight, Sighting, is_fault_of_ours, plain_text},
    config::settings::{CheckDepth, CheckSettings},
    director::core::{Flushing, Operation, OperationError, Origin},
};

/// Checks at a time. A site with hundreds of backends is checked within its interval by far fewer; this bounds the
/// descriptors where many hang.
const PROBES_PARALLEL_MAX: usize = 100;

/// Between two looks at the director's table when nothing else happens: what people change is seen by then.
const TABLE_INTERVAL: Duration = Duration::from_secs(1);

/// Between two rounds, so that a storm of failing logins does not keep the loop busy.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

/// Users of a dead backend who are moved at a time, whatever `director_max_parallel_moves` says: it spares backends that
/// serve, and these users are without one. Each takes the kick delay, so by default it is 500 in a second.
const MOVES_PARALLEL: u32 = 1000;

/// Rounds of deciding at once: down, then the flush that follows.
const ROUNDS_MAX: usize = 3;

/// Until `end` fires; checks under way end with it.
pub(super) async fn run(shared: Arc<Shared>, end: CancellationToken) {
    let rounds = async {
        let mut probes = JoinSet::new();
        let permits = Arc::new(Semaphore::new(PROBES_PARALLEL_MAX));
        loop {
            let pause = round(&shared, &mut probes, &permits);
            tokio::select! {
                () = optional_sleep(pause) => {}
                () = shared.wake.notified() => {}
            }
            while probes.try_join_next().is_some() {}
            sleep(ROUND_PAUSE).await;
        }
    };
    end.run_until_cancelled(rounds).await;
}

async fn optional_sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Returns when to come back.
fn round(shared: &Arc<Shared>, probes: &mut JoinSet<()>, permits: &Arc<Semaphore>) -> Option<Duration> {
    let prober = shared.prober.load_full()?;
    let turn = shared.turn();
    for _ in 0..ROUNDS_MAX {
        let decisions = shared.decide();
        if decisions.is_empty() {
            break;
        }
        decisions.into_iter().for_each(|decision| shared.perform(decision));
    }
    drop(turn);
    let now = shared.director.now();
    let mut verdicts = shared.lock();
    let verdicts = verdicts.as_mut()?;
    for (ip, service) in verdicts.due(now) {
        let (shared, prober, permits) = (Arc::clone(shared), Arc::clone(&prober), Arc::clone(permits));
        probes.spawn(async move {
            let permit = permits.acquire_owned().await;
            let begun = Instant::now();
            let seen = prober.probe(&shared.director, ip, service).await;
            drop(permit);
            let (now, took) = (shared.director.now(), begun.elapsed());
            if shared.lock().as_mut().is_some_and(|v| v.checked(now, (ip, service), seen, took)) {
                shared.wake.notify_one();
            }
        });
    }
    let next = verdicts.next().map_or(TABLE_INTERVAL, |next| next.since(now));
    Some(next.min(TABLE_INTERVAL))
}

/// What a login tells of what is checked. Another port says nothing: it may be one user's own mistake.
fn seen_by_login(check: &CheckSettings, sighting: &Sighting<'_>) -> Option<Seen> {
    if sighting.address.port() != check.port {
        return None;
    }
    match sighting.sight {
        Sight::LoggedIn => Some(Seen::Good),
        // Says nothing about what lies deeper.
        Sight::Connected => (check.depth == CheckDepth::Connect).then_some(Seen::Good),
        Sight::Unreachable(error) => (!is_fault_of_ours(error)).then(|| Seen::Bad(plain_text(error))),
    }
}

impl Shared {
    /// A login has seen a backend.
    pub(super) fn sighted(&self, sighting: &Sighting<'_>) {
        let Some(prober) = self.prober.load_full() else { return };
        let Some(seen) = prober.check(sighting.service).and_then(|check| seen_by_login(check, sighting))
        else {
            return;
        };
        let (now, of) = (self.director.now(), (sighting.address.ip(), sighting.service));
        if self.lock().as_mut().is_some_and(|verdicts| verdicts.sighted(now, of, seen)) {
            self.wake.notify_one();
        }
    }

    fn decide(&self) -> Vec<Decision> {
        let rows = self.director.backends();
        let now = self.director.now();
        let mut verdicts = self.lock();
        let Some(verdicts) = verdicts.as_mut() else { return Vec::new() };
        verdicts.sync(now, &rows);
        verdicts.decide(now)
    }

    fn apply(&self, operation: Operation) -> Result<(), OperationError> {
        self.director.apply(Origin::Health, operation).map(|_| ())
    }

    fn perform(&self, decision: Decision) {
        match decision {
            Decision::TakeDown { ip, why } => match self.apply(Operation::Down { ip }) {
                Ok(()) => tracing::warn!("backend {ip} {why}: marked down"),
                Err(OperationError::LastUsable(_)) => {
                    let is_news = self.lock().as_mut().is_some_and(|verdicts| verdicts.refused(ip));
                    if is_news {
                        self.perform(Decision::Stays { ip, why });
                    }
                }
                Err(error) => tracing::debug!("backend {ip} is not taken down: {error}"),
            },
            Decision::BringUp { ip } => match self.apply(Operation::Up { ip }) {
                Ok(()) => tracing::warn!("backend {ip}: checks succeed again: marked up"),
                Err(error) => tracing::debug!("backend {ip} is not brought up: {error}"),
            },
            Decision::Flush { ip } => {
                let flush = Flushing::Safe { parallel: Some(MOVES_PARALLEL) };
                match self.apply(Operation::FlushHost { ip, flush }) {
                    Ok(()) => {
                        tracing::info!("backend {ip}: its users are moved to others");
                        if let Some(verdicts) = self.lock().as_mut() {
                            verdicts.flushed(ip);
                        }
                    }
                    Err(error) => tracing::debug!("backend {ip} is not flushed: {error}"),
                }
            }
            Decision::SetVhosts { ip, vhosts } => match self.apply(Operation::SetVhosts { ip, vhosts }) {
                Ok(()) => tracing::info!("backend {ip}: slow start, weight {vhosts}"),
                Err(error) => tracing::debug!("backend {ip}: no weight {vhosts}: {error}"),
            },
            Decision::SlowStartOver { ip } => {
                tracing::info!("backend {ip}: slow start ends, since its weight was changed meanwhile");
            }
            Decision::Stays { ip, why } => {
                tracing::warn!(
                    "backend {ip} {why}: stays up, since no other with its tag can take its users"
                );
            }
            Decision::Suspect { tag, service, failed, of } => {
                let (tag, name) = (homing_wire::printable(&tag), service.auth_name());
                tracing::error!(
                    "{name} has failed at {failed} of {of} backends with tag '{tag}': taken for a fault on this side, so no more are taken down"
                );
            }
            Decision::Relieved { tag, service } => {
                let (tag, name) = (homing_wire::printable(&tag), service.auth_name());
                tracing::warn!("{name}: backends with tag '{tag}' are judged one by one again");
            }
        }
    }

    /// Weights that are still rising are set to what they were.
    pub(super) fn end_slow_starts(&self, verdicts: Option<Verdicts>) {
        let decisions = verdicts.map(|mut verdicts| verdicts.wind_up()).unwrap_or_default();
        decisions.into_iter().for_each(|decision| self.perform(decision));
    }

    /// The checks end: whoever they have taken down is named.
    pub(super) fn name_the_down(&self) {
        let by_us = |origin| origin == Some(Origin::Health);
        let rows = self.director.backends();
        let down = rows.iter().filter(|row| !row.leaving && !row.host.up);
        for row in down.filter(|row| by_us(row.changed.map(|(_, origin)| origin))) {
            let ip = row.host.ip;
            tracing::warn!("health_check is off now: backend {ip} stays down until it is brought up by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use homing_login::{Service, TlsUse};
    use homing_wire::Secret;

    use super::*;

    #[test]
    fn logins_tell_what_they_can_know() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let ours = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let tell = |depth, port: u16, sight| {
            let (service, tls) = (Service::Imap, TlsUse::No);
            let (user, password) = (String::new(), Secret::default());
            let check = CheckSettings { service, depth, port: 143, tls, user, password };
            let address = ([10, 0, 0, 1], port).into();
            seen_by_login(&check, &Sighting { address, service, sight })
        };
        let (connect, login) = (CheckDepth::Connect, CheckDepth::Login);
        assert_eq!(tell(login, 143, Sight::LoggedIn), Some(Seen::Good));
        assert_eq!(tell(connect, 143, Sight::Connected), Some(Seen::Good));
        assert_eq!(tell(login, 143, Sight::Connected), None, "it may hang behind that");
        let bad = Some(Seen::Bad("connection refused".to_owned()));
        assert_eq!(tell(login, 143, Sight::Unreachable(&refused)), bad);
        assert_eq!(tell(login, 143, Sight::Unreachable(&ours)), None, "a fault on this side");
        assert_eq!(tell(login, 9, Sight::Unreachable(&refused)), None, "one user's port");
        assert_eq!(tell(login, 9, Sight::LoggedIn), None);
    }
}
