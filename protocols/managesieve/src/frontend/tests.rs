//! Rows MS-* of the client side, as scripts, and what must hold for any input.

mod properties;
mod scripts;

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
}

const PLAIN: Setup = Setup {
    policy: SecurityPolicy { tls_available: true, tls_required: false, disable_plaintext: false },
    trusted: false,
    tls: false,
    auth_up: true,
};

/// One client with its driver: `pending` is what the socket holds because the frontend has no room.
struct Session {
    frontend: SieveFrontend,
    start: Instant,
    pending: Vec<u8>,
    step: usize,
}

fn mechanisms() -> Arc<[Mechanism]> {
    let mechanism = |name: &str, private, anonymous, plaintext| Mechanism {
        name: name.to_owned(),
        private,
        anonymous,
        plaintext,
    };
    Arc::new([
        mechanism("PLAIN", false, false, true),
        mechanism("LOGIN", false, false, true),
        mechanism("SCRAM-SHA-256", false, false, false),
        mechanism("ANONYMOUS", false, true, false),
        mechanism("FOO", true, false, false),
    ])
}

fn identity(trusted: bool) -> ClientIdentity {
    let session = SessionId::received(b"S0").unwrap();
    let (remote, local) = ("127.0.77.100:38471".parse().unwrap(), "127.0.77.1:4190".parse().unwrap());
    let secured = if trusted { Secured::Yes } else { Secured::No };
    ClientIdentity { trusted, secured, ..ClientIdentity::new(Service::Sieve, remote, local, session) }
}

impl Session {
    fn new(setup: Setup, step: usize) -> Self {
        let config = SieveFrontendConfig {
            greeting: "ready".to_owned(),
            implementation: "Homing".to_owned(),
            sieve_capability: "fileinto".to_owned(),
            notify_capability: Some("mailto".to_owned()),
            policy: setup.policy,
        };
        #[expect(clippy::disallowed_methods, reason = "any instant will do; nothing here waits")]
        let start = Instant::now();
        let tls = setup.tls.then(TlsFacts::default);
        let mechanisms = setup.auth_up.then(mechanisms);
        let frontend = SieveFrontend::new(Arc::new(config), identity(setup.trusted), start, tls, mechanisms);
        Self { frontend, start, pending: Vec::new(), step }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.frontend.handle(self.start, input);
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
            "auth-up" => self.handle(Input::AuthUp(mechanisms())),
            "auth-down" => self.handle(Input::AuthDown),
            "challenge" => self.handle(Input::Challenge(rest.as_bytes())),
            "done" => self.handle(Input::AuthDone),
            "fail" => self.handle(refusal(RefusalKind::AuthFailed)),
            "unavailable" => self.handle(refusal(RefusalKind::Unavailable)),
            "final" => self.handle(Input::Refused(Refusal {
                final_challenge: Some(rest.as_bytes().to_vec()),
                ..Refusal::new(RefusalKind::AuthFailed)
            })),
            "in" => self.handle(Input::LoggedIn(BackendSuccess {
                reply: rest.replace('\n', "\r\n").into_bytes(),
                capabilities: None,
                unread: Bytes::new(),
            })),
            "shutdown" => self.handle(Input::Goodbye(Goodbye::Shutdown)),
            "queue-full" => self.handle(Input::Goodbye(Goodbye::QueueFull)),
            "tls-failed" => self.handle(Input::Goodbye(Goodbye::TlsFailed)),
            "early-tick" => {
                let early = self.frontend.poll_timeout().unwrap() - Duration::from_millis(1);
                self.frontend.handle(early, Input::Tick);
            }
            "tick" => {
                let due = self.frontend.poll_timeout().unwrap();
                assert_eq!(due, self.start + LOGIN_TIMEOUT);
                self.frontend.handle(due, Input::Tick);
            }
            other => panic!("no stimulus {other}"),
        }
        let outputs = self.pump();
        self.render(&outputs)
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
            Output::Note(note) => format!("<{note:?}>"),
            Output::Close(reason) => format!("<close {reason:?}>"),
        });
        parts.collect::<Vec<_>>().join(" | ")
    }
}
