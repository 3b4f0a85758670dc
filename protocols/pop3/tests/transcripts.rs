//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against
//! both machines: what the reference sent is what they must send, except for the differences listed here.

use std::{sync::Arc, time::Instant};

use homing_login::{BackendLogin, Mechanism, Service};
use homing_pop3::{Pop3Backend, Pop3Frontend, Pop3FrontendConfig};
use homing_transcripts::{
    mechanism,
    recording::{Difference, Line, mechanisms_told, without_stamp},
    replay::{Accepted, Dialect, NO_PLAINTEXT, OPEN, Policy, TLS_REQUIRED, replay},
};

/// Why: FAIL with a host is no referral (auth-protocol.md 10.3); the stock text for bad base64 is preferred
/// (auth-protocol.md 10.6); LF in FORWARD is refused (auth-protocol.md 10.7); APOP is not offered; the
/// reference had crashed (auth-protocol.md 10.2). That APOP challenges are missing in greetings needs no entry.
const DIFFERENCES: &[Difference] = &[
    Difference::new(
        "pop3-auth-fail-codes",
        "",
        "+OK\nCAPA\nTOP\nUIDL\nRESP-CODES\nPIPELINING\nAUTH-RESP-CODE\nSTLS\nUSER\n\
         SASL PLAIN LOGIN SCRAM-SHA-256 XOAUTH2 EXTERNAL X-NEW\n.",
    ),
    Difference::new("pop3-auth-fail-codes", "-ERR Go there", "-ERR [AUTH] Go there"),
    Difference::new(
        "pop3-authfail",
        "-ERR [AUTH] Invalid base64 in response",
        "-ERR [AUTH] Invalid base64 data in continued response",
    ),
    Difference::new("pop3-authfail", "-ERR Invalid parameters.", "-ERR APOP not enabled."),
    Difference::new("pop3-authfail", "-ERR Invalid characters in MD5 response.", "-ERR APOP not enabled."),
    Difference::new("pop3-xclient-forward-hardening", "+OK Updated", "-ERR Invalid parameters")
        .of_client("4"),
];

/// What the recorder's auth service offered where a recording does not show it.
const MECHANISMS: [&str; 8] = [
    "PLAIN\tplaintext",
    "LOGIN\tplaintext",
    "SCRAM-SHA-256",
    "EXTERNAL",
    "XOAUTH2\tplaintext",
    "OAUTHBEARER\tplaintext",
    "ANONYMOUS\tanonymous",
    "CRAM-MD5",
];

#[derive(Default)]
struct Pop3 {
    /// The reference has APOP refused by its auth service; here it was refused without asking.
    apop_refused: bool,
}

impl Dialect for Pop3 {
    type Frontend = Pop3Frontend;
    type Backend = Pop3Backend;
    const SERVICE: Service = Service::Pop3;
    const TLS_PORT: &'static str = "995";
    const DIFFERENCES: &'static [Difference] = DIFFERENCES;

    fn frontend(accepted: Accepted, now: Instant) -> Pop3Frontend {
        let Accepted { identity, policy, tls, mechanisms } = accepted;
        let config = Pop3FrontendConfig { greeting: "Dovecot ready.".to_owned(), policy };
        Pop3Frontend::new(Arc::new(config), identity, now, tls, Some(mechanisms))
    }

    fn backend(login: BackendLogin) -> Pop3Backend {
        Pop3Backend::new(login)
    }

    fn is_trusted(told: &[&Line]) -> bool {
        told.first().is_some_and(|l| l.text.starts_with("+OK [XCLIENT]"))
    }

    fn mechanisms(lines: &[Line], _told: &[&Line], _policy: Policy) -> Arc<[Mechanism]> {
        let told = mechanisms_told(lines);
        if told.is_empty() { MECHANISMS.map(mechanism).into() } else { told.into() }
    }

    fn is_never_asked(&mut self, mechanism: &str) -> bool {
        self.apop_refused |= mechanism == "APOP";
        mechanism == "APOP"
    }

    /// Without APOP challenge.
    fn expected(&mut self, theirs: &str) -> String {
        if std::mem::take(&mut self.apop_refused) {
            return "-ERR APOP not enabled.".to_owned();
        }
        match theirs.split_once(" <") {
            Some((head, challenge)) => {
                assert!(challenge.ends_with("@proxyhost>"));
                head.to_owned()
            }
            None => without_stamp(theirs),
        }
    }
}

macro_rules! transcripts {
    ($($test:ident: $name:literal, $policy:ident;)*) => {
        $(#[test]
        fn $test() {
            replay(Pop3::default(), $name, $policy);
        })*
    };
}

transcripts! {
    auth_cont: "pop3-auth-cont", OPEN;
    auth_fail_codes: "pop3-auth-fail-codes", OPEN;
    authfail: "pop3-authfail", NO_PLAINTEXT;
    badcmds: "pop3-badcmds", NO_PLAINTEXT;
    banner: "pop3-banner", NO_PLAINTEXT;
    banner_tls: "pop3-banner-tls", NO_PLAINTEXT;
    fail_auth: "pop3-fail-auth", OPEN;
    fail_banner: "pop3-fail-banner", OPEN;
    fail_disconnect: "pop3-fail-disconnect", OPEN;
    fail_errnospace: "pop3-fail-errnospace", OPEN;
    fail_inuse: "pop3-fail-inuse", OPEN;
    fail_odd: "pop3-fail-odd", OPEN;
    fail_refused: "pop3-fail-refused", OPEN;
    fail_sysperm: "pop3-fail-sysperm", OPEN;
    fail_systemp: "pop3-fail-systemp", OPEN;
    fail_systemp_max: "pop3-fail-systemp-max", OPEN;
    fail_user: "pop3-fail-user", OPEN;
    plaintext_disabled: "pop3-plaintext-disabled", NO_PLAINTEXT;
    proxy: "pop3-proxy", OPEN;
    proxy_authplain: "pop3-proxy-authplain", OPEN;
    proxy_master: "pop3-proxy-master", OPEN;
    proxy_mech_login: "pop3-proxy-mech-login", OPEN;
    proxy_noxclient: "pop3-proxy-noxclient", OPEN;
    proxy_pipelined: "pop3-proxy-pipelined", OPEN;
    proxy_ssl: "pop3-proxy-ssl", OPEN;
    proxy_stls: "pop3-proxy-stls", OPEN;
    proxy_stls_refused: "pop3-proxy-stls-refused", OPEN;
    proxy_xclient_fail: "pop3-proxy-xclient-fail", OPEN;
    proxy_xclient_nottrusted: "pop3-proxy-xclient-nottrusted", OPEN;
    scram: "pop3-scram", OPEN;
    ssl_required: "ssl-required-pop3", TLS_REQUIRED;
    stls_inject: "pop3-stls-inject", NO_PLAINTEXT;
    syntax: "pop3-syntax", NO_PLAINTEXT;
    xclient_forward_hardening: "pop3-xclient-forward-hardening", OPEN;
    xclient_trusted: "pop3-xclient-trusted", OPEN;
}
