//! What is known about backends while running: when a connect last worked and failed, and how many are under
//! way. From it follows the immediate failure of a dead host (spec/login-proxy.md 7.5).

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    LoginRequest,
    sighting::{Sight, Sighting, Watcher},
};

/// Backends remembered at most. Beyond it, those without connects under way are forgotten.
const HOSTS_MAX: usize = 4096;

/// States by address and port.
#[derive(Default)]
pub struct HostStates {
    by_address: Mutex<HashMap<SocketAddr, HostState>>,
    watcher: Option<Watcher>,
}

struct HostState {
    last_success: Instant,
    last_failure: Option<Instant>,
    connecting: u32,
}

/// A connect under way; counted until dropped.
pub(super) struct Connecting {
    states: Arc<HostStates>,
    address: SocketAddr,
}

impl HostStates {
    /// Nothing known yet; `watcher` hears how logins fare.
    pub fn watched_by(watcher: Watcher) -> Self {
        Self { watcher: Some(watcher), ..Self::default() }
    }

    pub(super) fn tell(&self, request: &LoginRequest<'_>, sight: Sight<'_>) {
        if let Some(watcher) = &self.watcher {
            let address = SocketAddr::new(request.ip, request.target.port);
            watcher(&Sighting { address, service: request.client.service, sight });
        }
    }

    /// Counts a connect as under way. `None`: the host is down, do not try.
    pub(super) fn begin(
        self: &Arc<Self>,
        address: SocketAddr,
        now: Instant,
        immediate_failure_after: Duration,
    ) -> Option<Connecting> {
        let mut states = self.lock();
        if states.len() >= HOSTS_MAX && !states.contains_key(&address) {
            states.retain(|_, state| state.connecting > 0);
        }
        let state = states.entry(address).or_insert_with(|| HostState::new(now));
        if state.is_down(immediate_failure_after) {
            return None;
        }
        state.connecting += 1;
        Some(Connecting { states: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, HostState>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostState {
    fn new(now: Instant) -> Self {
        let last_success = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        Self { last_success, last_failure: None, connecting: 0 }
    }

    fn is_down(&self, immediate_failure_after: Duration) -> bool {
        let failing = self.last_failure.and_then(|failure| failure.checked_duration_since(self.last_success));
        !immediate_failure_after.is_zero()
            && self.connecting > 0
            && failing.is_some_and(|time| time > immediate_failure_after)
    }
}

impl Connecting {
    /// The connect worked.
    pub(super) fn succeeded(self, now: Instant) {
        if let Some(state) = self.states.lock().get_mut(&self.address) {
            state.last_success = now;
        }
    }

    /// The connect failed. It does not count if another one succeeded since this login started.
    pub(super) fn failed(self, now: Instant, login_started: Instant) {
        if let Some(state) = self.states.lock().get_mut(&self.address)
            && state.last_success < login_started
        {
            state.last_failure = Some(now);
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some(state) = self.states.lock().get_mut(&self.address) {
            state.connecting = state.connecting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    fn address() -> SocketAddr {
        "127.0.0.1:143".parse().unwrap()
    }

    #[test]
    fn a_dead_host_fails_at_once_only_beside_a_pending_connect() {
        let states = Arc::new(HostStates::default());
        let start = Instant::now();
        let first = states.begin(address(), start, AFTER).unwrap();
        first.failed(start + Duration::from_secs(31), start);
        let pending = states.begin(address(), start, AFTER).expect("nothing pending: try");
        assert!(states.begin(address(), start, AFTER).is_none(), "down and one pending");
        assert!(states.begin(address(), start, Duration::ZERO).is_some(), "0 disables");
        pending.succeeded(start + Duration::from_secs(32));
        assert!(states.begin(address(), start, AFTER).is_some());
    }

    #[test]
    fn a_failure_does_not_count_after_a_later_success() {
        let states = Arc::new(HostStates::default());
        let start = Instant::now();
        let (good, bad) = (states.begin(address(), start, AFTER), states.begin(address(), start, AFTER));
        good.unwrap().succeeded(start + Duration::from_secs(1));
        bad.unwrap().failed(start + Duration::from_secs(60), start);
        let _pending = states.begin(address(), start, AFTER).unwrap();
        assert!(states.begin(address(), start, AFTER).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let states = Arc::new(HostStates::default());
        let now = Instant::now();
        for i in 0..(HOSTS_MAX as u32 + 100) {
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + i);
            drop(states.begin((ip, 143).into(), now, AFTER));
        }
        assert!(states.lock().len() <= HOSTS_MAX);
    }
}
