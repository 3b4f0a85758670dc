//! Rows IM-* as scripts, captured conversations, another parser as oracle, and what must hold for any input.

mod identification;
mod logins;
mod oracle;
mod properties;
mod scripts;
mod transcripts;

use std::time::Duration;

use bytes::Bytes;
use homing_login::{
    BackendSuccess, Goodbye, Note, Refusal, RefusalKind, Secured, Service,
    limits::{INPUT_BYTES_MAX, LOGIN_TIMEOUT},
};
use homing_wire::{Secret, SessionId};

use super::*;

/// How a connection starts. The default is that of the checklist: plain, plaintext allowed, mechanisms PLAIN,
/// LOGIN and SCRAM, untrusted.
#[derive(Clone, Copy)]
struct Setup {
    policy: SecurityPolicy,
    trusted: bool,
    tls: bool,
    auth_up: bool,
    /// Without PLAIN and LOGIN.
    plain: bool,
    capability: &'static str,
    literal_minus: bool,
    id_log: &'static str,
    id_retain: bool,
}

const POLICY: SecurityPolicy =
    SecurityPolicy { tls_available: true, tls_required: false, disable_plaintext: false };

const PLAIN: Setup = Setup {
    policy: POLICY,
    trusted: false,
    tls: false,
    auth_up: true,
    plain: true,
    capability: "",
    literal_minus: false,
    id_log: "",
    id_retain: false,
};

/// One client with its driver: `pending` is what the socket holds because the frontend has no room.
struct Session {
    frontend: ImapFrontend,
    start: Instant,
    now: Instant,
    pending: Vec<u8>,
    step: usize,
}

fn mechanism(name: &str, private: bool, anonymous: bool, plaintext: bool) -> Mechanism {
    Mechanism { name: name.to_owned(), private, anonymous, plaintext }
}

fn mechanisms(plain: bool) -> Arc<[Mechanism]> {
    let mut list = vec![
        mechanism("SCRAM-SHA-256", false, false, false),
        mechanism("ANONYMOUS", false, true, false),
        mechanism("APOP", true, false, false),
    ];
    if plain {
        list.insert(0, mechanism("LOGIN", false, false, true));
        list.insert(0, mechanism("PLAIN", false, false, true));
    }
    list.into()
}

fn identity(trusted: bool) -> ClientIdentity {
    let session = SessionId::received(b"S0").unwrap();
    let (remote, local) = ("127.0.77.100:38471".parse().unwrap(), "127.0.77.1:143".parse().unwrap());
    let secured = if trusted { Secured::Yes } else { Secured::No };
    ClientIdentity { trusted, secured, ..ClientIdentity::new(Service::Imap, remote, local, session) }
}

fn config(setup: Setup) -> ImapFrontendConfig {
    ImapFrontendConfig {
        greeting: "ready".to_owned(),
        policy: setup.policy,
        capability: setup.capability.to_owned(),
        id_send: "name *".to_owned(),
        id_log: setup.id_log.to_owned(),
        id_retain: setup.id_retain,
        literal_minus: setup.literal_minus,
    }
}

impl Session {
    fn new(setup: Setup, step: usize) -> Self {
        let start = moment();
        let tls = setup.tls.then(TlsFacts::default);
        let mechanisms = setup.auth_up.then(|| mechanisms(setup.plain));
        let frontend =
            ImapFrontend::new(Arc::new(config(setup)), identity(setup.trusted), start, tls, mechanisms);
        Self { frontend, start, now: start, pending: Vec::new(), step }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.frontend.handle(self.now, input);
    }

    /// Bytes arrive at the socket; the driver reads as many as there is room for.
    fn bytes(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.pending.extend_from_slice(bytes);
        self.pump()
    }

    fn pump(&mut self) -> Vec<Output> {
        let mut outputs = self.drain();
        loop {
            let count = self.frontend.room().min(self.step).min(self.pending.len());
            assert!(self.frontend.room() <= INPUT_BYTES_MAX);
            if count == 0 {
                return outputs;
            }
            let read: Vec<u8> = self.pending.drain(..count).collect();
            self.handle(Input::Bytes(&read));
            outputs.extend(self.drain());
        }
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.frontend.poll_output()).collect()
    }

    /// Does what the stimulus says; see `scripts`.
    fn stimulate(&mut self, stimulus: &str) -> String {
        let (word, rest) = stimulus.split_once(' ').unwrap_or((stimulus, ""));
        let refusal = |kind| Input::Refused(Refusal::new(kind));
        match word {
            "C" => self.pending.extend_from_slice(format!("{}\r\n", rest.replace('\n', "\r\n")).as_bytes()),
            "raw" => self.pending.extend_from_slice(rest.as_bytes()),
            "start" => {}
            "eof" => self.handle(Input::Eof),
            "tls" => self.handle(Input::TlsUp(TlsFacts::default())),
            "auth-up" => self.handle(Input::AuthUp(mechanisms(true))),
            "auth-down" => self.handle(Input::AuthDown),
            "challenge" => self.handle(Input::Challenge(rest.as_bytes())),
            "done" => self.handle(Input::AuthDone),
            "fail" => self.handle(refusal(RefusalKind::AuthFailed)),
            "unavailable" => self.handle(refusal(RefusalKind::Unavailable)),
            "no" => self.handle(refusal(RefusalKind::Backend(rest.as_bytes().to_vec()))),
            "final" => self.handle(Input::Refused(Refusal {
                final_challenge: Some(rest.as_bytes().to_vec()),
                ..Refusal::new(RefusalKind::AuthFailed)
            })),
            "line" => self.handle(Input::BackendLine(format!("{rest}\r\n").as_bytes())),
            "in" => self.log_in(rest, None),
            "in-with" => {
                let (capabilities, reply) = rest.split_once('|').unwrap();
                self.log_in(reply, Some(capabilities));
            }
            "shutdown" => self.handle(Input::Goodbye(Goodbye::Shutdown)),
            "queue-full" => self.handle(Input::Goodbye(Goodbye::QueueFull)),
            "tls-failed" => self.handle(Input::Goodbye(Goodbye::TlsFailed)),
            "at" => {
                self.now = self.start + Duration::from_secs(rest.parse().unwrap());
                self.handle(Input::Tick);
            }
            other => panic!("no stimulus {other}"),
        }
        let outputs = self.pump();
        self.render(&outputs)
    }

    fn log_in(&mut self, reply: &str, capabilities: Option<&str>) {
        self.handle(Input::LoggedIn(BackendSuccess {
            reply: reply.as_bytes().to_vec(),
            capabilities: capabilities.map(str::to_owned),
            unread: Bytes::new(),
        }));
    }

    /// Lines sent as they are, other outputs in `<>`, joined by ` | `. A hand-over shows what the backend
    /// gets: the unread bytes and what the socket still holds.
    fn render(&self, outputs: &[Output]) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let secret = |s: &Secret| text(s.expose());
        let parts = outputs.iter().map(|output| match output {
            Output::Send(bytes) => text(bytes.strip_suffix(b"\r\n").unwrap()).replace("\r\n", " | "),
            Output::StartTls => "<starttls>".to_owned(),
            Output::Authenticate(start) => {
                let response = start.initial_response.as_ref().map_or("-".to_owned(), secret);
                format!("<auth {} {response}>", start.mechanism)
            }
            Output::Respond(response) => format!("<respond {}>", secret(response)),
            Output::CancelAuth => "<cancel>".to_owned(),
            Output::Handoff { unread } => {
                let all = [&unread[..], &self.pending].concat();
                format!("<handoff {}>", text(&all).replace("\r\n", "/"))
            }
            Output::Note(Note::UnsupportedMechanism(name)) => format!("<unsupported {name}>"),
            Output::Note(Note::ClientId(id)) => format!("<id {id}>"),
            Output::Note(note) => format!("<{note:?}>"),
            Output::Close(reason) => format!("<close {reason:?}>"),
        });
        parts.collect::<Vec<_>>().join(" | ")
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do; nothing here waits")]
fn moment() -> Instant {
    Instant::now()
}

fn play_in(setup: Setup, steps: &[(&str, &str)], step: usize) {
    let mut session = Session::new(setup, step);
    if steps.first().is_some_and(|(stimulus, _)| *stimulus != "start") {
        session.drain();
    }
    for (stimulus, expected) in steps {
        assert_eq!(session.stimulate(stimulus), *expected, "after {stimulus:?}, {step} bytes at a time");
    }
}

fn play(setup: Setup, steps: &[(&str, &str)]) {
    for step in [usize::MAX, 1, 7] {
        play_in(setup, steps, step);
    }
}

const BAD: &str = "a BAD Error in IMAP command received by server.";
const UNTAGGED_BAD: &str = "* BAD Error in IMAP command received by server.";
const TOO_MANY: &str = "* BYE Too many invalid IMAP commands. | <close TooManyBadCommands>";
const OK: &str = "a OK NOOP completed.";
const FULL: &str = "* BYE Input buffer full, aborting | <close InputBufferFull>";
const WAITING: &str = "* OK Waiting for authentication process to respond..";
const FAILED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
const LOGIN: &str = "C a LOGIN alice pw";
const LOGGED: &str = "<auth PLAIN AGFsaWNlAHB3>";

const NO_PLAINTEXT: Setup = Setup { policy: SecurityPolicy { disable_plaintext: true, ..POLICY }, ..PLAIN };
const TLS_REQUIRED: Setup = Setup { policy: SecurityPolicy { tls_required: true, ..POLICY }, ..PLAIN };
const NO_TLS: Setup = Setup { policy: SecurityPolicy { tls_available: false, ..POLICY }, ..PLAIN };
const TRUSTED: Setup = Setup { trusted: true, ..PLAIN };
