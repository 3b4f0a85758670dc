//! Why logins wait, for the metrics.

use super::core::Wait;
use crate::observe::tally::{WaitReason, tally};

/// The reason as the metrics know it.
pub(super) fn reason(wait: Option<Wait>) -> WaitReason {
    match wait {
        None => WaitReason::None,
        Some(Wait::NoHost) => WaitReason::NoHost,
        Some(Wait::Moving { .. }) => WaitReason::Moved,
        Some(Wait::Flushing) => WaitReason::FlushProgram,
        Some(Wait::KickDelay { .. }) => WaitReason::KickDelay,
    }
}

/// A login that counts as waiting until dropped.
#[derive(Debug)]
pub(super) struct Waiting(WaitReason);

impl Waiting {
    pub(super) fn new(wait: Wait) -> Self {
        let reason = reason(Some(wait));
        tally().waiting.of(reason).enter();
        Self(reason)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        tally().waiting.of(self.0).leave();
    }
}
