//! Each script is a list of stimulus and what comes out, run with the input whole, byte by byte and in sevens; for
//! stimuli see `Session::stimulate`.

use super::*;

const UNKNOWN: &str = "-ERR Unknown command.";
const AUTH: &str = "C AUTH PLAIN AGFsaWNlAHB3";
const AUTHED: &str = "<auth PLAIN AGFsaWNlAHB3>";
const SCRAM: &str = "C AUTH SCRAM-SHA-256";
const SCRAMED: &str = "<auth SCRAM-SHA-256 ->";
const FAILED: &str = "-ERR [AUTH] Authentication failed.";
const QUIT: &str = "+OK Logging out | <close Logout>";
const NO_PASSWORDS: &str = "<PlaintextRefused> | -ERR [AUTH] Plaintext authentication disallowed on non-secure \
    (SSL/TLS) connections.";
const CAPABILITIES: &str = "+OK | CAPA | TOP | UIDL | RESP-CODES | PIPELINING | AUTH-RESP-CODE";
const ALL: &str = "PLAIN LOGIN SCRAM-SHA-256 ANONYMOUS";

fn play(setup: Setup, steps: &[(&str, &str)]) {
    client::play_in_pieces(|step| accept(setup, step), steps);
}

const POLICY: SecurityPolicy = PLAIN.policy;
const NO_PLAINTEXT: Setup = Setup { policy: SecurityPolicy { disable_plaintext: true, ..POLICY }, ..PLAIN };
const TLS_REQUIRED: Setup = Setup { policy: SecurityPolicy { tls_required: true, ..POLICY }, ..PLAIN };
const NO_TLS: Setup = Setup { policy: SecurityPolicy { tls_available: false, ..POLICY }, ..PLAIN };
const TRUSTED: Setup = Setup { trusted: true, ..PLAIN };

#[test]
fn p3_01_p3_02_greetings() {
    play(PLAIN, &[("start", "+OK ready")]);
    play(Setup { tls: true, ..PLAIN }, &[("start", "+OK ready")]);
    play(TRUSTED, &[("start", "+OK [XCLIENT] ready")]);
}

#[test]
fn p3_03_capa() {
    let full = format!("{CAPABILITIES} | STLS | USER | SASL {ALL} | .");
    play(PLAIN, &[("C capa", &full), ("raw CAPA\n", &full), ("C CAPA x", &full)]);
    play(
        NO_PLAINTEXT,
        &[
            ("C CAPA", &format!("{CAPABILITIES} | STLS | SASL SCRAM-SHA-256 ANONYMOUS | .")),
            ("C STLS", "+OK Begin TLS negotiation now. | <starttls>"),
            ("tls", ""),
            ("C CAPA", &format!("{CAPABILITIES} | USER | SASL {ALL} | .")),
            ("C STLS", "-ERR TLS is already active."),
            ("C USER alice", "+OK"),
        ],
    );
    play(
        NO_TLS,
        &[
            ("C CAPA", &format!("{CAPABILITIES} | USER | SASL {ALL} | .")),
            ("C STLS", "-ERR TLS support isn't enabled."),
        ],
    );
    play(TLS_REQUIRED, &[("C CAPA", &format!("{CAPABILITIES} | STLS | USER | SASL | ."))]);
}

#[test]
fn p3_04_auth_lists_mechanisms() {
    play(PLAIN, &[("C AUTH", &format!("+OK | {} | .", ALL.replace(' ', " | ")))]);
    play(NO_PLAINTEXT, &[("C auth ", "+OK | SCRAM-SHA-256 | ANONYMOUS | .")]);
    play(NO_PLAINTEXT, &[("C AUTH  PLAIN", "+OK | SCRAM-SHA-256 | ANONYMOUS | .")]);
    play(TLS_REQUIRED, &[("C AUTH", "+OK | .")]);
}

#[test]
fn p3_05_plaintext_behind_stls_is_never_executed() {
    let refused = "+OK Begin TLS negotiation now. | <close PlaintextBehindStartTls>";
    client::play(accept(PLAIN, usize::MAX), &[("C STLS\nCAPA", refused)]);
    client::play(accept(PLAIN, usize::MAX), &[("raw STLS\r\nC", refused)]);
    // Arriving later, it stays in the socket for the handshake to fail on.
    client::play(accept(PLAIN, 1), &[("C STLS\nCAPA", "+OK Begin TLS negotiation now. | <starttls>")]);
    // A driver that reads although there is no room changes nothing.
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C STLS");
    session.handle(Input::Bytes(b"CAPA\r\n"));
    assert_eq!(session.stimulate("tls"), "<close PlaintextBehindStartTls>");
}

#[test]
fn p3_05_a_name_from_before_stls_is_forgotten() {
    play(
        PLAIN,
        &[
            ("C USER mallory", "+OK"),
            ("C STLS", "+OK Begin TLS negotiation now. | <starttls>"),
            ("tls", ""),
            ("C PASS pw", "-ERR No username given."),
        ],
    );
}

#[test]
fn p3_06_p3_07_unknown_commands_in_a_row() {
    let last = format!("{UNKNOWN} | -ERR Too many invalid bad commands. | <close TooManyBadCommands>");
    play(PLAIN, &[("C NOOP", UNKNOWN), ("C STAT", UNKNOWN), ("C FOO\nQUIT", &last), ("C QUIT", "")]);
    for known in ["C CAPA", "C STLSX\nUSER a", "C PASS x", "C AUTH NOSUCH", "C APOP", "C XCLIENT", "C XOIP x"]
    {
        let mut session = accept(NO_TLS, 1);
        session.drain();
        session.stimulate("C FOO");
        session.stimulate(known);
        assert_eq!(session.stimulate("C LONGCOMMANDNAME x\n"), format!("{UNKNOWN} | {UNKNOWN}"), "{known}");
        assert_eq!(session.stimulate("C "), last);
    }
    play(
        PLAIN,
        &[
            ("C A\nB", &format!("{UNKNOWN} | {UNKNOWN}")),
            (AUTH, AUTHED),
            ("fail", FAILED),
            ("C A\nB", &format!("{UNKNOWN} | {UNKNOWN}")),
        ],
    );
}

#[test]
fn p3_08_plaintext_disabled() {
    play(
        NO_PLAINTEXT,
        &[
            ("C USER alice", NO_PASSWORDS),
            ("C PASS alicepw", NO_PASSWORDS),
            (AUTH, "<PlaintextRefused> | -ERR [AUTH] Plaintext authentication disabled."),
            (SCRAM, SCRAMED),
        ],
    );
    play(Setup { trusted: true, ..NO_PLAINTEXT }, &[("C USER alice", "+OK"), (AUTH, AUTHED)]);
}

#[test]
fn section_5_4_tls_required() {
    let refused = "<TlsRequired> | -ERR [AUTH] Authentication not allowed until SSL/TLS is enabled.";
    play(
        TLS_REQUIRED,
        &[
            ("C USER alice\nPASS x", &format!("{NO_PASSWORDS} | {NO_PASSWORDS}")),
            (AUTH, refused),
            (SCRAM, refused),
            ("C AUTH NOSUCH", refused),
        ],
    );
    play(Setup { trusted: true, ..TLS_REQUIRED }, &[("C USER alice", "+OK"), (AUTH, AUTHED)]);
}

#[test]
fn p3_09_p3_10_user_and_pass() {
    let no_user = "-ERR No username given.";
    play(
        PLAIN,
        &[
            ("C PASS x", no_user),
            ("C USER bob", "+OK"),
            ("C user alice", "+OK"),
            ("C pass pw", AUTHED),
            ("fail", FAILED),
            ("C PASS again", no_user),
            ("C USER", "+OK"),
            ("C PASS", "<auth PLAIN AAA=>"),
            ("fail", FAILED),
            // Spaces belong to the argument: NUL " a b" NUL " c ".
            ("C USER  a b\nPASS  c ", "+OK | <auth PLAIN ACBhIGIAIGMg>"),
        ],
    );
    play(PLAIN, &[("C USER a\0b", "-ERR Invalid parameters."), ("C PASS x", no_user)]);
    play(PLAIN, &[("C USER a\nPASS x\0y", "+OK | -ERR Invalid parameters."), ("C PASS x", no_user)]);
}

#[test]
fn passwords_need_the_mechanism_plain() {
    let mut session = accept(Setup { auth_up: false, ..PLAIN }, 1);
    let scram = mechanisms().iter().filter(|m| m.name == "SCRAM-SHA-256").cloned().collect();
    session.handle(Input::AuthUp(scram));
    assert_eq!(session.stimulate("C USER a"), "+OK ready | +OK");
    let refused = "<unsupported PLAIN> | -ERR [AUTH] Unsupported authentication mechanism.";
    assert_eq!(session.stimulate("C PASS x"), refused);
}

#[test]
fn p3_11_auth_and_its_arguments() {
    for (line, expected) in [
        ("C AUTH NOSUCH", "<unsupported NOSUCH> | -ERR [AUTH] Unsupported authentication mechanism."),
        ("C AUTH FOO x", "<unsupported FOO> | -ERR [AUTH] Unsupported authentication mechanism."),
        ("C AUTH PLAIN *", "-ERR [AUTH] Invalid base64 data in initial response"),
        ("C AUTH PLAIN AGEA x", "-ERR [AUTH] Invalid base64 data in initial response"),
    ] {
        play(PLAIN, &[(line, expected), ("C QUIT", QUIT)]);
    }
    play(PLAIN, &[("raw auth plain AGEA\n", "<auth PLAIN AGEA>")]);
    play(PLAIN, &[("C AUTH PLAIN", "<auth PLAIN ->")]);
    play(PLAIN, &[("C AUTH PLAIN ", "<auth PLAIN ->")]);
    play(PLAIN, &[("C AUTH PLAIN =", "<auth PLAIN =>")]);
    play(PLAIN, &[("raw AUTH PLAIN AGEA", ""), ("raw \r\n", "<auth PLAIN AGEA>")]);
}

#[test]
fn p3_11_challenges_and_abort() {
    let ask = [(SCRAM, SCRAMED), ("challenge cixyPTE=", "+ cixyPTE=")];
    for (answer, expected) in [
        ("C Yz1iaXdz", "<respond Yz1iaXdz>"),
        ("raw Yz1iaXdz\n", "<respond Yz1iaXdz>"),
        ("C ", "<respond >"),
        ("C *", "<AuthAborted> | <cancel> | -ERR Authentication aborted by client."),
        ("C !!", "<cancel> | -ERR [AUTH] Invalid base64 data in continued response"),
        ("C a\tb", "<cancel> | -ERR [AUTH] Invalid base64 data in continued response"),
    ] {
        play(PLAIN, &[ask[0], ask[1], (answer, expected)]);
        if expected.contains("<cancel>") {
            play(PLAIN, &[ask[0], ask[1], (answer, expected), ("C QUIT", QUIT)]);
        }
    }
    play(PLAIN, &[ask[0], ("challenge ", "+ "), ("C x", "<respond x>"), ("challenge y\r\nz", "+ yz")]);
}

#[test]
fn p3_12_apop_is_not_offered() {
    for line in ["C APOP", "C APOP alice 0123", "C apop alice 0123456789abcdef0123456789abcdef"] {
        play(PLAIN, &[(line, "-ERR APOP not enabled.")]);
    }
}

#[test]
fn p3_13_xclient() {
    let ignored = "+OK You are not from trusted IP - ignoring";
    play(PLAIN, &[("C XCLIENT ADDR=1.2.3.4", ignored), ("C XOIP 1.2.3.4", ignored)]);
    let mut session = accept(PLAIN, 1);
    session.stimulate("C XCLIENT ADDR=1.2.3.4\nXOIP 1.2.3.4");
    assert_eq!(session.frontend.client().remote, "127.0.77.100:38471".parse().unwrap());
    play(
        TRUSTED,
        &[
            ("C XCLIENT", "+OK Updated"),
            (
                "C XCLIENT ADDR=192.0.2.1 PORT=1234 SESSION=S1 TTL=3 FORWARD=Zm9vPWJhcgl4PWEBdGI= UNKNOWN=1",
                "+OK Updated",
            ),
            ("C XCLIENT ADDR=garbage", "-ERR Invalid parameters"),
            ("C XCLIENT PORT=70000", "-ERR Invalid parameters"),
            ("C XCLIENT TTL=x", "-ERR Invalid parameters"),
            ("C XCLIENT FORWARD=!!", "-ERR Invalid parameters"),
            ("C XOIP 192.0.2.9", "+OK Updated"),
            ("C XOIP 192.0.2.9 ", "+OK Updated"),
            ("C XOIP", "-ERR Invalid parameters"),
        ],
    );
    let mut session = accept(TRUSTED, 1);
    session.stimulate("C xclient addr=192.0.2.1 TTL=x PORT=99");
    let client = session.frontend.client();
    assert_eq!(client.remote, "192.0.2.1:99".parse().unwrap());
    assert_eq!((client.real_remote.port(), client.trusted, client.secured), (38471, true, Secured::Yes));
}

#[test]
fn p3_14_hostile_forward_data() {
    let mut session = accept(TRUSTED, 7);
    session.drain();
    // A NUL, an LF.
    for item in ["YQBiPWM=", "YQpiPWM="] {
        assert_eq!(session.stimulate(&format!("C XCLIENT FORWARD={item}")), "-ERR Invalid parameters");
        assert_eq!(session.frontend.client().forward.len(), 0);
    }
    // The bare word `nopassword` beside `foo=bar`.
    assert_eq!(session.stimulate("C XCLIENT FORWARD=Zm9vPWJhcglub3Bhc3N3b3Jk"), "+OK Updated");
    assert_eq!(session.frontend.client().forward.len(), 1);
}

#[test]
fn p3_15_limits() {
    let full = "-ERR Input buffer full, aborting | <close InputBufferFull>";
    let x = |n: usize| "x".repeat(n);
    play(PLAIN, &[(&format!("raw {}", x(1100)), full)]);
    play(PLAIN, &[(&format!("raw USER {}", x(1100)), full)]);
    play(PLAIN, &[(&format!("C AUTH {}", x(1100)), full)]);
    let longest = INPUT_BYTES_MAX - "USER ".len() - 2;
    play(PLAIN, &[(&format!("C USER {}", x(longest)), "+OK")]);
    play(PLAIN, &[(&format!("C USER {}", x(longest + 1)), full)]);
}

#[test]
fn p3_15_sasl_responses_may_be_longer() {
    let a = |n: usize| "A".repeat(n);
    play(
        PLAIN,
        &[
            (&format!("C AUTH PLAIN {}", a(8191)), &format!("<auth PLAIN {}>", a(8191))),
            ("fail", FAILED),
            (&format!("raw AUTH PLAIN {}\n", a(8192)), &format!("<auth PLAIN {}>", a(8192))),
            ("fail", FAILED),
            (&format!("C AUTH PLAIN {}", a(8192)), "<close AuthResponseTooLarge>"),
        ],
    );
    let start = [(SCRAM, SCRAMED), ("challenge x", "+ x")];
    let (fits, over) = (format!("C {}", a(8191)), format!("C {}", a(8192)));
    play(PLAIN, &[start[0], start[1], (&fits, &format!("<respond {}>", a(8191)))]);
    play(PLAIN, &[start[0], start[1], (&over, "<cancel> | <close AuthResponseTooLarge>")]);
}

#[test]
fn p3_24_what_is_pipelined_behind_a_login_reaches_the_backend_once() {
    play(
        PLAIN,
        &[
            ("C USER alice\nPASS pw\nSTAT\nQUIT", &format!("+OK | {AUTHED}")),
            ("done", ""),
            ("in +OK Logged in.", "+OK Logged in. | <handoff STAT/QUIT/>"),
            ("fail", ""),
            ("eof", ""),
        ],
    );
    play(
        PLAIN,
        &[
            ("raw AUTH PLAIN AGEA\r\nRET", "<auth PLAIN AGEA>"),
            ("done", ""),
            ("in +OK", "+OK | <handoff RET>"),
        ],
    );
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge x", "+ x"),
            ("C \nSTAT", "<respond >"),
            ("done", ""),
            ("in +OK", "+OK | <handoff STAT/>"),
        ],
    );
}

#[test]
fn commands_behind_a_failed_login_are_answered() {
    let answered = format!("-ERR [SYS/TEMP] Account is temporarily unavailable. | {UNKNOWN} | {QUIT}");
    play(
        PLAIN,
        &[("C AUTH PLAIN AGEA\nSTAT\nQUIT", "<auth PLAIN AGEA>"), ("done", ""), ("unavailable", &answered)],
    );
}

#[test]
fn ap_21_final_data_is_shown_before_the_refusal() {
    let long = format!("C {}", "x".repeat(9000));
    for answer in ["C ", "C *", "C AAA=", &long] {
        play(PLAIN, &[(AUTH, AUTHED), ("final DATA", "+ DATA"), (answer, FAILED), ("C QUIT", QUIT)]);
    }
}

#[test]
fn a_request_lost_while_the_client_answers_leaves_no_rest_of_the_answer() {
    let start = [(SCRAM, SCRAMED), ("challenge x", "+ x")];
    play(PLAIN, &[start[0], start[1], ("raw abc", ""), ("fail", FAILED), ("C def\nQUIT", QUIT)]);
    play(PLAIN, &[start[0], start[1], ("fail", FAILED), ("C QUIT", QUIT)]);
}

#[test]
fn without_auth_service_clients_wait_in_silence() {
    play(
        Setup { auth_up: false, ..PLAIN },
        &[
            ("start", ""),
            ("C FOO", ""),
            ("auth-up", &format!("+OK ready | {UNKNOWN}")),
            ("auth-down", ""),
            ("C QUIT", ""),
            ("auth-up", QUIT),
        ],
    );
}

#[test]
fn a_login_lost_with_the_auth_service_fails_and_the_next_command_waits() {
    play(
        PLAIN,
        &[
            ("C AUTH PLAIN AGEA\nQUIT", "<auth PLAIN AGEA>"),
            ("auth-down", ""),
            ("fail", FAILED),
            ("auth-up", QUIT),
        ],
    );
}

#[test]
fn the_name_in_the_handshake_is_the_local_name() {
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C STLS");
    let facts = TlsFacts { server_name: Some("Mail.example.com".to_owned()), ..TlsFacts::default() };
    session.handle(Input::TlsUp(facts.clone()));
    let client = session.frontend.client();
    assert_eq!((client.local_name.as_deref(), client.secured), (Some("Mail.example.com"), Secured::Tls));
    assert_eq!(session.frontend.tls(), Some(&facts));
}

#[test]
fn section_3_7_the_login_timeout() {
    let idle = "-ERR Disconnected for inactivity. | <close Inactivity>";
    let during = "-ERR Disconnected for inactivity during authentication.";
    play(PLAIN, &[("C USER a", "+OK"), ("at 179", ""), ("time-out", idle)]);
    let open = format!("{during} | <cancel> | <close InactivityDuringAuth>");
    play(PLAIN, &[(AUTH, AUTHED), ("time-out", &open)]);
    play(PLAIN, &[(SCRAM, SCRAMED), ("challenge x", "+ x"), ("time-out", &open)]);
    let done = format!("{during} | <close InactivityDuringAuth>");
    play(PLAIN, &[(AUTH, AUTHED), ("done", ""), ("time-out", &done)]);
    let handshake = ("C STLS", "+OK Begin TLS negotiation now. | <starttls>");
    play(PLAIN, &[handshake, ("time-out", "<close Inactivity>")]);
}

#[test]
fn section_3_8_goodbyes() {
    play(PLAIN, &[("shutdown", "-ERR Shutting down | <close Shutdown>"), ("C QUIT", "")]);
    play(PLAIN, &[("queue-full", "-ERR Connection queue full | <close QueueFull>")]);
    let failed = "-ERR [SYS/TEMP] TLS initialization failed. | <close TlsFailed>";
    play(PLAIN, &[("C STLS", "+OK Begin TLS negotiation now. | <starttls>"), ("tls-failed", failed)]);
    play(PLAIN, &[(AUTH, AUTHED), ("shutdown", "-ERR Shutting down | <cancel> | <close Shutdown>")]);
}

#[test]
fn ap_19_a_client_that_leaves_cancels_its_request() {
    let gone = "<cancel> | <close ConnectionClosed>";
    play(PLAIN, &[(SCRAM, SCRAMED), ("challenge x", "+ x"), ("eof", gone)]);
    play(PLAIN, &[("eof", "<close ConnectionClosed>")]);
}

#[test]
fn nothing_is_read_while_an_answer_is_awaited() {
    let mut session = accept(PLAIN, usize::MAX);
    assert_eq!(session.frontend.room(), INPUT_BYTES_MAX);
    session.stimulate(SCRAM);
    assert_eq!(session.frontend.room(), 0);
    session.stimulate("challenge x");
    assert_eq!(session.frontend.room(), INPUT_BYTES_MAX);
    session.stimulate("C y");
    assert_eq!(session.frontend.room(), 0);
    session.stimulate("done");
    assert_eq!(session.frontend.room(), 0);
    session.stimulate("fail");
    assert_eq!(session.frontend.room(), INPUT_BYTES_MAX);
    session.stimulate("C QUIT");
    assert_eq!((session.frontend.room(), session.frontend.poll_timeout()), (0, None));
}
