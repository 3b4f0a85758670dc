//! Every kind of login line. The expected texts are captured lines; only the session id is unified.

use std::time::Duration;

use homing_login::{ClientIdentity, CloseReason, Note, Secured, Service};
use homing_wire::{Fields, SessionId};

use super::{context, logged, settings};
use crate::{
    config::settings::{LogSettings, LogTarget},
    observe::{
        Extra, FailedAttempt, LoginContext, LoginLog, ProxyDestination, ProxyEnd, ProxyFailure, ProxyReason,
        Side, TlsState, Traffic,
    },
};

const ALICE: &str =
    "user=<alice>, method=PLAIN, rip=127.0.77.100, lip=127.0.77.1, session=<ZQCyXfFgM6Z/AE1k>";
const NOBODY: &str = "user=<>, rip=127.0.77.100, lip=127.0.77.1, session=<ZQCyXfFgM6Z/AE1k>";

fn with(settings: &LogSettings, write: impl FnOnce(&LoginLog)) -> Vec<String> {
    logged(settings, || write(&LoginLog::new(settings)))
}

fn one(write: impl FnOnce(&LoginLog)) -> String {
    let mut lines = with(&settings(LogTarget::Stderr), write);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn backend() -> ProxyDestination {
    ProxyDestination {
        user: "alice".into(),
        address: "127.0.77.4:143".parse().unwrap(),
        host: None,
        source: None,
        destuser: None,
        master: None,
    }
}

#[test]
fn disconnects_before_login() {
    let line = |reason, error, extra| one(|log| log.disconnected(&context("", ""), reason, error, extra));
    assert_eq!(
        line(CloseReason::ConnectionClosed, None, Extra::NoAttempts { secs: 0 }),
        format!("imap-login: Info: Disconnected: Connection closed (no auth attempts in 0 secs): {NOBODY}")
    );
    assert_eq!(
        line(CloseReason::TooManyBadCommands, None, Extra::NoAttempts { secs: 0 }),
        format!(
            "imap-login: Info: Disconnected: Too many invalid commands (no auth attempts in 0 secs): {NOBODY}"
        )
    );
    let reset = Some("read(size=1026) failed: Connection reset by peer");
    assert_eq!(
        line(CloseReason::ConnectionClosed, reset, Extra::AuthAborted),
        format!(
            "imap-login: Info: Disconnected: Connection closed: read(size=1026) failed: Connection reset by \
             peer (aborted authentication): {NOBODY}"
        )
    );
}

#[test]
fn an_error_text_cannot_pose_as_extra() {
    let line = one(|log| {
        let error = Some("x (auth failed, 1 attempts): rip=1.2.3.4");
        let extra = Extra::NoAttempts { secs: 0 };
        log.disconnected(&context("", ""), CloseReason::ConnectionClosed, error, extra);
    });
    assert_eq!(line.matches(" (").count(), 1, "{line}");
}

#[test]
fn a_cause_that_says_no_more_is_left_out() {
    let extra = Extra::NoAttempts { secs: 0 };
    let error = Some("Connection closed");
    let line = one(|log| log.disconnected(&context("", ""), CloseReason::ConnectionClosed, error, extra));
    assert_eq!(
        line,
        format!("imap-login: Info: Disconnected: Connection closed (no auth attempts in 0 secs): {NOBODY}")
    );
}

#[test]
fn extras_are_the_words_of_the_reference() {
    for (extra, words) in [
        (Extra::InvalidCertificate, "client sent an invalid cert"),
        (Extra::NoCertificate, "client didn't send a cert"),
        (Extra::NoTlsForCertificate, "cert required, client didn't start TLS"),
        (Extra::AuthNotReady { secs: 10 }, "disconnected before auth was ready, waited 10 secs"),
        (Extra::SaslUnfinished { secs: 0 }, "client didn't finish SASL auth, waited 0 secs"),
        (Extra::Authenticating { secs: 2 }, "disconnected while authenticating, waited 2 secs"),
        (Extra::FinishingLogin { secs: 1 }, "disconnected while finishing login, waited 1 secs"),
        (Extra::AuthServiceLost, "auth process communication failure"),
        (Extra::InternalFailure { successes: 1 }, "internal failure, 1 successful auths"),
        (Extra::AuthorizationFailed { attempts: 1, secs: 0 }, "authorization failed, 1 attempts in 0 secs"),
        (Extra::AuthTempFail, "auth service reported temporary failure"),
        (Extra::UserDisabled, "user disabled"),
        (Extra::PasswordExpired, "password expired"),
        (Extra::InvalidBase64, "sent invalid base64 in response"),
        (Extra::LoginDisabled, "login disabled"),
        (Extra::UnsupportedMechanism, "tried to use unsupported auth mechanism"),
    ] {
        assert_eq!(extra.to_string(), words);
    }
}

#[test]
fn elements_follow_the_state_of_the_connection() {
    let tls = |tls| {
        let context = LoginContext { tls, ..context("alice", "plain") };
        let line = one(|log| log.failed_attempt(&context, FailedAttempt::AuthFailed { secs: 0 }));
        let (_, elements) = line.split_once("lip=127.0.77.1, ").unwrap();
        elements.rsplit_once("session=").unwrap().0.to_owned()
    };
    assert_eq!(tls(TlsState::None), "");
    assert_eq!(tls(TlsState::Secured), "secured, ");
    assert_eq!(tls(TlsState::Up(None)), "TLS, ");
    assert_eq!(tls(TlsState::Up(Some("Connection closed".to_owned()))), "TLS: Connection closed, ");
    assert_eq!(tls(TlsState::Handshaking(None)), "TLS handshaking, ");
}

#[test]
fn failed_attempts_have_the_form_that_filters_know() {
    let line = |attempt| one(|log| log.failed_attempt(&context("alice", "PLAIN"), attempt));
    assert_eq!(
        line(FailedAttempt::AuthFailed { secs: 0 }),
        format!("imap-login: Info: Disconnected (auth failed, 1 attempts in 0 secs): {ALICE}")
    );
    assert_eq!(
        line(FailedAttempt::ProxyDestAuthFailed),
        format!("imap-login: Info: Disconnected (proxy dest auth failed): {ALICE}")
    );
    let trusted = LoginContext { trusted: true, ..context("alice", "PLAIN") };
    let line = one(|log| log.failed_attempt(&trusted, FailedAttempt::AuthFailed { secs: 0 }));
    assert!(line.ends_with(ALICE) && !line.contains("auth failed"), "{line}");
}

#[test]
fn only_a_trusted_clients_own_failures_are_spared() {
    let (remote, local) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:143".parse().unwrap());
    let session = SessionId::generate(1, remote);
    let mut client = ClientIdentity::new(Service::Pop3, remote, local, session);
    (client.trusted, client.secured) = (true, Secured::Yes);
    assert!(LoginContext::of(&client).trusted);
    client.remote = "192.0.2.7:99".parse().unwrap(); // forwarded by XCLIENT
    assert!(!LoginContext::of(&client).trusted);
    assert_eq!(LoginContext::of(&client).tls, TlsState::Secured);
}

#[test]
fn notes_appear_with_auth_verbose() {
    let line = |user, method, note| one(|log| log.note(&context(user, method), &note));
    assert_eq!(
        line("", "", Note::PlaintextRefused),
        format!("imap-login: Info: Login failed: Plaintext authentication disabled: {NOBODY}")
    );
    assert_eq!(
        line("alice", "PLAIN", Note::TlsRequired),
        format!("imap-login: Info: Login failed: SSL required for authentication: {ALICE}")
    );
    let unsupported = line("alice", "PLAIN", Note::UnsupportedMechanism("foo".to_owned()));
    assert_eq!(
        unsupported,
        format!("imap-login: Info: Authenticate FOO failed: Unsupported authentication mechanism.: {ALICE}")
    );
    let quiet = LogSettings { auth_verbose: false, ..settings(LogTarget::Stderr) };
    let lines = with(&quiet, |log| {
        let context = context("alice", "PLAIN");
        log.note(&context, &Note::TlsRequired);
        log.note(&context, &Note::AuthAborted);
        log.proxy_login_failed(&context, &backend(), "no");
        log.note(&context, &Note::ClientId("name=x".to_owned()));
        log.greeting_delayed(&context);
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("imap-login: Info: ID sent: name=x: user="));
    assert!(lines[1].starts_with("imap-login: Warning: Auth process not responding, delayed "));
}

#[test]
fn ignored_fields_of_auth_replies_are_errors() {
    let problem = "Auth service returned invalid port number: 99999\n";
    let line = one(|log| log.reply_invalid(&context("alice", "PLAIN"), problem));
    assert!(
        line.starts_with("imap-login: Error: Auth service returned invalid port number: 99999"),
        "{line}"
    );
    assert!(line.ends_with(ALICE), "{line}");
}

#[test]
fn own_templates_are_obeyed() {
    let own = "user=<%u> m=%m r=%r l=%l s=%s port=%b listener=%{listener} sess=%{session} orig=%{orig_user} \
               auth=%{auth_user} pdb=%{passdb:foo} secret=%{passdb:pass} %Un %Ld@ literal";
    let own = LogSettings {
        elements: own.split_whitespace().map(str::to_owned).collect(),
        line: "[%$] (%s) %%".to_owned(),
        ..settings(LogTarget::Stderr)
    };
    let before = LoginContext { listener: "imap".to_owned(), ..context("", "") };
    let after = LoginContext {
        listener: "imap".to_owned(),
        orig_user: "ALICE".into(),
        auth_user: "ALICE".into(),
        passdb: Fields::new().with("foo", "bar").with("pass", "secret"),
        ..context("alice@EXAMPLE.com", "PLAIN")
    };
    let took = Duration::from_millis(45);
    let lines = with(&own, |log| {
        log.note(&before, &Note::ClientId("name=Cli\"ent, version=NIL".to_owned()));
        log.proxy_started(&after, &backend(), took, 0, None);
    });
    assert_eq!(
        lines[0],
        "imap-login: Info: [ID sent: name=Cli\"ent, version=NIL] (user=<>, r=127.0.77.100, l=127.0.77.1, \
         s=imap, port=42547, listener=imap, sess=ZQCyXfFgM6Z/AE1k, pdb=, secret=, ) %"
    );
    assert_eq!(
        lines[1],
        "imap-login: Info: [proxy(alice,127.0.77.4:143): Started proxying to <127.0.77.4> (0.045 secs)] \
         (user=<alice@EXAMPLE.com>, m=PLAIN, r=127.0.77.100, l=127.0.77.1, s=imap, port=42547, \
         listener=imap, sess=ZQCyXfFgM6Z/AE1k, orig=ALICE, auth=ALICE, pdb=bar, secret=, ALICE, \
         example.com@) %"
    );
}

#[test]
fn proxy_starts() {
    let line = |to: ProxyDestination, millis, reconnects| {
        let context = context("alice", "PLAIN");
        let line =
            one(|log| log.proxy_started(&context, &to, Duration::from_millis(millis), reconnects, None));
        line.strip_prefix("imap-login: Info: ")
            .unwrap()
            .strip_suffix(&format!(": {ALICE}"))
            .unwrap()
            .to_owned()
    };
    let prefix = "proxy(alice,127.0.77.4:143): Started proxying to <127.0.77.4>";
    assert_eq!(line(backend(), 0, 0), format!("{prefix} (0.000 secs)"));
    assert_eq!(line(backend(), 2141, 2), format!("{prefix} (2.141 secs, 2 reconnects)"));
    let named = ProxyDestination { host: Some("backend.example.com".to_owned()), ..backend() };
    assert_eq!(line(named, 55, 0), format!("{prefix} (<backend.example.com>) (0.055 secs)"));
    let same =
        ProxyDestination { host: Some("127.0.77.4".to_owned()), destuser: Some("alice".into()), ..backend() };
    assert_eq!(line(same, 0, 0), format!("{prefix} (0.000 secs)"));
    let all = ProxyDestination {
        source: Some("127.0.77.52".parse().unwrap()),
        destuser: Some("other".into()),
        master: Some("pm".into()),
        ..backend()
    };
    assert_eq!(line(all, 1, 0), format!("{prefix} from 127.0.77.52 as user other (master pm) (0.001 secs)"));
}

#[test]
fn proxy_failures() {
    let text = |failure: ProxyFailure<'_>| {
        let line = one(|log| log.proxy_failed(&context("alice", "PLAIN"), &backend(), &failure));
        let line = line.strip_suffix(&format!(": {ALICE}")).unwrap().to_owned();
        line.strip_prefix("imap-login: Error: proxy(alice,127.0.77.4:143): ").unwrap().to_owned()
    };
    let local = Some("127.0.0.1:34236".parse().unwrap());
    assert_eq!(
        text(ProxyFailure::Connect {
            error: "Connection refused",
            after: Duration::from_secs(3),
            reconnects: 3,
            local
        }),
        "connect(127.0.77.4, 143) failed: Connection refused (after 3 secs, 3 reconnects, local=127.0.0.1:34236)"
    );
    assert_eq!(
        text(ProxyFailure::TimedOut {
            state: "login/id",
            after: Duration::from_secs(30),
            reconnects: 0,
            local
        }),
        "Login timed out in state=login/id (after 30 secs, local=127.0.0.1:34236)"
    );
    assert_eq!(text(ProxyFailure::HostDown), "Host is down");
    let closed = ProxyFailure::Disconnected {
        error: "Connection closed",
        state: "login/id",
        duration: Duration::ZERO,
    };
    assert_eq!(text(closed), "Disconnected by server: Connection closed (state=login/id, duration=0s)");
    assert_eq!(
        text(ProxyFailure::InvalidInput("Invalid banner: -ERR busy")),
        "Remote server sent invalid input: Invalid banner: -ERR busy"
    );
    assert_eq!(
        text(ProxyFailure::Remote("Remote doesn't support STARTTLS")),
        "Aborting due to remote server: Remote doesn't support STARTTLS"
    );
    assert_eq!(text(ProxyFailure::Internal("x\ny")), "Aborting due to internal error: x\\x0ay");
    let impossible =
        one(|log| log.proxy_impossible(&context("alice", "PLAIN"), &"alice".into(), "password not given"));
    assert_eq!(impossible, format!("imap-login: Error: proxy(alice): password not given: {ALICE}"));
    let to = ProxyDestination { destuser: Some("other".into()), ..backend() };
    let refused = one(|log| log.proxy_login_failed(&context("alice", "PLAIN"), &to, "[LIMIT] Too many"));
    assert_eq!(
        refused,
        format!(
            "imap-login: Info: proxy(alice,127.0.77.4:143): Login failed as user other: [LIMIT] Too many: {ALICE}"
        )
    );
}

#[test]
fn proxy_ends() {
    let text = |end: ProxyEnd<'_>| end.to_string();
    let traffic = Traffic { in_bytes: 45, out_bytes: 260, ..Traffic::default() };
    let peer = |side, error, traffic| ProxyEnd::Peer { side, error, traffic, client_in: None };
    assert_eq!(text(peer(Side::Server, None, traffic)), "Disconnected by server (0s idle, in=45, out=260)");
    let reset = Some("read(size=4033) failed: Connection reset by peer");
    assert_eq!(
        text(peer(Side::Client, reset, Traffic { idle: Duration::from_secs(3), ..traffic })),
        "Disconnected by client: read(size=4033) failed: Connection reset by peer (3s idle, in=45, out=260)"
    );
    let blocked = Traffic { unsent_bytes: 7, client_blocked: true, server_blocked: true, ..traffic };
    assert_eq!(
        text(peer(Side::Server, None, blocked)),
        "Disconnected by server (0s idle, in=45, out=260+7, client output blocked, server output blocked)"
    );
    let delayed = ProxyEnd::Peer {
        side: Side::Server,
        error: None,
        traffic: Traffic { idle: Duration::from_secs(1), in_bytes: 27, out_bytes: 183, ..traffic },
        client_in: Some(Duration::from_millis(4069)),
    };
    assert_eq!(
        text(delayed),
        "Disconnected by server (1s idle, in=27, out=183) - disconnecting client in 4069ms"
    );
    for (reason, words) in [
        (ProxyReason::KickedByAdmin, "Kicked by admin"),
        (ProxyReason::KickedViaDirector, "Kicked via director"),
        (ProxyReason::ShuttingDown, "Process shutting down"),
    ] {
        assert_eq!(text(ProxyEnd::Proxy(reason)), format!("Disconnected by proxy: {words}"));
    }
    let line = one(|log| {
        let end = peer(Side::Server, None, traffic);
        log.proxy_ended(&context("alice", "PLAIN"), &backend(), &end);
    });
    assert_eq!(
        line,
        format!(
            "imap-login: Info: proxy(alice,127.0.77.4:143): Disconnected by server (0s idle, in=45, out=260): \
             {ALICE}"
        )
    );
}

#[test]
fn hostile_names_stay_inside_their_element() {
    let hostile = LoginContext {
        local_name: "x>, rip=1.2.3.4".to_owned(),
        ..context("a>, method=X, rip=1.2.3.4\r\nimap-login: x", "pl ain,\x1b")
    };
    let line = one(|log| log.failed_attempt(&hostile, FailedAttempt::AuthFailed { secs: 0 }));
    assert!(
        line.contains(
            "user=<a\\x3e, method=X, rip=1.2.3.4\\x0d\\x0aimap-login: x>, method=PL_AIN,\\x1b, rip="
        ),
        "{line}"
    );
    let to = ProxyDestination { user: "x,192.0.2.66): unknown user (".into(), ..backend() };
    let line = one(|log| log.proxy_failed(&context("x", "PLAIN"), &to, &ProxyFailure::HostDown));
    assert!(
        line.contains("proxy(x\\x2c192.0.2.66\\x29: unknown user \\x28,127.0.77.4:143): Host is down"),
        "{line}"
    );
    let long = context(&"é".repeat(5000), "PLAIN");
    let line = one(|log| log.failed_attempt(&long, FailedAttempt::AuthFailed { secs: 0 }));
    assert!(line.len() < 2000 && line.ends_with("session=<ZQCyXfFgM6Z/AE1k>"), "{}", line.len());
}
