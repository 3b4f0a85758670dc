//! Whether a failed attempt is repeated (spec/login-proxy.md 7.4): after a pause, a bounded number of times, and only
//! while enough of the time limit is left. Where the next attempt goes is the caller's business, who asks the director
//! again in between (spec/director.md 10, W12).

use std::time::{Duration, Instant};

use super::{
    Backends, LoginOutcome, LoginRequest,
    attempt::{Cause, LoginFailure, Traces, Tried, attempt, limit_of},
};
use crate::{observe::tally::tally, transport::Transport};

/// Pause between attempts.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// No further attempt unless more than this is left of the time limit.
const TIME_LEFT_MIN: Duration = Duration::from_millis(1100);

/// How far a login has come over its attempts.
#[derive(Clone)]
pub struct Tries {
    started: Instant,
    reconnects: u32,
    traces: Traces,
}

/// What came of one attempt. Its connection is closed, unless it is the result or its backend may still let the user in.
pub enum Attempted {
    /// The login is over, too.
    Done(Box<LoginOutcome>),
    /// Another one is due after [`RETRY_PAUSE`]; with what [`LoginOutcome::undecided`] is.
    Again(Tries, Option<Transport>),
}

impl Tries {
    /// None yet.
    pub fn begin() -> Self {
        Self { started: Instant::now(), reconnects: 0, traces: Traces::default() }
    }

    /// An attempt was broken off; the next one is a repetition.
    pub fn count_broken_off(&mut self) {
        self.reconnects = self.reconnects.saturating_add(1);
    }

    /// True before the first attempt.
    pub fn is_first(&self) -> bool {
        self.reconnects == 0
    }
}

pub(super) async fn login(backends: &Backends, request: LoginRequest<'_>, mut tries: Tries) -> Attempted {
    let Tried { result, undecided } = attempt(backends, &request, &mut tries.traces, tries.started).await;
    if let Err(failed) = &result
        && is_repeated(backends, &request, &tries, failed)
    {
        tracing::debug!(target: "homing::backend", session = %request.client.session, "{} - retrying", failed.failure.text);
        tries.reconnects += 1;
        tally().backend_retries.of(request.client.service).count();
        return Attempted::Again(tries, undecided);
    }
    let Tries { started, reconnects, mut traces } = tries;
    Attempted::Done(Box::new(LoginOutcome {
        client_lines: std::mem::take(&mut traces.client_lines),
        warnings: std::mem::take(&mut traces.warnings),
        capabilities: traces.capabilities.take().or(request.known_capabilities),
        reconnects,
        took: started.elapsed(),
        result,
        undecided,
    }))
}

fn is_repeated(
    backends: &Backends,
    request: &LoginRequest<'_>,
    tries: &Tries,
    failed: &LoginFailure,
) -> bool {
    failed.failure.class.is_retried()
        && failed.cause != Cause::HostDown
        && tries.reconnects < backends.settings.reconnects_max
        && time_is_left(limit_of(backends, request), tries.started.elapsed())
}

fn time_is_left(limit: Option<Duration>, elapsed: Duration) -> bool {
    limit.is_none_or(|limit| limit.saturating_sub(elapsed) > TIME_LEFT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_need_time() {
        let secs = Duration::from_secs;
        assert!(time_is_left(None, secs(1000)));
        assert!(time_is_left(Some(secs(30)), secs(3)));
        assert!(!time_is_left(Some(secs(1)), secs(0)), "proxy_timeout=1: one attempt");
        assert!(!time_is_left(Some(secs(3)), secs(3)));
    }
}
