//! Rows IM-28 to IM-33: the ID command. Rows without a transcript were measured with 2.3.19.1.

use super::*;

const DONE: &str = "* ID (\"name\" \"Dovecot\") | a OK ID completed.";
const INVALID: &str = "a BAD Invalid ID parameters";

#[test]
fn im_28_valid_commands() {
    for line in [
        "C a ID NIL",
        "C a ID nil",
        "C a ID ()",
        "C a ID ( )",
        "C a ID",
        "C a ID ",
        "C a id (\"a\" NIL \"b\" nil)",
        "C a ID (\"a\")",
        "C a ID  (\"a\" \"b\")  ",
        "C a ID (\"a\"\"b\"\"c\"\"d\")",
        "C a ID (\"\" \"b\")",
        "C a ID ({1+}\na {2+}\n\n)",
        "C a ID (\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\" \"v\")",
        // What follows the end is not read.
        "C a ID NIL NIL",
        "C a ID NIL (",
        "C a ID ()x",
        "C a ID (\"a\" \"b\") {5}",
        "raw a ID (\"a\" \"b\")\rb NOOP\r\n",
    ] {
        play(PLAIN, &[(line, DONE), ("C a NOOP", OK)]);
    }
    let synchronizing = format!("+ OK | {DONE}");
    play(PLAIN, &[("C a ID ({1}\na \"b\")", &synchronizing)]);
}

#[test]
fn im_29_invalid_commands() {
    for (line, answer) in [
        ("C a ID (name test)", INVALID),
        ("C a ID foo", INVALID),
        ("C a ID \"x\"", INVALID),
        ("C a ID {1+}\na", INVALID),
        ("C a ID (\"a\" x {5}", INVALID),
        ("C a ID (\"a\" NILx)", INVALID),
        ("C a ID (NIL \"a\")", INVALID),
        ("C a ID (\"a\" (\"b\"))", INVALID),
        ("C a ID ((\"a\" \"b\"))", INVALID),
        ("C a ID (((a)))", INVALID),
        ("C a ID (\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\" \"v\")", INVALID),
        ("C a ID (\"a\" \"b\"", "a BAD Missing ')'"),
        ("C a ID (\"a\" \"b\" (", "a BAD Missing ')'"),
        ("C a ID (", "a BAD Missing ')'"),
        ("C a ID )", "a BAD Unexpected ')'"),
        ("C a ID (\"a\" \u{e4})", "a BAD 8bit data in atom"),
        ("C a ID (\"a\" \"x", "a BAD Missing '\"'"),
        ("C a ID (\"a\" ~{2})", "a BAD literal8 not allowed here"),
    ] {
        play(PLAIN, &[(line, answer), ("C a NOOP", OK)]);
    }
    let too_large = "* BYE Literal size too large | <close InputBufferFull>";
    play(PLAIN, &[("C a ID (\"a\" {9000+}", too_large)]);
    play(PLAIN, &[("C a ID(\"a\" \"b\")", BAD)]);
}

#[test]
fn im_28_long_commands_are_taken_in_pieces() {
    let pair = |n: usize| format!("\"k{n}\" \"{}\" ", "v".repeat(900));
    let line = |n: usize| format!("C a ID ({})", (0..n).map(pair).collect::<String>());
    play(PLAIN, &[(&line(30), DONE), (&line(50), DONE), ("C a NOOP", OK)]);
    let value = |n: usize| format!("C a ID (\"name\" \"{}\")", "v".repeat(n));
    play(PLAIN, &[(&value(1020), DONE), (&value(1100), FULL)]);
}

fn identify(setup: Setup, lines: &[&str]) -> ClientIdentity {
    let mut session = accept(setup, 7);
    session.drain();
    for line in lines {
        session.stimulate(line);
    }
    session.frontend.client().clone()
}

const PROXIED: &str = "C a ID (\"x-originating-ip\" \"192.0.2.1\" \"x-originating-port\" \"1234\" \"x-connected-ip\" \
    \"198.51.100.2\" \"x-connected-port\" \"993\" \"x-proxy-ttl\" \"3\" \"x-session-id\" \"SESS1\" \"x-forward-foo\" \
    \"a b\" \"x-forward-nil\" NIL \"name\" \"cl\")";

#[test]
fn im_30_trusted_proxies_tell_who_the_client_is() {
    let client = identify(TRUSTED, &[PROXIED]);
    assert_eq!(
        (client.remote.to_string(), client.local.to_string()),
        ("192.0.2.1:1234".to_owned(), "198.51.100.2:993".to_owned())
    );
    assert_eq!((client.ttl, client.session.as_str(), client.forward.len()), (3, "SESS1", 1));
    assert_eq!((client.secured, client.trusted), (Secured::Yes, true));
    assert_eq!(client.real_remote, identity(Service::Imap, true).remote);
}

#[test]
fn im_31_others_and_second_commands_are_ignored() {
    for (setup, lines) in [(PLAIN, &[PROXIED][..]), (TRUSTED, &["C a ID NIL", PROXIED])] {
        let client = identify(setup, lines);
        assert_eq!(
            (client.remote, client.local),
            (identity(Service::Imap, true).remote, identity(Service::Imap, true).local)
        );
        assert_eq!((client.ttl, client.session.as_str(), client.forward.len()), (5, "S0", 0));
    }
    // An invalid command is not the first one.
    let client = identify(TRUSTED, &["C a ID (\"x-connected-port\" \"1\" x)", PROXIED]);
    assert_eq!((client.local.port(), client.remote.port()), (993, 1234));
}

#[test]
fn im_32_the_first_command_is_logged() {
    let all = Setup { id_log: "*", ..PLAIN };
    let logged = |pairs: &str| format!("<id {pairs}> | {DONE}");
    play(
        all,
        &[
            (
                "C a ID (\"name\" \"Cli\\\"ent\" \"version\" NIL \"x-originating-ip\" \"1.2.3.4\")",
                &logged("name=Cli\"ent, version=NIL, x-originating-ip=1.2.3.4"),
            ),
            ("C a ID (\"name\" \"two\")", DONE),
        ],
    );
    play(all, &[("C a ID (\"odd\")", DONE), ("C a ID (\"name\" \"two\")", DONE)]);
    play(all, &[("C a ID NIL", DONE), ("C a ID (\"name\" \"two\")", DONE)]);
    let some = Setup { id_log: " Name  version", ..PLAIN };
    play(
        some,
        &[("C a ID (\"other\" \"1\" \"name\" \"2\" \"VERSION\" \"3\")", &logged("name=2, VERSION=3"))],
    );
    let long = format!("C a ID (\"k\" \"{}\" \"l\" \"{}\")", "v".repeat(81), "w".repeat(80));
    play(all, &[(&long, &logged(&format!("k={}..., l={}", "v".repeat(77), "w".repeat(80))))]);
}

#[test]
fn im_32_the_log_is_bounded() {
    let pairs: String = (0..40).map(|n| format!("\"k{n}\" \"v\" ")).collect();
    let logged: Vec<String> = (0..30).map(|n| format!("k{n}=v")).collect();
    let expected = format!("<id {}> | {DONE}", logged.join(", "));
    play(Setup { id_log: "*", ..PLAIN }, &[(&format!("C a ID ({pairs})"), &expected)]);
}

#[test]
fn im_33_the_latest_command_is_retained() {
    let setup = Setup { id_retain: true, ..PLAIN };
    let retained = |lines: &[&str]| identify(setup, lines).retained_id;
    assert_eq!(
        retained(&["C a ID (\"name\" \"Cli\\\"ent\" \"v\" NIL \"x-originating-ip\" \"1.2.3.4\")"]),
        "\"name\" \"Cli\\\"ent\" \"v\" NIL"
    );
    assert_eq!(retained(&["C a ID (\"a\" \"1\")", "C a ID (\"b\" \"2\")"]), "\"b\" \"2\"");
    assert_eq!(retained(&["C a ID (\"a\" \"1\")", "C a ID NIL"]), "");
    assert_eq!(retained(&["C a ID (\"a\" \"1\")", "C a ID"]), "");
    assert_eq!(retained(&["C a ID (\"e\u{e4}\" {4+}\nx\n\u{e4}z)"]), "\"e\" \"x\"");
    assert_eq!(identify(PLAIN, &["C a ID (\"a\" \"1\")"]).retained_id, "");
    let value = |n: usize| format!("\"{}\"", "v".repeat(n));
    let line = format!("C a ID (\"k\" {} \"l\" {} \"short\" \"1\")", value(100), value(150));
    assert_eq!(retained(&[&line]), format!("\"k\" {} \"short\" \"1\"", value(100)));
    assert_eq!(retained(&[&format!("C a ID (\"k\" {})", value(250))]).len(), 256);
    assert_eq!(retained(&[&format!("C a ID (\"k\" {})", value(251))]), "");
}
