//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against
//! both machines: what the reference sent is what they must send, except for the differences listed here.

use std::{sync::Arc, time::Instant};

use homing_login::{BackendLogin, Mechanism, Service};
use homing_managesieve::{SieveBackend, SieveFrontend, SieveFrontendConfig};
use homing_transcripts::{
    mechanism,
    recording::{Difference, Line, mechanisms_told},
    replay::{Accepted, Dialect, NO_PLAINTEXT, OPEN, Policy, TLS_REQUIRED, replay},
};

/// Why: FAIL with a host is no referral (auth-protocol.md 10.3); names in URLs are encoded (login-proxy.md
/// 15.5); the stock text for bad base64 is preferred (auth-protocol.md 10.6); the reference had crashed
/// (auth-protocol.md 10.2).
const DIFFERENCES: &[Difference] = &[
    Difference::new(
        "sieve-auth-fail-codes",
        "NO (REFERRAL sieve://(null);AUTH=PLAIN@127.0.77.4) \"Go there\"",
        "NO \"Go there\"",
    ),
    Difference::new(
        "sieve-auth-fail-codes",
        "NO (REFERRAL sieve://al ice;AUTH=PLAIN@backend.example.com:1430) \"Elsewhere\"",
        "NO (REFERRAL sieve://al%20ice;AUTH=PLAIN@backend.example.com:1430) \"Elsewhere\"",
    ),
    Difference::new("sieve-auth-fail-codes", "", "OK \"NOOP Completed\""),
    Difference::new(
        "sieve-auth-cont",
        "NO \"Invalid base64 in response\"",
        "NO \"Invalid base64 data in continued response\"",
    ),
];

const SIEVE: &str = "fileinto reject envelope encoded-character vacation subaddress \
    comparator-i;ascii-numeric relational regex imap4flags copy include variables body enotify environment mailbox \
    date index ihave duplicate mime foreverypart extracttext";

struct Sieve;

impl Dialect for Sieve {
    type Frontend = SieveFrontend;
    type Backend = SieveBackend;
    const SERVICE: Service = Service::Sieve;
    const TLS_PORT: &'static str = "";
    const DIFFERENCES: &'static [Difference] = DIFFERENCES;

    fn frontend(accepted: Accepted, now: Instant) -> SieveFrontend {
        let Accepted { identity, policy, tls, mechanisms } = accepted;
        let config = SieveFrontendConfig {
            greeting: "Dovecot ready.".to_owned(),
            implementation: "Dovecot Pigeonhole".to_owned(),
            sieve_capability: SIEVE.to_owned(),
            notify_capability: Some("mailto".to_owned()),
            policy,
        };
        SieveFrontend::new(Arc::new(config), identity, now, tls, Some(mechanisms))
    }

    fn backend(login: BackendLogin) -> SieveBackend {
        SieveBackend::new(login)
    }

    fn is_trusted(told: &[&Line]) -> bool {
        greeting(told).any(|line| line == "\"XCLIENT\"")
    }

    fn mechanisms(lines: &[Line], told: &[&Line], policy: Policy) -> Arc<[Mechanism]> {
        let offered = mechanisms_told(lines);
        if !offered.is_empty() {
            return offered.into();
        }
        let listed = greeting(told).find_map(|line| line.strip_prefix("\"SASL\" \"")).unwrap_or_default();
        // Those that are there but not listed.
        let hidden = policy.disable_plaintext.then_some("PLAIN\tplaintext");
        listed.trim_end_matches('"').split(' ').chain(hidden).map(mechanism).collect()
    }

    /// The reference sends an empty response left over from the attempt before (login-proxy.md 15.4).
    fn initial_response<'a>(file: &str, theirs: Option<&'a [u8]>) -> Option<&'a [u8]> {
        theirs.filter(|r| !(r.is_empty() && file == "sieve-auth-second"))
    }
}

fn greeting<'a>(told: &[&'a Line]) -> impl Iterator<Item = &'a str> {
    told.iter().map(|l| l.text.as_str()).take_while(|line| !line.starts_with("OK "))
}

macro_rules! transcripts {
    ($($test:ident: $name:literal, $policy:ident;)*) => {
        $(#[test]
        fn $test() {
            replay(Sieve, $name, $policy);
        })*
    };
}

transcripts! {
    auth_cont: "sieve-auth-cont", OPEN;
    auth_fail_codes: "sieve-auth-fail-codes", OPEN;
    auth_second: "sieve-auth-second", OPEN;
    authfail: "sieve-authfail", NO_PLAINTEXT;
    banner: "sieve-banner", NO_PLAINTEXT;
    fail_auth: "sieve-fail-auth", OPEN;
    fail_bye: "sieve-fail-bye", OPEN;
    fail_disconnect: "sieve-fail-disconnect", OPEN;
    fail_greeting: "sieve-fail-greeting", OPEN;
    fail_othercode: "sieve-fail-othercode", OPEN;
    fail_refused: "sieve-fail-refused", OPEN;
    fail_trylater: "sieve-fail-trylater", OPEN;
    fail_trylater_max: "sieve-fail-trylater-max", OPEN;
    literals: "sieve-literals", OPEN;
    misc: "sieve-misc", NO_PLAINTEXT;
    plaintext_disabled: "sieve-plaintext-disabled", NO_PLAINTEXT;
    proxy: "sieve-proxy", OPEN;
    proxy_master: "sieve-proxy-master", OPEN;
    proxy_mech_login: "sieve-proxy-mech-login", OPEN;
    proxy_nosasl: "sieve-proxy-nosasl", OPEN;
    proxy_nottrusted: "sieve-proxy-nottrusted", OPEN;
    proxy_noxclient: "sieve-proxy-noxclient", OPEN;
    proxy_pipelined: "sieve-proxy-pipelined", OPEN;
    proxy_starttls: "sieve-proxy-starttls", OPEN;
    proxy_starttls_missing: "sieve-proxy-starttls-missing", OPEN;
    proxy_starttls_refused: "sieve-proxy-starttls-refused", OPEN;
    proxy_xclient_fail: "sieve-proxy-xclient-fail", OPEN;
    scram: "sieve-scram", OPEN;
    starttls_inject: "sieve-starttls-inject", NO_PLAINTEXT;
    xclient_trusted: "sieve-xclient-trusted", OPEN;
    ssl_required: "ssl-required-sieve", TLS_REQUIRED;
}
