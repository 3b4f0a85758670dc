//! The phases, without any dialect's words: what is due after which event, and what goes out.

use std::time::Duration;

use homing_wire::{Secret, SessionId};

use super::*;
use crate::{CloseReason, Goodbye, Input, Note, RefusalKind, Service};

const FAREWELLS: Farewells = Farewells {
    shutdown: "shutdown",
    queue_full: "queue full",
    tls_failed: "tls failed",
    inactivity: "idle",
    inactivity_during_auth: "idle in auth",
};

const POLICY: SecurityPolicy =
    SecurityPolicy { tls_available: true, tls_required: false, disable_plaintext: false };

struct Talk {
    talk: Conversation,
    start: Instant,
}

impl Talk {
    fn new(policy: SecurityPolicy) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do; nothing here waits")]
        let start = Instant::now();
        let (remote, local) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let client = ClientIdentity::new(Service::Imap, remote, local, SessionId::received(b"S0").unwrap());
        Self { talk: Conversation::new(client, policy, &FAREWELLS, start, None), start }
    }

    fn greeted(policy: SecurityPolicy) -> Self {
        let mut talk = Self::new(policy);
        assert_eq!(talk.due(Input::AuthUp(mechanisms())), "Greeting");
        talk
    }

    fn asked() -> Self {
        let mut talk = Self::greeted(POLICY);
        assert_eq!(talk.talk.ask(b"plain", None), Ok(()));
        assert_eq!(talk.outputs(), ["<auth PLAIN>"]);
        talk
    }

    /// The event's name of what is due.
    fn due(&mut self, input: Input<'_>) -> String {
        let due = format!("{:?}", self.talk.handle(self.start, input));
        due.split([' ', '(']).next().unwrap().to_owned()
    }

    fn outputs(&mut self) -> Vec<String> {
        let shown = |output| match output {
            Output::Send(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
            Output::Authenticate(start) => format!("<auth {}>", start.mechanism),
            Output::Handoff { unread } => format!("<handoff {}>", String::from_utf8_lossy(&unread)),
            other => format!("<{other:?}>"),
        };
        std::iter::from_fn(|| self.talk.poll_output()).map(shown).collect()
    }
}

fn mechanisms() -> Arc<[Mechanism]> {
    let mechanism = |name: &str, private, plaintext| Mechanism {
        name: name.to_owned(),
        private,
        anonymous: false,
        plaintext,
    };
    Arc::new([mechanism("PLAIN", false, true), mechanism("SCRAM", false, false), mechanism("X", true, false)])
}

fn refusal(final_challenge: Option<&[u8]>) -> Input<'static> {
    let final_challenge = final_challenge.map(<[u8]>::to_vec);
    Input::Refused(Refusal { final_challenge, ..Refusal::new(RefusalKind::AuthFailed) })
}

#[test]
fn the_greeting_is_due_once_and_commands_wait_without_auth_service() {
    let mut talk = Talk::new(POLICY);
    assert_eq!(talk.due(Input::Bytes(b"x")), "Nothing");
    assert!(!talk.talk.reads());
    assert_eq!(talk.due(Input::AuthUp(mechanisms())), "Greeting");
    assert!(talk.talk.reads());
    assert_eq!(talk.due(Input::AuthDown), "Nothing");
    assert_eq!(talk.due(Input::Bytes(b"x")), "Waiting");
    assert_eq!(talk.due(Input::AuthUp(mechanisms())), "Nothing");
    assert_eq!(talk.due(Input::Tick), "Time");
}

#[test]
fn answers_nobody_asked_for_are_ignored() {
    let mut talk = Talk::greeted(POLICY);
    let success = BackendSuccess { reply: Vec::new(), capabilities: None, unread: bytes::Bytes::new() };
    for input in [
        Input::Challenge(b"eA=="),
        Input::AuthDone,
        refusal(None),
        refusal(Some(b"eA==")),
        Input::BackendLine(b"* x\r\n"),
        Input::LoggedIn(success),
        Input::TlsUp(TlsFacts::default()),
    ] {
        assert_eq!(talk.due(input), "Nothing");
        assert!(matches!(talk.talk.phase(), Phase::Commands));
    }
}

#[test]
fn denials_come_in_their_order() {
    let strict = SecurityPolicy { tls_required: true, disable_plaintext: true, ..POLICY };
    let mut talk = Talk::greeted(strict);
    let bad = || Some(Secret::from("!"));
    assert_eq!(talk.talk.ask(b"FOO", bad()), Err(Denial::TlsRequired));
    assert_eq!(talk.talk.usable_mechanisms().count(), 0);
    let mut talk = Talk::greeted(SecurityPolicy { disable_plaintext: true, ..POLICY });
    assert_eq!(talk.talk.ask(b"FOO", bad()), Err(Denial::UnsupportedMechanism));
    assert_eq!(talk.talk.ask(b"X", bad()), Err(Denial::UnsupportedMechanism));
    assert_eq!(talk.talk.ask(b"PLAIN", bad()), Err(Denial::PlaintextDisabled));
    assert_eq!(talk.talk.ask(b"SCRAM", bad()), Err(Denial::InitialResponse));
    let notes = [
        Note::UnsupportedMechanism("FOO".to_owned()),
        Note::UnsupportedMechanism("X".to_owned()),
        Note::PlaintextRefused,
    ];
    assert_eq!(talk.outputs(), notes.map(|note| format!("<{:?}>", Output::Note(note))));
    assert_eq!(talk.talk.usable_mechanisms().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["SCRAM"]);
}

#[test]
fn what_is_held_at_starttls_closes() {
    let mut talk = Talk::greeted(POLICY);
    talk.due(Input::Bytes(b"injected"));
    talk.talk.start_tls();
    assert_eq!(talk.outputs(), ["<Close(PlaintextBehindStartTls)>"]);
    let mut talk = Talk::greeted(POLICY);
    talk.talk.start_tls();
    assert_eq!((talk.outputs(), talk.talk.room()), (vec!["<StartTls>".to_owned()], 0));
    assert_eq!(talk.due(Input::TlsUp(TlsFacts::default())), "Secured");
    assert!(talk.talk.client.secured.is_secured() && !talk.talk.offers_tls());
}

#[test]
fn a_final_challenge_is_told_after_one_line() {
    let mut talk = Talk::asked();
    assert_eq!(talk.talk.room(), 0);
    assert_eq!(talk.due(refusal(Some(b"eA=="))), "FinalChallenge");
    assert!(talk.talk.reads() && talk.talk.part().is_some());
    assert!(talk.talk.part().is_none());
    // While the client owes an answer there is nothing more to show.
    let mut talk = Talk::asked();
    assert_eq!(talk.due(Input::Challenge(b"")), "Challenge");
    let due = format!("{:?}", talk.talk.handle(talk.start, refusal(Some(b"eA=="))));
    assert!(due.ends_with("answering: true }"), "{due}");
}

#[test]
fn only_base64_answers_a_challenge() {
    let mut talk = Talk::asked();
    for (response, denial) in [("*", Denial::Aborted), ("!", Denial::Response)] {
        talk.due(Input::Challenge(b""));
        assert_eq!(talk.talk.respond(Secret::from(response)), Err(denial));
        assert_eq!(talk.outputs().last().map(String::as_str), Some("<CancelAuth>"));
        assert_eq!(talk.talk.ask(b"SCRAM", None), Ok(()));
        talk.outputs();
    }
}

#[test]
fn ends_cancel_what_is_open_and_are_the_last() {
    let mut talk = Talk::asked();
    assert_eq!(talk.due(Input::Goodbye(Goodbye::Shutdown)), "Nothing");
    assert_eq!(talk.outputs(), ["shutdown", "<CancelAuth>", "<Close(Shutdown)>"]);
    assert_eq!((talk.talk.room(), talk.talk.deadline()), (0, None));
    talk.due(Input::Eof);
    assert!(talk.outputs().is_empty());

    // During a handshake only its failure is told.
    for (goodbye, told) in [(Goodbye::QueueFull, None), (Goodbye::TlsFailed, Some("tls failed"))] {
        let mut talk = Talk::greeted(POLICY);
        talk.talk.start_tls();
        talk.outputs();
        talk.due(Input::Goodbye(goodbye));
        let outputs = talk.outputs();
        assert_eq!(outputs.iter().map(String::as_str).find(|o| !o.starts_with('<')), told);
    }
}

#[test]
fn the_limit_is_not_extended() {
    let mut talk = Talk::greeted(POLICY);
    let limit = talk.start + LOGIN_TIMEOUT;
    assert_eq!(talk.talk.deadline(), Some(limit));
    assert!(matches!(talk.talk.handle(limit - Duration::from_millis(1), Input::Tick), Due::Time));
    assert!(matches!(talk.talk.handle(limit, Input::Tick), Due::Nothing));
    assert_eq!(talk.outputs(), ["idle", &format!("<Close({:?})>", CloseReason::Inactivity)]);
}

#[test]
fn what_is_unread_is_handed_over_once() {
    let mut talk = Talk::greeted(POLICY);
    talk.due(Input::Bytes(b"next"));
    assert_eq!(talk.talk.ask(b"SCRAM", None), Ok(()));
    talk.outputs();
    talk.talk.hand_over(b"ok\r\n".to_vec());
    assert_eq!(talk.outputs(), ["ok", "<handoff next>"]);
    assert!(talk.talk.is_over() && talk.talk.input.is_empty());
}
