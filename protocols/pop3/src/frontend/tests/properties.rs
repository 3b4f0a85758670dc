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

/// Mostly pieces, with plain bytes between them.
fn input_of(choices: &[u8]) -> Vec<u8> {
    let piece = |c: &u8| match c {
        0..200 => PIECES[usize::from(*c) % PIECES.len()].as_bytes().to_vec(),
        byte => vec![*byte],
    };
    choices.iter().flat_map(piece).collect()
}

/// Plays the driver to the end of the input; every request gets the next answer. Gives all that came out,
/// rendered.
fn run(setup: Setup, input: &[u8], answers: &[u8], step: usize) -> String {
    let mut session = Session::new(setup, step);
    let mut outputs = session.bytes(input);
    let mut answers = answers.iter().cycle();
    let mut all = Vec::new();
    loop {
        let asked = matches!(outputs.last(), Some(Output::Authenticate(_) | Output::Respond(_)));
        all.append(&mut outputs);
        if !asked {
            break;
        }
        answer(&mut session, answers.next().copied().unwrap_or_default());
        outputs = session.pump();
    }
    let over = all.iter().filter(|o| matches!(o, Output::Close(_) | Output::Handoff { .. })).count();
    assert!(over <= 1);
    if over == 1 {
        assert!(matches!(all.last(), Some(Output::Close(_) | Output::Handoff { .. })));
        assert_eq!((session.frontend.room(), session.frontend.poll_timeout()), (0, None));
    }
    session.render(&all)
}

/// Answers an open request in one of four ways.
fn answer(session: &mut Session, choice: u8) {
    match choice % 4 {
        0 => session.handle(Input::Challenge(b"eA==")),
        1 => session.handle(Input::Refused(Refusal {
            final_challenge: Some(b"eA==".to_vec()),
            ..Refusal::new(RefusalKind::AuthFailed)
        })),
        2 => log_in(session),
        _ => session.handle(Input::Refused(Refusal::new(RefusalKind::Unavailable))),
    }
}

fn log_in(session: &mut Session) {
    session.handle(Input::AuthDone);
    let success = BackendSuccess { reply: b"+OK".to_vec(), capabilities: None, unread: Bytes::new() };
    session.handle(Input::LoggedIn(success));
}

#[test]
fn cutting_the_input_changes_nothing() {
    // Without STLS, for which the cut decides where injected bytes are found (row P3-05).
    let setup =
        Setup { policy: SecurityPolicy { tls_available: false, ..PLAIN.policy }, trusted: true, ..PLAIN };
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, u8)>().for_each(|(choices, answers, step)| {
        let input = input_of(choices);
        let whole = run(setup, &input, answers, usize::MAX);
        assert_eq!(whole, run(setup, &input, answers, usize::from(*step).max(1)));
        assert_eq!(whole, run(setup, &input, answers, 1));
    });
}

#[test]
fn stls_never_lets_plaintext_through() {
    bolero::check!().with_type::<(Vec<u8>, u8)>().for_each(|(choices, step)| {
        let mut session = Session::new(PLAIN, usize::from(*step).max(1));
        session.bytes(b"STLS\r\n");
        assert!(session.bytes(&input_of(choices)).is_empty());
        assert!(session.frontend.talk.input.is_empty());
    });
}

#[test]
fn every_byte_is_read_once_or_handed_over_once() {
    bolero::check!().with_type::<(Vec<u8>, u8, bool)>().for_each(|(tail, step, by_auth)| {
        let login = if *by_auth { "AUTH PLAIN AGEA" } else { "USER a\r\nPASS b" };
        let head = format!("FOO\r\n{login}\r\n");
        let mut session = Session::new(PLAIN, usize::from(*step).max(1));
        session.drain();
        session.bytes(&[head.as_bytes(), tail].concat());
        log_in(&mut session);
        let Some(Output::Handoff { unread }) = session.drain().pop() else { panic!("no hand-over") };
        assert_eq!([&unread[..], &session.pending].concat(), *tail);
        assert!(unread.len() <= INPUT_BYTES_MAX);
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
        let mut session = Session::new(Setup { auth_up: *auth_up, ..PLAIN }, usize::MAX);
        let mut ended = false;
        for choice in choices {
            let outputs = session.stimulate(stimuli[usize::from(*choice) % stimuli.len()]);
            assert!(!ended || outputs.is_empty(), "{outputs}");
            ended |= outputs.contains("<close") || outputs.contains("<handoff");
        }
    });
}
