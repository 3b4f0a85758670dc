//! What holds for any input, cut in any way, with any answers of the auth service.

use homing_login::limits::{FORWARD_FIELDS_MAX, RETAINED_ID_BYTES_MAX};

use super::*;

/// Pieces that hostile input is made of, beside plain bytes.
const PIECES: &[&str] = &[
    "a NOOP",
    "a LOGIN ",
    "a AUTHENTICATE ",
    "a CAPABILITY",
    "a STARTTLS",
    "a ID ",
    "LOGIN ",
    "PLAIN",
    "SCRAM-SHA-256 ",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\"",
    "\"x\" ",
    "\\",
    "{3+}\r\n",
    "{4}\r\n",
    "{1026+}\r\n",
    "{9000+}\r\n",
    "AGEA",
    "=",
    "*",
    " ",
    "(",
    ")",
    "NIL",
    "\"x-proxy-ttl\" \"3\"",
    "\"x-forward-a\"",
    "\0",
    "ä",
];

/// All that comes out to the end of the input, rendered; every request gets the next answer.
fn run(setup: Setup, input: &[u8], answers: &[u8], step: usize) -> String {
    let mut session = accept(setup, step);
    let outputs = session.run(input, answers, &success("In", Some("X")));
    let client = session.frontend.client();
    assert!(client.retained_id.len() <= RETAINED_ID_BYTES_MAX && client.forward.len() <= FORWARD_FIELDS_MAX);
    session.render(&outputs)
}

#[test]
fn cutting_the_input_changes_nothing() {
    // Without STARTTLS, for which the cut decides where injected bytes are found (row IM-36).
    let setup = Setup { trusted: true, id_log: "*", id_retain: true, literal_minus: true, ..NO_TLS };
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(choices, answers, step)| {
        let input = pieces(PIECES, choices);
        client::assert_cuts_change_nothing(*step, |step| run(setup, &input, answers, step));
    });
}

#[test]
fn starttls_never_lets_plaintext_through() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(choices, step)| {
        let mut session = accept(PLAIN, usize::from(*step).max(1));
        session.bytes(b"a STARTTLS\r\n");
        assert!(session.bytes(&pieces(PIECES, choices)).is_empty());
        assert!(session.frontend.talk.input.is_empty());
    });
}

#[test]
fn every_byte_is_read_once_or_handed_over_once() {
    let logins = [
        "a LOGIN a b\r\n",
        "a LOGIN \"a\" {1+}\r\nb\n",
        "a AUTHENTICATE PLAIN AGEA\r\n",
        "a AUTHENTICATE LOGIN\n",
    ];
    bolero::check!().with_type::<(Vec<u8>, u8, u8)>().for_each(|(tail, step, login)| {
        let head = format!("x NOOP\r\n{}", logins[usize::from(*login) % logins.len()]);
        let mut session = accept(PLAIN, usize::from(*step).max(1));
        session.assert_hands_over(&head, tail, &success("In", Some("X")));
    });
}

#[test]
fn nothing_a_client_sends_begins_a_line_of_ours() {
    let ours = ["* ", "+ ", "a ", "LOGIN ", "<"];
    let setup = Setup { id_log: "*", ..PLAIN };
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(choices, answers)| {
        // Only tags that occur among the pieces, so that others stand out.
        let input: Vec<u8> =
            choices.iter().flat_map(|c| PIECES[usize::from(*c) % PIECES.len()].as_bytes().to_vec()).collect();
        for line in run(setup, &input, answers, usize::MAX).split(" | ") {
            let tagged = line.split(' ').next().unwrap_or_default();
            let echoed = !tagged.contains(['"', '(', ')', '{', '*', '\\', '\r', '\n', '\0', '+']);
            assert!(line.is_empty() || ours.iter().any(|o| line.starts_with(o)) || echoed, "{line}");
        }
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
        "in OK",
        "line * x",
        "at 20",
        "at 60",
        "C a NOOP",
        "C a AUTHENTICATE PLAIN",
        "C eA==",
        "C a STARTTLS",
        "C a ID (\"x-proxy-ttl\" \"3\")",
        "raw a LOGIN \"",
        "C {5+}",
    ];
    bolero::check!().with_type::<(Vec<u8>, bool)>().for_each(|(choices, auth_up)| {
        accept(Setup { auth_up: *auth_up, ..TRUSTED }, usize::MAX).shuffle(&stimuli, choices);
    });
}
