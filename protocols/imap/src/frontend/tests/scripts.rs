//! Each script is a list of stimulus and what comes out, run with the input whole, byte by byte and in sevens. This file:
//! rows IM-01 to IM-27, IM-34 to IM-38 and IM-52, IM-53.
//!
//! `C text`: a line from the client (`\n` stands for a further line end), `raw text`: the same without line end;
//! `at N`: the timer, N seconds after the start; the other stimuli are the driver's events (see
//! `Session::stimulate`).

use super::*;

const CAPS: &str = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+";
const AUTH_ALL: &str = "AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 AUTH=ANONYMOUS";
const AUTH_SOME: &str = "AUTH=SCRAM-SHA-256 AUTH=ANONYMOUS";
const LISTED: &str = "a OK Pre-login capabilities listed, post-login capabilities have more.";

fn greeting(caps: &str) -> String {
    format!("* OK [CAPABILITY {caps}] ready")
}

fn listed(caps: &str) -> String {
    format!("* CAPABILITY {caps} | {LISTED}")
}

#[test]
fn im_01_im_02_greeting() {
    let caps = format!("{CAPS} STARTTLS LOGINDISABLED {AUTH_SOME}");
    play(NO_PLAINTEXT, &[("start", &greeting(&caps))]);
    let caps = format!("{CAPS} {AUTH_ALL}");
    play(Setup { tls: true, ..NO_PLAINTEXT }, &[("start", &greeting(&caps))]);
    play(Setup { tls: true, ..TLS_REQUIRED }, &[("start", &greeting(&caps))]);
    let caps = format!("{CAPS} STARTTLS {AUTH_ALL}");
    play(PLAIN, &[("start", &greeting(&caps))]);
    play(Setup { trusted: true, ..NO_PLAINTEXT }, &[("start", &greeting(&caps))]);
    play(TLS_REQUIRED, &[("start", &greeting(&format!("{CAPS} STARTTLS LOGINDISABLED")))]);
}

#[test]
fn im_01_logins_need_a_plain_mechanism() {
    let caps = format!("{CAPS} LOGINDISABLED {AUTH_SOME}");
    play(Setup { tls: true, plain: false, ..PLAIN }, &[("start", &greeting(&caps))]);
    let unsupported = "<unsupported PLAIN> | a NO [ALERT] Unsupported authentication mechanism.";
    let caps = format!("{CAPS} STARTTLS {AUTH_SOME}");
    play(Setup { plain: false, ..PLAIN }, &[("start", &greeting(&caps)), (LOGIN, unsupported)]);
}

#[test]
fn im_03_capability() {
    let caps = format!("{CAPS} STARTTLS {AUTH_ALL}");
    play(PLAIN, &[("C a CAPABILITY", &listed(&caps)), ("C a capability x (y)", &listed(&caps))]);
}

#[test]
fn im_04_im_05_configured_capabilities() {
    let more = Setup { capability: "+XEXTRA XMORE", literal_minus: true, ..PLAIN };
    let caps = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE XEXTRA XMORE LITERAL- STARTTLS";
    play(more, &[("start", &greeting(&format!("{caps} {AUTH_ALL}")))]);
    play(Setup { capability: "+", ..NO_TLS }, &[("start", &greeting(&format!("{CAPS} {AUTH_ALL}")))]);
    let all = Setup { capability: "IMAP4rev1 FOO", ..NO_PLAINTEXT };
    play(all, &[("start", &greeting(&format!("IMAP4rev1 FOO STARTTLS LOGINDISABLED {AUTH_SOME}")))]);
}

#[test]
fn im_06_im_07_im_08_simple_commands() {
    let enabled = "* ENABLED | a OK ENABLE ignored in non-authenticated state.";
    play(
        PLAIN,
        &[
            ("C a NOOP", OK),
            ("C a noop", OK),
            ("C a NOOP x \"y\" (z)", OK),
            ("C a ENABLE CONDSTORE", enabled),
            ("C a ENABLE", enabled),
            ("C a NAMESPACE", BAD),
            ("C a LOGOUT x\na NOOP", "* BYE Logging out | a OK Logout completed. | <close Logout>"),
        ],
    );
}

#[test]
fn im_09_im_10_three_bad_commands_whatever_lies_between() {
    play(PLAIN, &[("C a FOO", BAD), ("C a SELECT INBOX", BAD), ("C a BAR\na NOOP", TOO_MANY)]);
    play(
        PLAIN,
        &[("C a FOO", BAD), ("C a NOOP", OK), ("C a FOO", BAD), ("C a NOOP", OK), ("C a FOO", TOO_MANY)],
    );
    play(PLAIN, &[("C ", UNTAGGED_BAD), ("C ", UNTAGGED_BAD), ("C ", TOO_MANY)]);
    let error = "a BAD Missing '\"'";
    play(PLAIN, &[("C a X \"", error), ("C a X \"", error), ("C a X \"", error), ("C a X", BAD)]);
}

#[test]
fn im_11_tags_of_126_characters() {
    let line = |n: usize| format!("C {} NOOP", "t".repeat(n));
    let ok = format!("{} OK NOOP completed.", "t".repeat(126));
    play(PLAIN, &[(&line(126), &ok), (&line(127), UNTAGGED_BAD), (&line(1000), UNTAGGED_BAD)]);
}

#[test]
fn im_12_bad_tags_are_not_echoed_and_run_nothing() {
    for line in [
        "C + NOOP",
        "C a+b NOOP",
        "C (a NOOP",
        "C a\"b NOOP",
        "C * NOOP",
        "C  a NOOP",
        "C a]b NOOP",
        "C \u{e4} NOOP",
        "C + ID NIL",
        "C (a AUTHENTICATE PLAIN AGEAYg==",
        "C + LOGIN {5}",
    ] {
        play(PLAIN, &[("C a NOOP", OK), (line, UNTAGGED_BAD), ("C a NOOP", OK)]);
    }
}

#[test]
fn im_13_bad_command_names() {
    for line in
        ["C a", "C a ", "C a  NOOP", "C a NO\u{80}OP", "C a ID(\"a\" \"b\")", "C a  {5}", "raw a\rb NOOP\n"]
    {
        play(PLAIN, &[(line, BAD), ("C a NOOP", OK)]);
    }
}

#[test]
fn im_14_the_tag_forgotten() {
    let forgotten = "BAD First parameter in line is IMAP's command tag, not the command name. Add that before the \
                     command, like: a login user pass";
    play(
        PLAIN,
        &[
            ("C LOGIN alice alicepw", &format!("LOGIN {forgotten}")),
            ("C login alice alicepw", &format!("login {forgotten}")),
            ("C LOGIN alice alicepw", &format!("LOGIN {forgotten}")),
            ("C login noop", "login OK NOOP completed."),
            ("C LOGIN \u{e4} x", "LOGIN BAD Error in IMAP command received by server."),
        ],
    );
}

#[test]
fn im_15_http() {
    let answers = "GET BAD Error in IMAP command received by server. | Host: BAD Error in IMAP command received by \
                   server. | * BYE Too many invalid IMAP commands. | <close TooManyBadCommands>";
    play(PLAIN, &[("C GET / HTTP/1.0\nHost: x\n", answers)]);
}

#[test]
fn im_16_im_17_line_ends() {
    play(
        PLAIN,
        &[
            ("raw a NOOP\nb NOOP\r\n", "a OK NOOP completed. | b OK NOOP completed."),
            ("raw c NOOP\rd NOOP\r\n", "c BAD CR sent without LF"),
            ("raw a NOOP x\r \n", "a BAD CR sent without LF"),
            ("C a NOOP", OK),
        ],
    );
}

#[test]
fn im_18_arguments_of_login() {
    for line in [
        "C a LOGIN",
        "C a LOGIN alice",
        "C a LOGIN alice b c",
        "C a LOGIN (alice) b",
        "C a LOGIN alice pw ()",
    ] {
        play(PLAIN, &[(line, BAD), ("C a NOOP", OK)]);
    }
}

#[test]
fn im_19_im_22_im_27_syntax_errors() {
    for (line, error) in [
        ("C a LOGIN \"alice b", "Missing '\"'"),
        ("C a LOGIN \"al\0ice\" b", "NULs not allowed in strings"),
        ("C a LOGIN {3+}\na\0c b", "NULs not allowed in strings"),
        ("C a LOGIN al\u{e9}ice b", "8bit data in atom"),
        ("C a LOGIN alice \x01b", "Invalid characters in atom"),
        ("C a LOGIN \"alice\" b)", "Unexpected ')'"),
        ("C a FOO (b", "Missing ')'"),
        ("C a LOGIN {abc}", "Invalid literal size"),
        ("C a LOGIN ~{5}", "literal8 not allowed here"),
    ] {
        play(PLAIN, &[(line, &format!("a BAD {error}")), ("C a NOOP", OK)]);
    }
    let nested = format!("C a FOO {}", "(".repeat(500));
    play(PLAIN, &[(&nested, "a BAD Too many '('"), ("C a NOOP", OK)]);
}

#[test]
fn im_20_literals() {
    play(
        PLAIN,
        &[
            ("C a LOGIN {5}", "+ OK"),
            ("raw alice {2}\r\n", "+ OK"),
            ("C pw", LOGGED),
            ("fail", FAILED),
            ("C a LOGIN {5+}\nalice {2+}\npw", LOGGED),
            ("fail", FAILED),
            ("raw a LOGIN {0}\r\n {}\r\n\r\n", "+ OK | + OK | <auth PLAIN AAA=>"),
        ],
    );
}

#[test]
fn im_21_im_23_literals_that_are_too_large() {
    let large = "* BYE Literal size too large | <close InputBufferFull>";
    for size in ["8192", "8183", "99999", "99999999999999999999999"] {
        play(PLAIN, &[(&format!("C a LOGIN {{{size}}}"), large)]);
    }
    play(PLAIN, &[("C a LOGIN {8178}", "+ OK")]);
    let literal = |n: usize| format!("C a NOOP {{{n}+}}\n{}", "p".repeat(n));
    play(PLAIN, &[(&literal(1026), OK)]);
    play(PLAIN, &[(&literal(1100), FULL)]);
    play(PLAIN, &[(&literal(4000), FULL)]);
}

#[test]
fn im_24_im_25_long_lines() {
    let x = |n: usize| "x".repeat(n);
    play(
        PLAIN,
        &[
            (&format!("C a NOOP {}", x(1020)), OK),
            (&format!("C a NOOP{}", " x".repeat(600)), OK),
            (&format!("C a NOOP{}", " x".repeat(4200)), "a BAD IMAP command line too large"),
            (&format!("C a NOOP {}", x(1100)), FULL),
        ],
    );
    play(PLAIN, &[(&format!("raw {}", x(9000)), FULL)]);
    play(PLAIN, &[(&format!("C a {}", x(1100)), FULL)]);
}

#[test]
fn im_26_literal_minus() {
    let minus = Setup { literal_minus: true, ..PLAIN };
    let large = "* BYE Non-synchronizing literal size too large | <close InputBufferFull>";
    play(minus, &[("C a LOGIN {4097+}", large)]);
    play(minus, &[("C a LOGIN {1+}\na {2}", "+ OK"), ("C pw", "<auth PLAIN AGEAcHc=>")]);
}

#[test]
fn im_34_im_35_starttls() {
    let after = format!("{CAPS} {AUTH_ALL}");
    play(
        NO_PLAINTEXT,
        &[
            ("C a FOO", BAD),
            ("C a FOO", BAD),
            ("C a STARTTLS x", "a OK Begin TLS negotiation now. | <starttls>"),
            ("tls", ""),
            ("C a CAPABILITY", &listed(&after)),
            ("C a STARTTLS", "a BAD TLS is already active."),
            ("C a FOO", TOO_MANY),
        ],
    );
    play(Setup { tls: true, ..PLAIN }, &[("C a STARTTLS", "a BAD TLS is already active.")]);
}

#[test]
fn im_36_im_37_plaintext_behind_starttls_is_never_executed() {
    let refused = "a OK Begin TLS negotiation now. | <close PlaintextBehindStartTls>";
    client::play(accept(PLAIN, usize::MAX), &[("C a STARTTLS\nb NOOP", refused)]);
    client::play(accept(PLAIN, usize::MAX), &[("raw a STARTTLS\r\nb", refused)]);
    // Arriving later, it stays in the socket for the handshake to fail on.
    client::play(
        accept(PLAIN, 1),
        &[("C a STARTTLS\nb NOOP", "a OK Begin TLS negotiation now. | <starttls>")],
    );
    // A driver that reads although there is no room changes nothing.
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C a STARTTLS");
    session.handle(Input::Bytes(b"b NOOP\r\n"));
    assert_eq!(session.stimulate("tls"), "<close PlaintextBehindStartTls>");
}

#[test]
fn im_38_no_starttls_without_tls() {
    let caps = format!("{CAPS} {AUTH_ALL}");
    let refused = "a BAD TLS support isn't enabled.";
    play(NO_TLS, &[("start", &greeting(&caps)), ("C a STARTTLS", refused), ("C a STARTTLS", refused)]);
}

#[test]
fn im_52_im_53_the_login_has_180_seconds() {
    let idle = "* BYE Disconnected for inactivity. | <close Inactivity>";
    let during = "* BYE Disconnected for inactivity during authentication.";
    let cancelled = format!("{during} | <cancel> | <close InactivityDuringAuth>");
    play(PLAIN, &[("at 150", ""), ("C a NOOP", OK), ("at 179", ""), ("at 180", idle), ("at 200", "")]);
    play(
        PLAIN,
        &[("C a AUTHENTICATE PLAIN", "<auth PLAIN ->"), ("challenge ", "+ "), ("at 180", &cancelled)],
    );
    play(PLAIN, &[("at 170", ""), (LOGIN, LOGGED), ("at 180", &cancelled)]);
    let late = format!("{during} | <close InactivityDuringAuth>");
    play(PLAIN, &[(LOGIN, LOGGED), ("done", ""), ("at 180", &late)]);
    play(
        PLAIN,
        &[("C a STARTTLS", "a OK Begin TLS negotiation now. | <starttls>"), ("at 180", "<close Inactivity>")],
    );
}

#[test]
fn ap_02_no_greeting_without_auth_service() {
    let silent = Setup { auth_up: false, ..PLAIN };
    let hello = greeting(&format!("{CAPS} STARTTLS {AUTH_ALL}"));
    let steps = [
        ("start", ""),
        ("C a NOOP", ""),
        ("at 9", ""),
        ("at 10", WAITING),
        ("at 100", ""),
        ("auth-up", &format!("{hello} | {OK}")),
        ("at 150", ""),
    ];
    play(silent, &steps);
    play(silent, &[("eof", "<close ConnectionClosed>")]);
    let late = format!("{WAITING} | x");
    let mut session = accept(silent, 1);
    assert_eq!(session.frontend.poll_timeout(), Some(session.start + AUTH_CONNECT_NOTICE));
    assert_eq!(format!("{} | x", session.stimulate("at 12")), late);
    assert_eq!(session.frontend.poll_timeout(), Some(session.start + LOGIN_TIMEOUT));
}

#[test]
fn ap_15_commands_wait_for_the_auth_service() {
    let both = format!("{OK} | b OK NOOP completed.");
    let steps = [
        ("auth-down", ""),
        ("C a NOOP", WAITING),
        ("C b NOOP", WAITING),
        ("auth-up", both.as_str()),
        ("C a NOOP", OK),
    ];
    client::play(accept(PLAIN, usize::MAX), &steps);
}

#[test]
fn ap_16_clients_are_told_to_wait_once_for_each_request() {
    play(
        PLAIN,
        &[
            ("at 100", ""),
            ("C a AUTHENTICATE PLAIN", "<auth PLAIN ->"),
            ("at 129", ""),
            ("at 130", WAITING),
            ("at 140", ""),
            ("challenge ", "+ "),
            ("at 145", ""),
            ("C AGEA", "<respond AGEA>"),
            ("at 174", ""),
            ("at 175", WAITING),
            ("fail", FAILED),
            (LOGIN, LOGGED),
            ("done", ""),
            ("at 179", ""),
        ],
    );
}

#[test]
fn driver_events_that_end_the_connection() {
    play(PLAIN, &[("shutdown", "* BYE Shutting down | <close Shutdown>"), ("C a NOOP", "")]);
    play(PLAIN, &[("queue-full", "* BYE Connection queue full | <close QueueFull>")]);
    let failed = "* BYE [UNAVAILABLE] TLS initialization failed. | <close TlsFailed>";
    let begin = "a OK Begin TLS negotiation now. | <starttls>";
    play(PLAIN, &[("C a STARTTLS", begin), ("tls-failed", failed)]);
    play(PLAIN, &[("C a STARTTLS", begin), ("shutdown", "<close Shutdown>")]);
    play(PLAIN, &[(LOGIN, LOGGED), ("shutdown", "* BYE Shutting down | <cancel> | <close Shutdown>")]);
    play(PLAIN, &[("C a NOOP", OK), ("eof", "<close ConnectionClosed>"), ("eof", "")]);
}
