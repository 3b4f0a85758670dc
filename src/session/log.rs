//! What one session tells the log and the metrics: it keeps what is known about the login and how the attempts went,
//! and leaves the words to `observe`.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use homing_login::{ClientIdentity, CloseReason, FailureClass, Note, ProxyTarget, TlsFacts, UserName};
use homing_wire::Fields;

use super::{
    Generation,
    login::{Login, Refused},
    meter::Meter,
};
use crate::{
    backend::{Cause, LoginFailure},
    director::{PlaceError, Placement},
    forwarding::{End as ForwardEnd, EndedBy},
    observe::{
        Extra, FailedAttempt, LoginContext, LoginLog as Words, PlaceFacts, ProxyDestination, ProxyEnd,
        ProxyFailure, ProxyReason, Side, TlsState, Traffic,
        tally::{LoginResult, SessionEnd, WaitReason},
    },
};

/// How a connection ended before login.
pub(super) enum End {
    /// The dialect's machine closed it.
    Closed(CloseReason),
    /// Reading or writing failed.
    Broken(io::Error),
    /// The TLS handshake failed.
    Handshake(String),
    /// The director wants the user's sessions to end.
    Kicked,
    /// A person does.
    KickedByAdmin,
}

/// Where the login stands, for the words at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No greeting yet.
    NotGreeted,
    /// Nothing under way.
    Idle,
    /// The auth service owes an answer.
    Authenticating,
    /// The client owes a SASL response.
    Challenged,
    /// The director or the backend owes an answer.
    FinishingLogin,
}

/// One session's log.
pub(super) struct LoginLog {
    words: Arc<Words>,
    context: LoginContext,
    accepted: Instant,
    attempt_started: Instant,
    phase: Phase,
    attempts: u32,
    successes: u32,
    reported: u32,
    last: Option<Extra>,
    meter: Meter,
}

impl LoginLog {
    pub(super) fn new(generation: &Generation, client: &ClientIdentity) -> Self {
        let now = Instant::now();
        Self {
            words: Arc::clone(&generation.words),
            context: LoginContext::of(client),
            accepted: now,
            attempt_started: now,
            phase: Phase::NotGreeted,
            attempts: 0,
            successes: 0,
            reported: 0,
            last: None,
            meter: Meter::new(client.service),
        }
    }

    /// The auth service can be asked, so that the client is greeted.
    pub(super) fn auth_ready(&mut self) {
        if self.phase == Phase::NotGreeted {
            self.phase = Phase::Idle;
        }
    }

    /// A time has passed; without a greeting it is the auth service that keeps the client waiting.
    pub(super) fn still_waiting(&self) {
        if self.phase == Phase::NotGreeted {
            self.words.greeting_delayed(&self.context);
        }
    }

    pub(super) fn handshaking(&mut self) {
        self.context.tls = TlsState::Handshaking(None);
        self.meter.handshaking();
    }

    pub(super) fn tls_up(&mut self, facts: &TlsFacts) {
        self.meter.tls_up();
        self.context.tls = TlsState::Up(None);
        self.context.cipher.clone_from(&facts.description);
        self.context.local_name = facts.server_name.clone().unwrap_or_default();
    }

    /// An attempt goes to the auth service.
    pub(super) fn attempt(&mut self, mechanism: &str) {
        mechanism.clone_into(&mut self.context.mechanism);
        self.context.user = UserName::default();
        self.attempts += 1;
        self.attempt_started = Instant::now();
        self.phase = Phase::Authenticating;
        self.meter.attempt();
    }

    pub(super) fn challenged(&mut self) {
        self.phase = Phase::Challenged;
        self.meter.challenged();
    }

    pub(super) fn answered(&mut self) {
        self.phase = Phase::Authenticating;
        self.meter.answered();
    }

    pub(super) fn note(&mut self, client: &ClientIdentity, note: &Note) {
        self.learn(client);
        self.phase = Phase::Idle;
        match note {
            Note::UnsupportedMechanism(name) => {
                self.context.mechanism.clone_from(name);
                self.attempts += 1;
                self.meter.count(LoginResult::Disallowed);
                self.last = Some(Extra::UnsupportedMechanism);
            }
            Note::PlaintextRefused | Note::TlsRequired => {
                self.attempts += 1;
                self.meter.count(LoginResult::Disallowed);
                self.report(FailedAttempt::DisallowedPlaintext);
            }
            Note::AuthAborted => {
                self.meter.end(LoginResult::Aborted);
                self.last = Some(Extra::AuthAborted);
            }
            Note::ClientId(_) => {}
        }
        self.words.note(&self.context, note);
    }

    /// The auth service refused. Only wrong credentials count as a failed attempt for log readers.
    pub(super) fn auth_failed(&mut self, client: &ClientIdentity, fields: &Fields) {
        self.learn(client);
        self.phase = Phase::Idle;
        if let Some(user) = fields.value("user") {
            self.context.user = user.into();
        }
        let (attempts, secs) = (self.attempts, self.secs());
        let could_tell = fields.value("code") != Some(b"temp_fail");
        self.meter.refused(if could_tell { LoginResult::AuthFailed } else { LoginResult::TempFail });
        match fields.value("code") {
            Some(b"temp_fail") => self.last = Some(Extra::AuthTempFail),
            Some(b"authz_fail") => self.last = Some(Extra::AuthorizationFailed { attempts, secs }),
            Some(b"user_disabled") => self.last = Some(Extra::UserDisabled),
            Some(b"pass_expired") => self.last = Some(Extra::PasswordExpired),
            Some(b"invalid_base64") => self.last = Some(Extra::InvalidBase64),
            _ => {
                let secs = self.attempt_started.elapsed().as_secs();
                self.report(FailedAttempt::AuthFailed { secs });
            }
        }
    }

    /// The auth service went away in the middle of an attempt.
    pub(super) fn auth_lost(&mut self) {
        self.phase = Phase::Idle;
        self.meter.refused(LoginResult::TempFail);
        self.last = Some(Extra::AuthServiceLost);
    }

    /// The auth service accepted.
    pub(super) fn authenticated(&mut self, fields: &Fields) {
        self.phase = Phase::FinishingLogin;
        self.successes += 1;
        self.meter.authenticated();
        let name = |key: &str| fields.value(key).map(UserName::from).unwrap_or_default();
        self.context.user = name("user");
        self.context.orig_user = name("original_user");
        self.context.auth_user = name("auth_user");
        // For %{passdb:FIELD}; passwords are not for logs.
        self.context.passdb = fields.iter().filter(|f| f.key != b"pass").cloned().collect();
    }

    /// Fields of the auth service's reply that are ignored.
    pub(super) fn reply_invalid(&self, problems: &[String]) {
        for problem in problems {
            self.words.reply_invalid(&self.context, problem);
        }
    }

    /// The login is refused here, before a backend is contacted.
    pub(super) fn login_refused(&mut self, client: &ClientIdentity, refused: &Refused) {
        self.learn(client);
        self.phase = Phase::Idle;
        self.meter.end(LoginResult::Refused);
        match &refused.log {
            Some(problem) => {
                self.last = Some(Extra::InternalFailure { successes: self.successes });
                self.words.proxy_impossible(&self.context, &refused.user, problem);
            }
            None => self.last = Some(Extra::LoginDisabled),
        }
    }

    /// The director is asked, perhaps again.
    pub(super) fn asking_director(&mut self) {
        self.meter.asking_director();
    }

    /// The director has a backend for the user.
    pub(super) fn placed(&mut self, placement: &Placement) {
        self.meter.waited(placement.waited());
    }

    /// The director has no backend for the user.
    pub(super) fn not_placed(&mut self, client: &ClientIdentity, login: Option<&Login>, error: &PlaceError) {
        self.learn(client);
        self.phase = Phase::Idle;
        let reason = error.wait_reason();
        self.meter.waited(reason);
        let no_host = matches!(reason, WaitReason::None | WaitReason::NoHost);
        self.meter.end(if no_host { LoginResult::NoHost } else { LoginResult::Moving });
        self.last = Some(Extra::InternalFailure { successes: self.successes });
        let user = login.map(|login| login.target().user.clone()).unwrap_or_default();
        self.words.proxy_impossible(&self.context, &user, &error.to_string());
    }

    /// The backend is known, and is contacted now.
    pub(super) fn at_backend(&mut self) {
        self.meter.at_backend();
    }

    /// The backend said odd things while it was logged in to.
    pub(super) fn backend_warned(
        &mut self,
        client: &ClientIdentity,
        to: &ProxyDestination,
        texts: &[String],
    ) {
        self.learn(client);
        texts.iter().for_each(|text| self.words.proxy_warning(&self.context, to, text));
    }

    /// The backend accepted.
    pub(super) fn started(
        &mut self,
        client: &ClientIdentity,
        to: &ProxyDestination,
        took: Duration,
        reconnects: u32,
        placement: Option<&Placement>,
    ) {
        self.learn(client);
        self.meter.logged_in();
        let facts = |placement: &Placement| PlaceFacts {
            user_hash: placement.user().to_string(),
            reason: placement.cause().to_string(),
        };
        self.words.proxy_started(&self.context, to, took, reconnects, placement.map(facts).as_ref());
    }

    /// The last attempt at the backend failed.
    pub(super) fn backend_failed(
        &mut self,
        client: &ClientIdentity,
        to: &ProxyDestination,
        failed: &LoginFailure,
        after: Duration,
        reconnects: u32,
    ) {
        self.learn(client);
        self.phase = Phase::Idle;
        self.last = Some(Extra::InternalFailure { successes: self.successes });
        self.meter.end(match failed.failure.class {
            FailureClass::Auth | FailureClass::AuthTempFail => LoginResult::BackendRefused,
            _ => LoginResult::BackendFailed,
        });
        let text = failed.failure.text.as_str();
        match (&failed.cause, failed.failure.class) {
            (Cause::Connect, _) => {
                self.proxy_failed(
                    to,
                    &ProxyFailure::Connect { error: text, after, reconnects, local: failed.local },
                );
            }
            (Cause::TimedOut { state }, _) => {
                let failure = ProxyFailure::TimedOut { state, after, reconnects, local: failed.local };
                self.proxy_failed(to, &failure);
            }
            (Cause::HostDown, _) => self.proxy_failed(to, &ProxyFailure::HostDown),
            (Cause::Disconnected { state, duration }, _) => {
                let failure = ProxyFailure::Disconnected { error: text, state, duration: *duration };
                self.proxy_failed(to, &failure);
            }
            (Cause::Dialogue, FailureClass::Auth) => {
                self.words.proxy_login_failed(&self.context, to, text);
                self.report(FailedAttempt::ProxyDestAuthFailed);
            }
            (Cause::Dialogue, FailureClass::AuthTempFail) => {
                self.words.proxy_login_failed(&self.context, to, text);
            }
            (Cause::Dialogue, FailureClass::Protocol) => {
                self.proxy_failed(to, &ProxyFailure::InvalidInput(text))
            }
            (Cause::Dialogue, FailureClass::Remote | FailureClass::RemoteConfig) => {
                self.proxy_failed(to, &ProxyFailure::Remote(text));
            }
            (Cause::Dialogue, _) => self.proxy_failed(to, &ProxyFailure::Internal(text)),
        }
    }

    fn proxy_failed(&self, to: &ProxyDestination, failure: &ProxyFailure<'_>) {
        self.words.proxy_failed(&self.context, to, failure);
    }

    /// The connection ended before login.
    pub(super) fn ended(&mut self, client: &ClientIdentity, end: End) {
        self.learn(client);
        if matches!(end, End::Kicked | End::KickedByAdmin) {
            self.meter.end(LoginResult::Kicked);
        }
        let (reason, error) = match end {
            End::Closed(reason) => (reason, None),
            End::Broken(error) => (CloseReason::ConnectionClosed, cause(&error)),
            End::Handshake(text) => {
                self.meter.handshake_failed();
                self.context.tls = TlsState::Handshaking(Some(text.clone()));
                (CloseReason::ConnectionClosed, Some(text))
            }
            End::Kicked => (CloseReason::Shutdown, Some("Kicked via director".to_owned())),
            End::KickedByAdmin => (CloseReason::Shutdown, Some("Kicked by admin".to_owned())),
        };
        let extra = self.extra();
        self.words.disconnected(&self.context, reason, error.as_deref(), extra);
    }

    /// A logged-in session ended.
    pub(super) fn forwarded(&self, to: &ProxyDestination, end: &Forwarded<'_>) {
        self.meter.ended(match (end.reason, end.end.by) {
            (Some(ProxyReason::KickedViaDirector), _) => SessionEnd::Director,
            (Some(ProxyReason::KickedByAdmin), _) => SessionEnd::Admin,
            (Some(ProxyReason::ShuttingDown), _) => SessionEnd::Shutdown,
            (None, EndedBy::Client) => SessionEnd::Client,
            (None, _) => SessionEnd::Server,
        });
        let traffic = Traffic {
            idle: end.end.idle,
            in_bytes: end.end.bytes_in + end.sent_to_backend,
            out_bytes: end.end.bytes_out + end.sent_to_client,
            unsent_bytes: end.end.unsent_out,
            client_blocked: end.end.client_blocked,
            server_blocked: end.end.server_blocked,
        };
        let error = end.end.error.as_ref().map(crate::backend::plain_text);
        let side = if end.end.by == EndedBy::Client { Side::Client } else { Side::Server };
        let client_in = (!end.client_in.is_zero()).then_some(end.client_in);
        let end = match end.reason {
            Some(reason) => ProxyEnd::Proxy(reason),
            None => ProxyEnd::Peer { side, error: error.as_deref(), traffic, client_in },
        };
        self.words.proxy_ended(&self.context, to, &end);
    }

    /// Addresses and session id, which a trusted proxy may have changed.
    fn learn(&mut self, client: &ClientIdentity) {
        self.context.remote = client.remote;
        self.context.local = client.local;
        self.context.session = client.session.clone();
    }

    fn report(&mut self, attempt: FailedAttempt) {
        self.reported += 1;
        self.last = Some(Extra::Reported { attempts: self.reported, secs: self.secs() });
        self.words.failed_attempt(&self.context, attempt);
    }

    fn extra(&self) -> Extra {
        let waited = self.attempt_started.elapsed().as_secs();
        match (self.phase, self.last) {
            // It was the client's turn, or it had nothing to wait for yet.
            (Phase::NotGreeted, _) if matches!(self.context.tls, TlsState::Handshaking(_)) => {
                Extra::NoAttempts { secs: self.secs() }
            }
            (Phase::NotGreeted, _) => Extra::AuthNotReady { secs: self.secs() },
            (Phase::Challenged, _) => Extra::SaslUnfinished { secs: waited },
            (Phase::Authenticating, _) => Extra::Authenticating { secs: waited },
            (Phase::FinishingLogin, _) => Extra::FinishingLogin { secs: waited },
            (Phase::Idle, Some(Extra::Reported { attempts, .. })) => {
                Extra::Reported { attempts, secs: self.secs() }
            }
            (Phase::Idle, Some(last)) => last,
            (Phase::Idle, None) => Extra::NoAttempts { secs: self.secs() },
        }
    }

    fn secs(&self) -> u64 {
        self.accepted.elapsed().as_secs()
    }
}

/// How a logged-in session ended.
pub(super) struct Forwarded<'a> {
    pub(super) end: &'a ForwardEnd,
    /// Set if we ended it.
    pub(super) reason: Option<ProxyReason>,
    /// Bytes written before forwarding began.
    pub(super) sent_to_client: u64,
    /// Likewise.
    pub(super) sent_to_backend: u64,
    /// The client is let go later.
    pub(super) client_in: Duration,
}

/// Where a login goes, for the log.
pub(super) fn destination(target: &ProxyTarget, address: SocketAddr) -> ProxyDestination {
    ProxyDestination {
        user: target.user.clone(),
        address,
        host: target.host.clone(),
        source: target.source_ip,
        destuser: (target.destuser != target.user).then(|| target.destuser.clone()),
        master: target.master.clone(),
    }
}

/// The cause behind `Connection closed`; a peer that left without the goodbye of TLS has just left.
fn cause(error: &io::Error) -> Option<String> {
    (error.kind() != io::ErrorKind::UnexpectedEof).then(|| crate::backend::plain_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_without_the_goodbye_of_tls_is_no_error() {
        let rustls = "peer closed connection without sending TLS close_notify: https://docs.rs/";
        assert_eq!(cause(&io::Error::new(io::ErrorKind::UnexpectedEof, rustls)), None);
        let reset = io::Error::from_raw_os_error(rustix::io::Errno::CONNRESET.raw_os_error());
        assert_eq!(cause(&reset).as_deref(), Some("Connection reset by peer"));
    }
}
