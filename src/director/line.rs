//! What ties a session to the director while it lives: the director ends the session through it, and sees whether now
//! is a moment to do so. It does not know where the session is or what flows through it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::core::Moment;

/// One end of the line. Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct SessionLine(Arc<Shared>);

/// One allocation of 64 bytes a session, with its counters.
#[derive(Debug, Default)]
struct Shared {
    kicked: AtomicBool,
    kicks: Notify,
    traffic: AtomicU64,
}

impl SessionLine {
    /// Ends the session; it counts until it is given back.
    pub(super) fn cancel(&self) {
        // Ordered before the call below, which `cancelled` relies on.
        self.0.kicked.store(true, Ordering::SeqCst);
        self.0.kicks.notify_waiters();
    }

    /// True if the session has to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.kicked.load(Ordering::SeqCst)
    }

    /// Returns when the session has to end.
    pub async fn cancelled(&self) {
        // Hears what is said from here on, polled or not.
        let kicked = self.0.kicks.notified();
        if !self.is_cancelled() {
            kicked.await;
        }
    }

    /// [`SessionLine::cancelled`] for whoever cannot keep it.
    pub async fn cancelled_owned(self) {
        self.cancelled().await;
    }

    /// Bytes have moved; `client_waits`: the client is not known to have been answered.
    pub(super) fn note_traffic(&self, at: Moment, client_waits: bool) {
        self.0.traffic.store(at.millis() << 1 | u64::from(client_waits), Ordering::Relaxed);
    }

    /// See [`super::core::Activity`]. A session in which nothing was noted yet is logging in.
    pub(super) fn quiet_since(&self) -> Option<Moment> {
        let traffic = self.0.traffic.load(Ordering::Relaxed);
        (traffic != 0 && traffic & 1 == 0).then(|| Moment::from_millis(traffic >> 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kick_reaches_who_waits_and_who_comes_later() {
        let line = SessionLine::default();
        let waiting = tokio::spawn(line.clone().cancelled_owned());
        tokio::task::yield_now().await;
        assert!(!line.is_cancelled() && !waiting.is_finished());
        line.cancel();
        waiting.await.unwrap();
        line.cancelled().await;
        assert!(line.is_cancelled());
    }

    /// The future is made before the kick and looked at after it.
    #[tokio::test]
    async fn a_kick_between_asking_and_waiting_is_heard() {
        let line = SessionLine::default();
        let mut waiting = std::pin::pin!(line.cancelled());
        let first =
            std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_ready())).await;
        assert!(!first);
        line.cancel();
        waiting.await;
    }

    #[test]
    fn a_session_is_quiet_when_its_client_was_answered() {
        let (line, at) = (SessionLine::default(), Moment::from_millis(1_700_000_000_001));
        assert_eq!(line.quiet_since(), None, "logging in");
        line.note_traffic(at, true);
        assert_eq!(line.quiet_since(), None);
        line.note_traffic(at, false);
        assert_eq!(line.quiet_since(), Some(at));
    }

    #[test]
    fn a_line_is_small() {
        assert!(size_of::<Shared>() + 2 * size_of::<usize>() <= 64, "{}", size_of::<Shared>());
    }
}
