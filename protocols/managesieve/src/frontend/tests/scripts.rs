//! Each script is a list of stimulus and what comes out, run with the input whole, byte by byte and in sevens; for
//! stimuli see `Session::stimulate`.

use super::*;

const CAPABILITIES: &str = "\"IMPLEMENTATION\" \"Homing\" | \"SIEVE\" \"fileinto\" | \"NOTIFY\" \"mailto\"";
const BAD: &str = "NO \"Error in MANAGESIEVE command received by server.\"";
const AUTH: &str = "C AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHB3\"";
const AUTHED: &str = "<auth PLAIN AGFsaWNlAHB3>";
const SCRAM: &str = "C AUTHENTICATE \"SCRAM-SHA-256\"";
const SCRAMED: &str = "<auth SCRAM-SHA-256 ->";

fn play(setup: Setup, steps: &[(&str, &str)]) {
    client::play_in_pieces(|step| accept(setup, step), steps);
}

fn greeting(middle: &str, end: &str) -> String {
    format!("{CAPABILITIES} | {middle} | {end}")
}

const POLICY: SecurityPolicy = PLAIN.policy;
const NO_PLAINTEXT: Setup = Setup { policy: SecurityPolicy { disable_plaintext: true, ..POLICY }, ..PLAIN };
const TLS_REQUIRED: Setup = Setup { policy: SecurityPolicy { tls_required: true, ..POLICY }, ..PLAIN };
const NO_TLS: Setup = Setup { policy: SecurityPolicy { tls_available: false, ..POLICY }, ..PLAIN };
const TRUSTED: Setup = Setup { trusted: true, ..PLAIN };

const PLAIN_LINES: &str = "\"SASL\" \"PLAIN LOGIN SCRAM-SHA-256\" | \"STARTTLS\" | \"VERSION\" \"1.0\"";
const TLS_LINES: &str = "\"SASL\" \"PLAIN LOGIN SCRAM-SHA-256\" | \"VERSION\" \"1.0\"";

#[test]
fn ms_01_greeting_and_capability() {
    play(
        PLAIN,
        &[
            ("start", &greeting(PLAIN_LINES, "OK \"ready\"")),
            ("C capability", &greeting(PLAIN_LINES, "OK \"Capability completed.\"")),
        ],
    );
    play(Setup { tls: true, ..NO_PLAINTEXT }, &[("start", &greeting(TLS_LINES, "OK \"ready\""))]);
    play(
        NO_TLS,
        &[
            ("start", &greeting(TLS_LINES, "OK \"ready\"")),
            ("C STARTTLS", "NO \"TLS support isn't enabled.\""),
        ],
    );
}

#[test]
fn ms_02_trusted_clients_see_xclient() {
    let lines = format!("{PLAIN_LINES} | \"XCLIENT\"");
    play(TRUSTED, &[("start", &greeting(&lines, "OK \"ready\""))]);
}

#[test]
fn ms_03_starttls() {
    let before = "\"SASL\" \"SCRAM-SHA-256\" | \"STARTTLS\" | \"VERSION\" \"1.0\"";
    play(
        NO_PLAINTEXT,
        &[
            ("start", &greeting(before, "OK \"ready\"")),
            ("C STARTTLS", "OK \"Begin TLS negotiation now.\" | <starttls>"),
            ("tls", &greeting(TLS_LINES, "OK \"TLS negotiation successful.\"")),
            ("C STARTTLS", "NO \"TLS is already active.\""),
            (AUTH, AUTHED),
        ],
    );
}

#[test]
fn ms_04_plaintext_behind_starttls_is_never_executed() {
    let refused = "OK \"Begin TLS negotiation now.\" | <close PlaintextBehindStartTls>";
    client::play(accept(PLAIN, usize::MAX), &[("C STARTTLS\nNOOP", refused)]);
    client::play(accept(PLAIN, usize::MAX), &[("C STARTTLS\nN", refused)]);
    // Arriving later, it stays in the socket for the handshake to fail on.
    client::play(accept(PLAIN, 1), &[("C STARTTLS\nNOOP", "OK \"Begin TLS negotiation now.\" | <starttls>")]);
    // A driver that reads although there is no room changes nothing.
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C STARTTLS");
    session.handle(Input::Bytes(b"NOOP\r\n"));
    assert_eq!(session.stimulate("tls"), "<close PlaintextBehindStartTls>");
}

#[test]
fn ms_05_noop() {
    play(
        PLAIN,
        &[
            ("C NOOP", "OK \"NOOP Completed\""),
            ("C NOOP \"x\"", "OK (TAG \"x\") \"Done\""),
            ("C noop \"a\\\"b\"", "OK (TAG \"a\\\"b\") \"Done\""),
            ("C NOOP x", "NO \"Invalid echo tag.\""),
            ("C NOOP {4+}\na\nb", "OK (TAG {4} | a | b) \"Done\""),
            ("C NOOP \"x\" \"y\"", BAD),
        ],
    );
}

#[test]
fn ms_06_logout() {
    play(PLAIN, &[("C LOGOUT \"x\"", BAD), ("C LOGOUT", "OK \"Logout completed.\" | <close Logout>")]);
}

#[test]
fn ms_07_three_bad_commands_whatever_lies_between() {
    let bye = "BYE \"Too many invalid MANAGESIEVE commands.\" | <close TooManyBadCommands>";
    play(PLAIN, &[("C CAPABILITY x", BAD), ("C LISTSCRIPTS", BAD), ("C FOO bar\nNOOP", bye)]);
    play(PLAIN, &[("C ", BAD), ("C NOOP", "OK \"NOOP Completed\""), ("C ", BAD), ("C  NOOP", bye)]);
    play(PLAIN, &[("C NOOP {abc}", "NO \"Invalid literal size\""), ("C x", BAD), ("C x", BAD), ("C x", bye)]);
}

#[test]
fn ms_08_literals_and_limits() {
    let x = |n: usize| "x".repeat(n);
    let full = "BYE \"Input buffer full, aborting\" | <close InputBufferFull>";
    play(
        PLAIN,
        &[
            ("C NOOP {3}\nabc", "OK (TAG \"abc\") \"Done\""),
            ("C NOOP {3+}\nabc", "OK (TAG \"abc\") \"Done\""),
            (&format!("C NOOP {{1000+}}\n{}", x(1000)), &format!("OK (TAG \"{}\") \"Done\"", x(1000))),
            (&format!("C FOO {}", x(5000)), BAD),
            ("C NOOP {9000+}", "BYE \"Literal size too large\" | <close InputBufferFull>"),
        ],
    );
    play(PLAIN, &[(&format!("C NOOP \"{}\"", x(1100)), full)]);
    play(PLAIN, &[(&format!("C NOOP {{1100+}}\n{}", x(1100)), full)]);
    play(PLAIN, &[(&format!("C {}", x(1100)), full)]);
}

#[test]
fn ms_08_sasl_responses_may_be_longer() {
    let a = |n: usize| "A".repeat(n);
    let failed = "NO \"Authentication failed.\"";
    play(
        PLAIN,
        &[
            ("C AUTHENTICATE \"PLAIN\" {4}\nAGEA", "<auth PLAIN AGEA>"),
            ("fail", failed),
            (
                &format!("C AUTHENTICATE \"PLAIN\" {{8000+}}\n{}", a(8000)),
                &format!("<auth PLAIN {}>", a(8000)),
            ),
            ("fail", failed),
            (&format!("C AUTHENTICATE \"PLAIN\" \"{}\"", a(8192)), &format!("<auth PLAIN {}>", a(8192))),
            ("fail", failed),
            (&format!("C AUTHENTICATE \"PLAIN\" {{9000+}}\n{}", a(9000)), "<close AuthResponseTooLarge>"),
        ],
    );
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge cixyPTE=", "\"cixyPTE=\""),
            (&format!("C \"{}\"", a(8193)), "<cancel> | <close AuthResponseTooLarge>"),
        ],
    );
}

#[test]
fn ms_09_answers_to_challenges() {
    let ask = [(SCRAM, SCRAMED), ("challenge cixyPTE=", "\"cixyPTE=\"")];
    for (answer, expected) in [
        ("C \"Yz1iaXdz\"", "<respond Yz1iaXdz>"),
        ("C {8+}\nYz1iaXdz", "<respond Yz1iaXdz>"),
        ("C \"\"", "<respond >"),
        ("C \"abc\" \"def\"", "<respond abc>"),
        ("C *", "<cancel> | NO \"Invalid AUTHENTICATE client response.\""),
        ("C ", "<cancel> | NO \"Received empty AUTHENTICATE client response line.\""),
        ("C \"!!!\"", "<cancel> | NO \"Invalid base64 data in continued response\""),
        ("C \"a\tb\"", "<cancel> | NO \"Invalid base64 data in continued response\""),
        ("C {abc}", "<cancel> | NO \"Invalid literal size\""),
        ("C (", "<cancel> | NO \"Invalid characters in atom\""),
    ] {
        play(PLAIN, &[ask[0], ask[1], (answer, expected)]);
        if expected.starts_with("<cancel>") {
            play(PLAIN, &[ask[0], ask[1], (answer, expected), ("C NOOP", "OK \"NOOP Completed\"")]);
        }
    }
    play(PLAIN, &[ask[0], ("challenge ", "\"\""), ("C \"x\"", "<respond x>"), ("challenge y", "\"y\"")]);
}

#[test]
fn ms_09_authenticate_arguments() {
    let invalid = "NO \"Invalid AUTHENTICATE initial response.\"";
    for (line, expected) in [
        ("C AUTHENTICATE", BAD),
        ("C AUTHENTICATE foo", BAD),
        ("C AUTHENTICATE \"\" \"x\"", BAD),
        ("C AUTHENTICATE \"SCRAM-SHA-256\" foo", invalid),
        ("C AUTHENTICATE \"NOSUCH\" foo", invalid),
        ("C AUTHENTICATE \"NOSUCH\"", "<unsupported NOSUCH> | NO \"Unsupported authentication mechanism.\""),
        ("C AUTHENTICATE \"FOO\" \"x\"", "<unsupported FOO> | NO \"Unsupported authentication mechanism.\""),
        ("C AUTHENTICATE \"PLAIN\" \"*\"", "NO \"Invalid base64 data in initial response\""),
        ("C AUTHENTICATE \"PLAIN\" {4x}", "NO \"Invalid literal size\""),
    ] {
        play(PLAIN, &[(line, expected), ("C NOOP", "OK \"NOOP Completed\"")]);
    }
    play(PLAIN, &[("C AUTHENTICATE {5+}\nplain \"AGEA\" foo {5+}", "<auth PLAIN AGEA>")]);
    play(PLAIN, &[("C AUTHENTICATE \"PLAIN\" \"\"", "<auth PLAIN >")]);
    // Nothing starts before the line has ended (RFC 5804 section 2.1).
    play(PLAIN, &[("raw AUTHENTICATE \"PLAIN\" {4+}\r\nAGEA", ""), ("raw \r\n", "<auth PLAIN AGEA>")]);
}

#[test]
fn ms_10_abort() {
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge cixyPTE=", "\"cixyPTE=\""),
            ("C \"*\"", "<AuthAborted> | <cancel> | NO \"Authentication aborted by client.\""),
            ("C NOOP", "OK \"NOOP Completed\""),
        ],
    );
}

#[test]
fn ms_11_tls_required() {
    let refused =
        "<TlsRequired> | NO (ENCRYPT-NEEDED) \"Authentication not allowed until SSL/TLS is enabled.\"";
    let lines = "\"SASL\" \"\" | \"STARTTLS\" | \"VERSION\" \"1.0\"";
    play(
        TLS_REQUIRED,
        &[
            ("start", &greeting(lines, "OK \"ready\"")),
            (AUTH, refused),
            (SCRAM, refused),
            ("C AUTHENTICATE \"NOSUCH\"", refused),
        ],
    );
    play(Setup { trusted: true, ..TLS_REQUIRED }, &[(AUTH, AUTHED)]);
}

#[test]
fn ms_12_plaintext_disabled() {
    play(
        NO_PLAINTEXT,
        &[(AUTH, "<PlaintextRefused> | NO \"Plaintext authentication disabled.\""), (SCRAM, SCRAMED)],
    );
}

#[test]
fn ms_13_xclient() {
    play(PLAIN, &[("C XCLIENT ADDR=1.2.3.4", "NO \"You are not from trusted IP\"")]);
    play(
        TRUSTED,
        &[
            ("C XCLIENT", "OK \"Updated\""),
            ("C XCLIENT ADDR=192.0.2.1 PORT=1234 SESSION=SESS1 TTL=3 FORWARD=Zm9vPWJhcg==", "OK \"Updated\""),
            ("C XCLIENT TTL=2 ADDR=garbage PORT=99", BAD),
            ("C XCLIENT \"x\"", BAD),
        ],
    );
    let mut session = accept(TRUSTED, 1);
    session.stimulate("C XCLIENT ADDR=192.0.2.1 PORT=1234 TTL=2 ADDR=x PORT=99");
    let client = session.frontend.client();
    assert_eq!((client.remote, client.ttl), ("192.0.2.1:1234".parse().unwrap(), 2));
    assert_eq!(client.real_remote.port(), 38471);
    assert!(client.trusted && client.secured == Secured::Yes);
}

#[test]
fn ms_22_what_is_pipelined_behind_a_login_reaches_the_backend_once() {
    play(
        PLAIN,
        &[
            ("C AUTHENTICATE \"PLAIN\" \"AGEA\"\nLISTSCRIPTS\nLOGOUT", "<auth PLAIN AGEA>"),
            ("done", ""),
            ("in OK \"Logged in.\"", "OK \"Logged in.\" | <handoff LISTSCRIPTS/LOGOUT/>"),
            ("fail", ""),
            ("eof", ""),
        ],
    );
    play(
        PLAIN,
        &[
            ("raw AUTHENTICATE \"PLAIN\" {4+}\r\nAGEA\r\nPUTSC", "<auth PLAIN AGEA>"),
            ("done", ""),
            ("in OK {5}\nhello", "OK {5} | hello | <handoff PUTSC>"),
        ],
    );
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge x", "\"x\""),
            ("C {0+}\n\nNOOP", "<respond >"),
            ("done", ""),
            ("in OK", "OK | <handoff NOOP/>"),
        ],
    );
}

#[test]
fn ms_23_no_initial_response_is_left_over() {
    play(
        PLAIN,
        &[
            (AUTH, AUTHED),
            ("fail", "NO \"Authentication failed.\""),
            ("C AUTHENTICATE \"PLAIN\"", "<auth PLAIN ->"),
        ],
    );
}

#[test]
fn commands_behind_a_failed_login_are_answered() {
    play(
        PLAIN,
        &[
            ("C AUTHENTICATE \"PLAIN\" \"AGEA\"\nNOOP\nLOGOUT", "<auth PLAIN AGEA>"),
            ("done", ""),
            (
                "unavailable",
                "NO (TRYLATER) \"Account is temporarily unavailable.\" | OK \"NOOP Completed\" | \
             OK \"Logout completed.\" | <close Logout>",
            ),
        ],
    );
}

#[test]
fn ap_21_final_data_is_shown_before_the_refusal() {
    for answer in ["C \"\"", "C *", "C ", "C \"*\"", "C {3+}\nabc", "C \"x"] {
        play(
            PLAIN,
            &[
                (AUTH, AUTHED),
                ("final DATA", "\"DATA\""),
                (answer, "NO \"Authentication failed.\""),
                ("C NOOP", "OK \"NOOP Completed\""),
            ],
        );
    }
}

#[test]
fn a_request_lost_while_the_client_answers_leaves_no_rest_of_the_answer() {
    let failed = "NO \"Authentication failed.\"";
    let start = [(SCRAM, SCRAMED), ("challenge x", "\"x\"")];
    play(
        PLAIN,
        &[
            start[0],
            start[1],
            ("raw \"abc", ""),
            ("fail", failed),
            ("C def\"\nNOOP", "OK \"NOOP Completed\""),
        ],
    );
    play(PLAIN, &[start[0], start[1], ("fail", failed), ("C NOOP", "OK \"NOOP Completed\"")]);
}

#[test]
fn without_auth_service_clients_wait_in_silence() {
    play(
        Setup { auth_up: false, ..PLAIN },
        &[
            ("start", ""),
            ("C NOOP", ""),
            ("auth-up", &format!("{} | OK \"NOOP Completed\"", greeting(PLAIN_LINES, "OK \"ready\""))),
            ("auth-down", ""),
            ("C NOOP", ""),
            ("auth-up", "OK \"NOOP Completed\""),
        ],
    );
}

#[test]
fn a_login_lost_with_the_auth_service_fails_and_the_next_command_waits() {
    play(
        PLAIN,
        &[
            ("C AUTHENTICATE \"PLAIN\" \"AGEA\"\nNOOP", "<auth PLAIN AGEA>"),
            ("auth-down", ""),
            ("fail", "NO \"Authentication failed.\""),
            ("auth-up", "OK \"NOOP Completed\""),
        ],
    );
}

#[test]
fn the_name_in_the_handshake_is_the_local_name() {
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C STARTTLS");
    let facts = TlsFacts { server_name: Some("Mail.example.com".to_owned()), ..TlsFacts::default() };
    session.handle(Input::TlsUp(facts.clone()));
    let client = session.frontend.client();
    assert_eq!((client.local_name.as_deref(), client.secured), (Some("Mail.example.com"), Secured::Tls));
    assert_eq!(session.frontend.tls(), Some(&facts));
}

#[test]
fn section_3_7_the_login_timeout() {
    let idle = "BYE \"Disconnected for inactivity.\" | <close Inactivity>";
    let during = "BYE \"Disconnected for inactivity during authentication.\"";
    play(PLAIN, &[("C NOOP", "OK \"NOOP Completed\""), ("at 179", ""), ("time-out", idle)]);
    let open = format!("{during} | <cancel> | <close InactivityDuringAuth>");
    play(PLAIN, &[(AUTH, AUTHED), ("time-out", &open)]);
    play(PLAIN, &[(SCRAM, SCRAMED), ("challenge x", "\"x\""), ("time-out", &open)]);
    let done = format!("{during} | <close InactivityDuringAuth>");
    play(PLAIN, &[(AUTH, AUTHED), ("done", ""), ("time-out", &done)]);
    play(
        PLAIN,
        &[
            ("C STARTTLS", "OK \"Begin TLS negotiation now.\" | <starttls>"),
            ("time-out", "<close Inactivity>"),
        ],
    );
}

#[test]
fn section_3_8_goodbyes() {
    play(PLAIN, &[("shutdown", "BYE (TRYLATER) \"Shutting down\" | <close Shutdown>"), ("C NOOP", "")]);
    play(PLAIN, &[("queue-full", "BYE \"Connection queue full\" | <close QueueFull>")]);
    play(
        PLAIN,
        &[
            ("C STARTTLS", "OK \"Begin TLS negotiation now.\" | <starttls>"),
            ("tls-failed", "BYE \"TLS initialization failed.\" | <close TlsFailed>"),
        ],
    );
    play(
        PLAIN,
        &[(AUTH, AUTHED), ("shutdown", "BYE (TRYLATER) \"Shutting down\" | <cancel> | <close Shutdown>")],
    );
}

#[test]
fn ap_19_a_client_that_leaves_cancels_its_request() {
    play(
        PLAIN,
        &[(SCRAM, SCRAMED), ("challenge x", "\"x\""), ("eof", "<cancel> | <close ConnectionClosed>")],
    );
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
    session.stimulate("C \"y\"");
    assert_eq!(session.frontend.room(), 0);
    session.stimulate("done");
    assert_eq!(session.frontend.room(), 0);
    session.stimulate("fail");
    assert_eq!(session.frontend.room(), INPUT_BYTES_MAX);
    session.stimulate("C LOGOUT");
    assert_eq!((session.frontend.room(), session.frontend.poll_timeout()), (0, None));
}
