//! Rows IM-39 to IM-51, the client's view of rows IB-*, and the SASL rows AP-17 to AP-21.

use super::*;

const SCRAM: &str = "C a AUTHENTICATE SCRAM-SHA-256";
const SCRAMED: &str = "<auth SCRAM-SHA-256 ->";

#[test]
fn im_39_login_without_tls() {
    let refused = "<PlaintextRefused> | * BAD [ALERT] Plaintext authentication not allowed without SSL/TLS, but your \
                   client did it anyway. If anyone was listening, the password was exposed. | a NO \
                   [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.";
    play(NO_PLAINTEXT, &[(LOGIN, refused), (LOGIN, refused), (LOGIN, refused), ("C a NOOP", OK)]);
    play(TLS_REQUIRED, &[(LOGIN, refused)]);
}

#[test]
fn im_40_authenticate_without_tls() {
    let refused = "<PlaintextRefused> | a NO [PRIVACYREQUIRED] Plaintext authentication disabled.";
    play(
        NO_PLAINTEXT,
        &[
            ("C a AUTHENTICATE PLAIN AGFsaWNlAGFsaWNlcHc=", refused),
            ("C a AUTHENTICATE PLAIN", refused),
            ("C a authenticate login", refused),
            (SCRAM, SCRAMED),
        ],
    );
}

#[test]
fn im_41_tls_is_required() {
    let refused =
        "<TlsRequired> | a NO [PRIVACYREQUIRED] Authentication not allowed until SSL/TLS is enabled.";
    play(TLS_REQUIRED, &[(SCRAM, refused), ("C a AUTHENTICATE FOO", refused)]);
}

#[test]
fn im_42_im_43_secured_clients_need_no_tls() {
    play(Setup { trusted: true, ..TLS_REQUIRED }, &[(LOGIN, LOGGED)]);
    play(Setup { trusted: true, ..NO_PLAINTEXT }, &[(LOGIN, LOGGED)]);
    play(Setup { tls: true, ..NO_PLAINTEXT }, &[(LOGIN, LOGGED)]);
}

#[test]
fn im_44_unknown_and_private_mechanisms() {
    let unsupported = "a NO [ALERT] Unsupported authentication mechanism.";
    play(
        PLAIN,
        &[
            ("C a AUTHENTICATE FOO", &format!("<unsupported FOO> | {unsupported}")),
            ("C a AUTHENTICATE APOP", &format!("<unsupported APOP> | {unsupported}")),
            ("C a AUTHENTICATE \"PLAIN\"", &format!("<unsupported \"PLAIN\"> | {unsupported}")),
            ("C a AUTHENTICATE", BAD),
            ("C a AUTHENTICATE  PLAIN", BAD),
            ("C a NOOP", OK),
        ],
    );
}

#[test]
fn im_45_challenges_and_aborts() {
    let aborted = "<AuthAborted> | <cancel> | a BAD Authentication aborted by client.";
    play(
        PLAIN,
        &[
            ("C a AUTHENTICATE PLAIN", "<auth PLAIN ->"),
            ("challenge ", "+ "),
            ("C *", aborted),
            ("C a AUTHENTICATE PLAIN ", "<auth PLAIN ->"),
            ("challenge ", "+ "),
            ("C ", "<respond >"),
            ("fail", FAILED),
            ("C *", UNTAGGED_BAD),
        ],
    );
}

#[test]
fn im_46_responses_are_checked() {
    let initial = "a BAD Invalid base64 data in initial response";
    let continued = "<cancel> | a BAD Invalid base64 data in continued response";
    for line in
        ["C a AUTHENTICATE PLAIN !!!", "C a AUTHENTICATE PLAIN AGEA\tYg==", "C a AUTHENTICATE PLAIN A B"]
    {
        play(PLAIN, &[(line, initial), ("C a NOOP", OK)]);
    }
    for line in ["C !!!", "C *x", "C * ", "C AG EA", "C AGEA\tx"] {
        play(PLAIN, &[(SCRAM, SCRAMED), ("challenge eA==", "+ eA=="), (line, continued), ("C a NOOP", OK)]);
    }
}

#[test]
fn im_47_empty_initial_response() {
    play(PLAIN, &[("C a AUTHENTICATE SCRAM-SHA-256 =", "<auth SCRAM-SHA-256 >")]);
    play(PLAIN, &[("C a authenticate scram-sha-256", SCRAMED)]);
}

#[test]
fn im_48_long_responses() {
    let a = |n: usize| "A".repeat(n);
    let too_large = "<close AuthResponseTooLarge>";
    for n in [2000, 8000, 8191] {
        play(PLAIN, &[(&format!("C a AUTHENTICATE PLAIN {}", a(n)), &format!("<auth PLAIN {}>", a(n)))]);
    }
    play(PLAIN, &[(&format!("C a AUTHENTICATE PLAIN {}", a(8192)), too_large)]);
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge eA==", "+ eA=="),
            (&format!("C {}", a(8191)), &format!("<respond {}>", a(8191))),
            ("challenge eA==", "+ eA=="),
            (&format!("raw {}", a(8193)), &format!("<cancel> | {too_large}")),
        ],
    );
}

#[test]
fn im_50_what_is_pipelined_behind_a_failing_login_is_answered_later() {
    let rest = format!("{FAILED} | b OK NOOP completed. | {LOGGED}");
    play(PLAIN, &[("C a LOGIN alice pw\nb NOOP\na LOGIN alice pw\nb NOOP", LOGGED), ("fail", &rest)]);
}

#[test]
fn im_51_anonymous() {
    play(PLAIN, &[("C a AUTHENTICATE ANONYMOUS dHJhY2U=", "<auth ANONYMOUS dHJhY2U=>")]);
}

#[test]
fn login_takes_astrings() {
    for (arguments, message) in [
        ("alice NIL", "AGFsaWNlAE5JTA=="),
        ("\"al\\ice\" \"\\b\\\\\\\"\"", "AGFsaWNlAGJcIg=="),
        ("\"a\u{e4}\" \"b\u{e4}\"", "AGHDpABiw6Q="),
        ("x%y z*", "AHgleQB6Kg=="),
        ("x\\y ]", "AHhceQBd"),
        ("\"x\"\"y\"", "AHgAeQ=="),
        ("  x   y  ", "AHgAeQ=="),
        ("~x ~", "AH54AH4="),
        ("\"\"  \"\"", "AAA="),
    ] {
        play(PLAIN, &[(&format!("C a LOGIN {arguments}"), &format!("<auth PLAIN {message}>"))]);
    }
}

#[test]
fn ap_17_ap_25_a_long_exchange() {
    play(
        PLAIN,
        &[
            (SCRAM, SCRAMED),
            ("challenge cixyPTE=", "+ cixyPTE="),
            ("raw Yz1iaXdz\n", "<respond Yz1iaXdz>"),
            ("challenge dj1zaWc=", "+ dj1zaWc="),
            ("C =", "<respond =>"),
            ("done", ""),
            ("in Logged in", "a OK Logged in | <handoff >"),
        ],
    );
}

#[test]
fn ap_19_clients_that_leave_cancel() {
    let cancelled = "<cancel> | <close ConnectionClosed>";
    play(PLAIN, &[(SCRAM, SCRAMED), ("challenge eA==", "+ eA=="), ("raw AG", ""), ("eof", cancelled)]);
    play(PLAIN, &[(SCRAM, SCRAMED), ("eof", cancelled)]);
    play(PLAIN, &[(SCRAM, SCRAMED), ("done", ""), ("eof", "<close ConnectionClosed>")]);
}

#[test]
fn ap_14_a_lost_request_does_not_swallow_commands() {
    let begin = [(SCRAM, SCRAMED), ("challenge eA==", "+ eA==")];
    play(PLAIN, &[&begin[..], &[("fail", FAILED), ("C a NOOP", OK)]].concat());
    play(PLAIN, &[&begin[..], &[("raw AG", ""), ("fail", FAILED), ("C EA\na NOOP", OK)]].concat());
}

#[test]
fn ap_21_final_data_waits_for_one_line() {
    for line in ["C b NOOP", "C *", "C ", &format!("C {}", "x".repeat(20_000))] {
        play(
            PLAIN,
            &[(SCRAM, SCRAMED), ("final eyJ9", "+ eyJ9"), ("at 100", ""), (line, FAILED), ("C a NOOP", OK)],
        );
    }
}

#[test]
fn ib_14_ib_15_the_reply_names_the_capabilities() {
    for (event, lines) in [
        ("in [CAPABILITY A B] Logged in", "a OK [CAPABILITY A B] Logged in"),
        ("in-with X|[CAPABILITY A B] Logged in", "a OK [CAPABILITY A B] Logged in"),
        ("in-with X Y|Logged in", "a OK [CAPABILITY X Y] Logged in"),
        ("in-with X Y|[HIGHESTMODSEQ 1] Logged in", "a OK [CAPABILITY X Y] Logged in"),
        ("in [HIGHESTMODSEQ 1] Logged in", "a OK [HIGHESTMODSEQ 1] Logged in"),
        ("in Logged in", "a OK Logged in"),
    ] {
        play(PLAIN, &[(LOGIN, LOGGED), ("done", ""), (event, &format!("{lines} | <handoff >"))]);
    }
}

#[test]
fn ib_16_clients_that_asked_get_capabilities_untagged() {
    for (event, lines) in [
        ("in-with X Y|Logged in", "* CAPABILITY X Y | a OK Logged in"),
        ("in-with X|[CAPABILITY A B] Logged in", "* CAPABILITY A B | a OK [CAPABILITY A B] Logged in"),
        ("in-with X|[HIGHESTMODSEQ 1] In", "* CAPABILITY X | a OK [HIGHESTMODSEQ 1] In"),
        ("in Logged in", "a OK Logged in"),
    ] {
        let mut session = accept(PLAIN, usize::MAX);
        assert!(!session.frontend.ignores_greeting_capabilities());
        session.stimulate("C a CAPABILITY");
        assert!(session.frontend.ignores_greeting_capabilities());
        session.stimulate(LOGIN);
        assert_eq!(session.stimulate(event), format!("{lines} | <handoff >"));
    }
}

#[test]
fn ib_17_ib_18_asking_counts_unless_starttls_came_before() {
    let ignores = |setup: Setup, stimuli: &[&str]| {
        let mut session = accept(setup, usize::MAX);
        stimuli.iter().for_each(|stimulus| {
            session.stimulate(stimulus);
        });
        session.frontend.ignores_greeting_capabilities()
    };
    assert!(!ignores(PLAIN, &["C a STARTTLS", "tls", "C a CAPABILITY"]));
    assert!(ignores(PLAIN, &["C a CAPABILITY", "C a STARTTLS", "tls"]));
    assert!(ignores(Setup { tls: true, ..PLAIN }, &["C a CAPABILITY"]));
}

#[test]
fn ib_19_untagged_lines_are_passed_on() {
    play(
        PLAIN,
        &[
            ("line * 1 EXISTS", ""),
            (LOGIN, LOGGED),
            ("done", ""),
            ("line * OK [ALERT] hello", "* OK [ALERT] hello"),
            ("line * 3 EXISTS", "* 3 EXISTS"),
            ("in Logged in", "a OK Logged in | <handoff >"),
            ("line * 4 EXISTS", ""),
        ],
    );
}

#[test]
fn ib_32_ib_33_what_is_pipelined_reaches_the_backend_or_is_answered() {
    play(
        PLAIN,
        &[
            ("raw a LOGIN alice pw\r\nb NOOP\r\nd LOG", LOGGED),
            ("done", ""),
            ("in In", "a OK In | <handoff b NOOP/d LOG>"),
        ],
    );
    let no = format!("a NO [UNAVAILABLE] Account is temporarily unavailable. | {OK}");
    play(PLAIN, &[("C a LOGIN alice pw\na NOOP", LOGGED), ("done", ""), ("unavailable", &no)]);
}

#[test]
fn ib_34_ib_36_a_failed_backend_login_can_be_followed_by_another() {
    play(
        PLAIN,
        &[
            ("C x LOGIN alice pw", LOGGED),
            ("done", ""),
            ("no NO [LIMIT] Too many", "x NO [LIMIT] Too many"),
            (LOGIN, LOGGED),
            ("done", ""),
            ("in In", "a OK In | <handoff >"),
            ("C a NOOP", ""),
        ],
    );
}

#[test]
fn events_without_their_state_are_ignored() {
    for event in ["challenge eA==", "done", "fail", "in In", "line * x", "final eA==", "tls"] {
        play(PLAIN, &[(event, ""), ("C a NOOP", OK)]);
    }
}

#[test]
fn tls_facts_change_the_client() {
    let mut session = accept(PLAIN, usize::MAX);
    session.stimulate("C a STARTTLS");
    assert_eq!(session.frontend.room(), 0);
    assert_eq!((session.frontend.client().secured, session.frontend.tls()), (Secured::No, None));
    let facts = TlsFacts { server_name: Some("Mail.Example".to_owned()), ..TlsFacts::default() };
    session.handle(Input::TlsUp(facts.clone()));
    let client = session.frontend.client();
    assert_eq!((client.secured, client.local_name.as_deref()), (Secured::Tls, Some("Mail.Example")));
    assert_eq!(session.frontend.tls(), Some(&facts));
}
