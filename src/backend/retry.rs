//! Repeats attempts as spec/login-proxy.md 7.4 says: after a pause, a bounded number of times, and only while
//! enough of the time limit is left.

use std::time::{Duration, Instant};

use super::{
    Backends, LoginOutcome, LoginRequest,
    attempt::{Cause, Traces, attempt, limit_of},
};
use crate::observe::tally::tally;

/// Pause between attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// No further attempt unless more than this is left of the time limit.
const TIME_LEFT_MIN: Duration = Duration::from_millis(1100);

pub(super) async fn login(backends: &Backends, request: LoginRequest<'_>) -> LoginOutcome {
    let started = Instant::now();
    let limit = limit_of(backends, &request);
    let mut traces = Traces::default();
    let mut reconnects = 0;
    let result = loop {
        let result = attempt(backends, &request, &mut traces, started).await;
        let Err(failed) = &result else { break result };
        let retried = failed.failure.class.is_retried() && failed.cause != Cause::HostDown;
        if !retried
            || reconnects >= backends.settings.reconnects_max
            || !time_is_left(limit, started.elapsed())
        {
            break result;
        }
        tracing::debug!(target: "homing::backend", session = %request.client.session, "{} - retrying", failed.failure.text);
        reconnects += 1;
        tally().backend_retries.of(request.client.service).count();
        tokio::time::sleep(PAUSE).await;
    };
    LoginOutcome {
        client_lines: std::mem::take(&mut traces.client_lines),
        warnings: std::mem::take(&mut traces.warnings),
        capabilities: traces.capabilities.take().or(request.known_capabilities),
        reconnects,
        took: started.elapsed(),
        result,
    }
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
