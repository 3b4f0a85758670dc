//! Replays conversations captured from the reference (tests/transcripts/login at the workspace root) against
//! both machines: what the reference sent is what they must send, except for the differences listed here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test program: it reads files, and stops at the first surprise"
)]

mod actors;
mod file;
mod replay;

use replay::Replay;

/// The greeting's settings and policy of a recording.
#[derive(Clone, Copy, Default)]
pub struct Policy {
    disable_plaintext: bool,
    tls_required: bool,
}

/// A line of the reference and what is sent instead, on purpose. An empty line of the reference: an
/// additional line.
pub struct Difference {
    file: &'static str,
    theirs: &'static str,
    ours: &'static str,
}

/// Why: FAIL with a host is no referral (auth-protocol.md 10.3); names in URLs are encoded (login-proxy.md
/// 15.5); the stock text for bad base64 is preferred (auth-protocol.md 10.6); the reference had crashed
/// (auth-protocol.md 10.2).
const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "sieve-auth-fail-codes",
        theirs: "NO (REFERRAL sieve://(null);AUTH=PLAIN@127.0.77.4) \"Go there\"",
        ours: "NO \"Go there\"",
    },
    Difference {
        file: "sieve-auth-fail-codes",
        theirs: "NO (REFERRAL sieve://al ice;AUTH=PLAIN@backend.example.com:1430) \"Elsewhere\"",
        ours: "NO (REFERRAL sieve://al%20ice;AUTH=PLAIN@backend.example.com:1430) \"Elsewhere\"",
    },
    Difference { file: "sieve-auth-fail-codes", theirs: "", ours: "OK \"NOOP Completed\"" },
    Difference {
        file: "sieve-auth-cont",
        theirs: "NO \"Invalid base64 in response\"",
        ours: "NO \"Invalid base64 data in continued response\"",
    },
];

const OPEN: Policy = Policy { disable_plaintext: false, tls_required: false };
const NO_PLAINTEXT: Policy = Policy { disable_plaintext: true, tls_required: false };
const TLS_REQUIRED: Policy = Policy { disable_plaintext: false, tls_required: true };

fn replay(name: &'static str, policy: Policy) {
    let lines = file::load(name);
    let compared = Replay::new(name, policy, &lines).run();
    assert!(compared > 0, "{name} has nothing to compare");
}

macro_rules! transcripts {
    ($($test:ident: $name:literal, $policy:ident;)*) => {
        $(#[test]
        fn $test() {
            replay($name, $policy);
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
