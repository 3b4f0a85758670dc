//! Lets clients go gradually when many lose their backend at once, so that they do not all come back in the
//! same second (`login_proxy_max_disconnect_delay`, spec/login-proxy.md 9.4).

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Sessions and recent losses by backend. Entries live as long as sessions or delayed clients do.
#[derive(Default)]
pub struct Pacing(Mutex<HashMap<SocketAddr, Losses>>);

#[derive(Default)]
struct Losses {
    live: u64,
    lost: u64,
    delayed: u64,
    first_loss: Option<Instant>,
}

/// One forwarding session; counted until dropped.
pub struct LiveSession {
    pacing: Arc<Pacing>,
    backend: SocketAddr,
    lost: bool,
    delayed: bool,
}

impl Pacing {
    /// Counts a session. A new session on a backend shows that it lives, which ends the spreading.
    pub fn enter(self: &Arc<Self>, backend: SocketAddr) -> LiveSession {
        let mut table = self.lock();
        let losses = table.entry(backend).or_default();
        losses.live += 1;
        losses.reset();
        LiveSession { pacing: Arc::clone(self), backend, lost: false, delayed: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Losses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveSession {
    /// The backend side is gone: how long the client is still held, at most about `spread`. `jitter` is 0..100.
    pub fn lost(&mut self, spread: Duration, now: Instant, jitter: u8) -> Duration {
        if spread.is_zero() || self.lost {
            return Duration::ZERO;
        }
        let mut table = self.pacing.lock();
        let Some(losses) = table.get_mut(&self.backend) else { return Duration::ZERO };
        self.lost = true;
        losses.live = losses.live.saturating_sub(1);
        losses.lost += 1;
        let first = *losses.first_loss.get_or_insert(now);
        let sessions = losses.live + losses.lost;
        let spread_secs = spread.as_secs_f64();
        let at_once = (sessions as f64 / spread_secs).ceil() as u64;
        if losses.delayed == 0 && losses.lost <= at_once {
            return Duration::ZERO;
        }
        let steps = (10.0 * spread_secs * losses.lost as f64 / sessions.max(1) as f64).floor();
        let due = first + Duration::from_millis(u64::from(jitter.min(99)) + 100 * steps as u64);
        let delay = due.saturating_duration_since(now);
        if !delay.is_zero() {
            losses.delayed += 1;
            self.delayed = true;
        }
        delay
    }
}

impl Losses {
    fn reset(&mut self) {
        self.lost = 0;
        self.first_loss = None;
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        let mut table = self.pacing.lock();
        let Some(losses) = table.get_mut(&self.backend) else { return };
        if !self.lost {
            losses.live = losses.live.saturating_sub(1);
        }
        if self.delayed {
            losses.delayed = losses.delayed.saturating_sub(1);
            if losses.delayed == 0 {
                losses.reset();
            }
        }
        if losses.live == 0 && losses.delayed == 0 {
            table.remove(&self.backend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sp_09_twenty_clients_over_four_seconds() {
        let pacing = Arc::new(Pacing::default());
        let backend = "127.0.0.1:143".parse().unwrap();
        let mut sessions: Vec<_> = (0..20).map(|_| pacing.enter(backend)).collect();
        let now = Instant::now();
        let delays: Vec<_> =
            sessions.iter_mut().map(|s| s.lost(Duration::from_secs(4), now, 0).as_millis()).collect();
        assert_eq!(delays.iter().filter(|d| **d == 0).count(), 5, "{delays:?}");
        assert!(delays.iter().all(|d| *d <= 4100), "{delays:?}");
        assert!(delays[5..].is_sorted(), "{delays:?}");
    }

    #[test]
    fn off_means_at_once_and_the_table_empties() {
        let pacing = Arc::new(Pacing::default());
        let backend = "127.0.0.1:143".parse().unwrap();
        let mut session = pacing.enter(backend);
        assert_eq!(session.lost(Duration::ZERO, Instant::now(), 0), Duration::ZERO);
        drop(session);
        assert!(pacing.lock().is_empty());
    }
}
