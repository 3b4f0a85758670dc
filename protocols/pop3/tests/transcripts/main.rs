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
#[path = "../../../managesieve/tests/transcripts/file.rs"]
mod file;
mod replay;

use replay::Replay;

/// The greeting's settings and policy of a recording.
#[derive(Clone, Copy, Default)]
pub struct Policy {
    disable_plaintext: bool,
    tls_required: bool,
}

/// A line of the reference and what is sent instead, on purpose.
pub struct Difference {
    file: &'static str,
    /// Number of the client; empty for the first.
    client: &'static str,
    theirs: &'static str,
    ours: &'static str,
}

/// Why: FAIL with a host is no referral (auth-protocol.md 10.3); the stock text for bad base64 is preferred
/// (auth-protocol.md 10.6); LF in FORWARD is refused (auth-protocol.md 10.7); APOP is not offered. That APOP challenges are missing
/// in greetings needs no entry.
const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "pop3-auth-fail-codes",
        client: "",
        theirs: "-ERR Go there",
        ours: "-ERR [AUTH] Go there",
    },
    Difference {
        file: "pop3-authfail",
        client: "",
        theirs: "-ERR [AUTH] Invalid base64 in response",
        ours: "-ERR [AUTH] Invalid base64 data in continued response",
    },
    Difference {
        file: "pop3-authfail",
        client: "",
        theirs: "-ERR Invalid parameters.",
        ours: "-ERR APOP not enabled.",
    },
    Difference {
        file: "pop3-authfail",
        client: "",
        theirs: "-ERR Invalid characters in MD5 response.",
        ours: "-ERR APOP not enabled.",
    },
    Difference {
        file: "pop3-xclient-forward-hardening",
        client: "4",
        theirs: "+OK Updated",
        ours: "-ERR Invalid parameters",
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
