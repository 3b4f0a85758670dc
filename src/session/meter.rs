//! What one session adds to the metrics: it keeps where the session is and since when. Told by the session's log, which
//! meets every turn anyway.

use std::time::{Duration, Instant};

use homing_login::Service;

use crate::observe::tally::{LoginPhase, LoginResult, SessionEnd, SessionPhase, WaitReason, tally};

/// The numbers of one session. Dropping it is the end of the session; a login under way then counts as aborted.
pub(super) struct Meter {
    service: Service,
    phase: SessionPhase,
    /// Since when, the client's turns left out.
    since: Instant,
    /// Time of the auth service's earlier turns in the attempt under way.
    spent: Duration,
    /// Start of the attempt under way.
    attempt: Option<Instant>,
}

impl Meter {
    pub(super) fn new(service: Service) -> Self {
        tally().connections.of(service).count();
        tally().sessions.of(service).of(SessionPhase::Connected).enter();
        let (phase, since) = (SessionPhase::Connected, Instant::now());
        Self { service, phase, since, spent: Duration::ZERO, attempt: None }
    }

    /// The session is somewhere else from now on.
    fn enter(&mut self, phase: SessionPhase) {
        let sessions = tally().sessions.of(self.service);
        sessions.of(phase).enter();
        sessions.of(self.phase).leave();
        (self.phase, self.since) = (phase, Instant::now());
    }

    pub(super) fn handshaking(&mut self) {
        self.enter(SessionPhase::Tls);
    }

    pub(super) fn tls_up(&mut self) {
        self.observe(LoginPhase::Tls, self.since.elapsed());
        self.enter(SessionPhase::Connected);
    }

    pub(super) fn handshake_failed(&self) {
        tally().handshakes_failed.of(self.service).count();
    }

    /// A login begins; the auth service is asked.
    pub(super) fn attempt(&mut self) {
        self.attempt = Some(Instant::now());
        self.spent = Duration::ZERO;
        self.enter(SessionPhase::Auth);
    }

    /// It is the client's turn.
    pub(super) fn challenged(&mut self) {
        self.spent += self.since.elapsed();
    }

    /// It is the auth service's turn again.
    pub(super) fn answered(&mut self) {
        self.since = Instant::now();
    }

    /// The auth service has decided.
    pub(super) fn authenticated(&mut self) {
        self.observe(LoginPhase::Auth, self.spent + self.since.elapsed());
        self.enter(SessionPhase::Director);
    }

    /// The auth service has refused, or is gone.
    pub(super) fn refused(&mut self, result: LoginResult) {
        self.observe(LoginPhase::Auth, self.spent + self.since.elapsed());
        self.end(result);
    }

    /// The director is asked, before each attempt at a backend.
    pub(super) fn asking_director(&mut self) {
        self.enter(SessionPhase::Director);
    }

    /// The director has answered, with a backend or without.
    pub(super) fn waited(&mut self, reason: WaitReason) {
        tally().director_wait.of(self.service).of(reason).observe(self.since.elapsed());
    }

    pub(super) fn at_backend(&mut self) {
        self.enter(SessionPhase::Backend);
    }

    pub(super) fn logged_in(&mut self) {
        if let Some(attempt) = self.attempt {
            tally().login_time.of(self.service).observe(attempt.elapsed());
        }
        self.end(LoginResult::Ok);
        self.enter(SessionPhase::Forwarding);
    }

    /// The attempt under way is over, if there is one.
    pub(super) fn end(&mut self, result: LoginResult) {
        if self.attempt.take().is_some() {
            self.count(result);
            self.enter(SessionPhase::Connected);
        }
    }

    /// An attempt that ended before anybody was asked.
    pub(super) fn count(&self, result: LoginResult) {
        tally().logins.of(self.service).of(result).count();
    }

    /// A logged-in session has ended.
    pub(super) fn ended(&self, end: SessionEnd) {
        tally().sessions_ended.of(self.service).of(end).count();
    }

    fn observe(&self, phase: LoginPhase, time: Duration) {
        tally().phase_time.of(self.service).of(phase).observe(time);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(LoginResult::Aborted);
        tally().sessions.of(self.service).of(self.phase).leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::tally::Label;

    /// No other test has sessions of this kind in this process at the same time, but for those of this file.
    const SERVICE: Service = Service::Sieve;

    fn logins(result: LoginResult) -> u64 {
        tally().logins.of(SERVICE).of(result).value()
    }

    #[test]
    fn every_attempt_has_one_result_and_every_session_one_place() {
        let before = LoginResult::ALL.iter().map(|result| logins(*result)).sum::<u64>();
        let (ok, aborted) = (logins(LoginResult::Ok), logins(LoginResult::Aborted));
        let mut meter = Meter::new(SERVICE);
        for result in [LoginResult::AuthFailed, LoginResult::TempFail] {
            meter.attempt();
            meter.refused(result);
            assert_eq!(meter.phase, SessionPhase::Connected);
        }
        meter.attempt();
        meter.challenged();
        meter.answered();
        meter.authenticated();
        meter.waited(WaitReason::None);
        meter.at_backend();
        meter.logged_in();
        let there = || tally().sessions.of(SERVICE).of(SessionPhase::Forwarding).value();
        assert_eq!((meter.phase, there()), (SessionPhase::Forwarding, 1));
        drop(meter);
        assert_eq!(there(), 0);
        let mut meter = Meter::new(SERVICE);
        meter.attempt();
        drop(meter);
        assert_eq!((logins(LoginResult::Ok) - ok, logins(LoginResult::Aborted) - aborted), (1, 1));
        let all = LoginResult::ALL.iter().map(|result| logins(*result)).sum::<u64>();
        assert_eq!(all - before, 4);
    }
}
