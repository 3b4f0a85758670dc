//! Session ids: unique as long as the clock does not run backwards by more than a restart takes.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use homing_wire::SessionId;

/// Gives every connection a different microsecond.
#[derive(Default)]
pub(super) struct SessionIds(AtomicU64);

impl SessionIds {
    pub(super) fn next(&self, client: SocketAddr) -> SessionId {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX - 1);
        let micros = |last: u64| now.max(last.saturating_add(1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(micros(last)));
        SessionId::generate(micros(last.unwrap_or_else(|last| last)), client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_even_within_a_microsecond() {
        let ids = SessionIds::default();
        let client = "127.0.0.1:1".parse().unwrap();
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.next(client)).collect();
        assert_eq!(made.len(), 1000);
    }
}
