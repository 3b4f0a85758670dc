//! What holds for any input, cut in any way, with any answers of the auth service.

use super::*;

/// Pieces that hostile input is made of, beside plain bytes.
const PIECES: &[&str] = &[
    "FOO",
    "AUTH ",
    "auth",
    "CAPA",
    "STLS",
    "XCLIENT ",
    "XOIP ",
    "USER a",
    "PASS b",
    "APOP ",
    "PLAIN ",
    "SCRAM-SHA-256",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "AGEA",
    "*",
    "=",
    "!",
    " ",
    "TTL=3",
    "FORWARD=Zm9vPWJhcg==",
    "\0",
    "ä",
    LONG,
];

/// With another piece beside it, over the input buffer.
const LONG: &str = match str::from_utf8(&[b'A'; INPUT_BYTES_MAX]) {
    Ok(text) => text,
    Err(_) => "",
};

/// All that comes out to the end of the input, rendered; every request gets the next answer.
fn run(setup: Setup, input: &[u8], answers: &[u8], step: usize) -> String {
    let mut session = accept(setup, step);
    let outputs = session.run(input, answers, &success("+OK", None));
    session.render(&outputs)
}

#[test]
fn cutting_the_input_changes_nothing() {
    // Without STLS, for which the cut decides where injected bytes are found (row P3-05).
    let setup =
        Setup { policy: SecurityPolicy { tls_available: false, ..PLAIN.policy }, trusted: true, ..PLAIN };
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(choices, answers, step)| {
        let input = pieces(PIECES, choices);
        client::assert_cuts_change_nothing(*step, |step| run(setup, &input, answers, step));
    });
}

#[test]
fn stls_never_lets_plaintext_through() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(choices, step)| {
        let mut session = accept(PLAIN, usize::from(*step).max(1));
        session.bytes(b"STLS\r\n");
        assert!(session.bytes(&pieces(PIECES, choices)).is_empty());
        assert!(session.frontend.talk.input.is_empty());
    });
}

#[test]
fn every_byte_is_read_once_or_handed_over_once() {
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(tail, step, by_auth)| {
        let login = if *by_auth { "AUTH PLAIN AGEA" } else { "USER a\r\nPASS b" };
        let head = format!("FOO\r\n{login}\r\n");
        let mut session = accept(PLAIN, usize::from(*step).max(1));
        session.assert_hands_over(&head, tail, &success("+OK", None));
    });
}

#[test]
fn events_in_any_order_do_no_harm() {
    let stimuli = [
        "eof",
        "tls",
        "auth-up",
        "auth-down",
        "challenge eA==",
        "done",
        "fail",
        "final eA==",
        "in +OK",
        "C FOO",
        "C AUTH PLAIN",
        "C eA==",
        "C STLS",
        "raw x",
        "C PASS b",
        "C USER a",
    ];
    bolero::check!().with_type::<(Vec<u8>, bool)>().for_each(|(choices, auth_up)| {
        accept(Setup { auth_up: *auth_up, ..PLAIN }, usize::MAX).shuffle(&stimuli, choices);
    });
}
