//! A driver for one frontend: it plays stimuli and shows what comes out as text, with the input whole, byte by byte
//! or in pieces.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use bytes::Bytes;
use homing_login::{
    BackendSuccess, Frontend, Goodbye, Input, Note, Output, Refusal, RefusalKind, TlsFacts,
    limits::{INPUT_BYTES_MAX, LOGIN_TIMEOUT},
};
use homing_wire::Secret;

use crate::mechanisms;

/// One client with its driver.
pub struct Session<F> {
    /// The machine.
    pub frontend: F,
    /// When it was accepted.
    pub start: Instant,
    /// Time of the next event.
    pub now: Instant,
    /// What the socket holds because the frontend has no room.
    pub pending: Vec<u8>,
    step: usize,
}

impl<F: Frontend> Session<F> {
    /// The frontend that `accept` makes for a connection accepted now; its driver reads at most `step` bytes at a
    /// time.
    pub fn new(step: usize, accept: impl FnOnce(Instant) -> F) -> Self {
        let start = Instant::now();
        Self { frontend: accept(start), start, now: start, pending: Vec::new(), step }
    }

    /// One event.
    pub fn handle(&mut self, input: Input<'_>) {
        self.frontend.handle(self.now, input);
    }

    /// Bytes arrive at the socket; the driver reads as many as there is room for.
    pub fn bytes(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.pending.extend_from_slice(bytes);
        self.pump()
    }

    /// Reads what the socket holds as far as there is room.
    pub fn pump(&mut self) -> Vec<Output> {
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

    /// All outputs there are.
    pub fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.frontend.poll_output()).collect()
    }

    /// Does what the stimulus says and shows the outputs. `C text`: a line from the client (`\n` stands for a further
    /// line end), `raw text`: the same without line end; `at N`: the timer, N seconds after the start; the others are
    /// events.
    pub fn stimulate(&mut self, stimulus: &str) -> String {
        let (word, rest) = stimulus.split_once(' ').unwrap_or((stimulus, ""));
        let refusal = |kind| Input::Refused(Refusal::new(kind));
        let lines = rest.replace('\n', "\r\n");
        match word {
            "C" => self.pending.extend_from_slice(format!("{lines}\r\n").as_bytes()),
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
            "no" => self.handle(refusal(RefusalKind::Backend(rest.as_bytes().to_vec()))),
            "final" => self.handle(Input::Refused(final_refusal(rest))),
            "line" => self.handle(Input::BackendLine(format!("{rest}\r\n").as_bytes())),
            "in" => self.handle(Input::LoggedIn(success(&lines, None))),
            "in-with" => {
                let (capabilities, reply) = rest.split_once('|').unwrap();
                self.handle(Input::LoggedIn(success(reply, Some(capabilities))));
            }
            "shutdown" => self.handle(Input::Goodbye(Goodbye::Shutdown)),
            "queue-full" => self.handle(Input::Goodbye(Goodbye::QueueFull)),
            "tls-failed" => self.handle(Input::Goodbye(Goodbye::TlsFailed)),
            "at" => self.tick(Duration::from_secs(rest.parse().unwrap())),
            "time-out" => {
                assert_eq!(self.frontend.poll_timeout(), Some(self.start + LOGIN_TIMEOUT));
                self.tick(LOGIN_TIMEOUT);
            }
            other => panic!("no stimulus {other}"),
        }
        let outputs = self.pump();
        self.render(&outputs)
    }

    fn tick(&mut self, after: Duration) {
        self.now = self.start + after;
        self.handle(Input::Tick);
    }

    /// Lines sent as they are, other outputs in `<>`, joined by ` | `. A hand-over shows what the backend
    /// gets: the unread bytes and what the socket still holds.
    pub fn render(&self, outputs: &[Output]) -> String {
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

    /// Plays the driver to the end of the input; every request gets the next answer. Gives all that came out.
    pub fn run(&mut self, input: &[u8], answers: &[u8], success: &BackendSuccess) -> Vec<Output> {
        let mut outputs = self.bytes(input);
        let mut answers = answers.iter().cycle();
        let mut all = Vec::new();
        loop {
            let asked = matches!(outputs.last(), Some(Output::Authenticate(_) | Output::Respond(_)));
            all.append(&mut outputs);
            if !asked {
                break;
            }
            assert_eq!(self.frontend.room(), 0);
            self.answer(answers.next().copied().unwrap_or_default(), success);
            outputs = self.pump();
        }
        let ends = |o: &Output| matches!(o, Output::Close(_) | Output::Handoff { .. });
        assert!(all.iter().rev().skip(1).all(|o| !ends(o)), "{all:?}");
        if all.last().is_some_and(ends) {
            assert_eq!((self.frontend.room(), self.frontend.poll_timeout()), (0, None));
        }
        all
    }

    /// Answers an open request in one of four ways.
    fn answer(&mut self, choice: u8, success: &BackendSuccess) {
        match choice % 4 {
            0 => self.handle(Input::Challenge(b"eA==")),
            1 => self.handle(Input::Refused(final_refusal("eA=="))),
            2 => self.log_in(success),
            _ => self.handle(Input::Refused(Refusal::new(RefusalKind::Unavailable))),
        }
    }

    /// The auth service and then the backend accept.
    pub fn log_in(&mut self, success: &BackendSuccess) {
        self.handle(Input::AuthDone);
        self.handle(Input::LoggedIn(success.clone()));
    }

    /// Logs in with the lines of `head`: all of `tail` is handed over, in order, once.
    pub fn assert_hands_over(&mut self, head: &str, tail: &[u8], success: &BackendSuccess) {
        self.drain();
        self.bytes(&[head.as_bytes(), tail].concat());
        self.log_in(success);
        let Some(Output::Handoff { unread }) = self.drain().pop() else { panic!("no hand-over") };
        assert!(unread.len() <= INPUT_BYTES_MAX);
        assert_eq!([&unread[..], &self.pending].concat(), tail);
    }

    /// Plays the stimuli in the order that `choices` say. Nothing may follow the end.
    pub fn shuffle(&mut self, stimuli: &[&str], choices: &[u8]) {
        let mut ended = false;
        for choice in choices {
            let outputs = self.stimulate(stimuli[usize::from(*choice) % stimuli.len()]);
            assert!(!ended || outputs.is_empty(), "{outputs}");
            ended |= outputs.contains("<close") || outputs.contains("<handoff");
        }
    }
}

/// What a backend says when it accepts.
pub fn success(reply: &str, capabilities: Option<&str>) -> BackendSuccess {
    BackendSuccess {
        reply: reply.as_bytes().to_vec(),
        capabilities: capabilities.map(str::to_owned),
        unread: Bytes::new(),
    }
}

fn final_refusal(data: &str) -> Refusal {
    Refusal { final_challenge: Some(data.as_bytes().to_vec()), ..Refusal::new(RefusalKind::AuthFailed) }
}

/// Plays a list of stimulus and what comes out. Unless the first is `start`, the greeting is not looked at.
pub fn play<F: Frontend>(mut session: Session<F>, steps: &[(&str, &str)]) {
    if steps.first().is_some_and(|(stimulus, _)| *stimulus != "start") {
        session.drain();
    }
    for (stimulus, expected) in steps {
        let step = session.step;
        assert_eq!(session.stimulate(stimulus), *expected, "after {stimulus:?}, {step} bytes at a time");
    }
}

/// The same with the input whole, byte by byte and in sevens; `session` makes a session that reads so.
pub fn play_in_pieces<F: Frontend>(session: impl Fn(usize) -> Session<F>, steps: &[(&str, &str)]) {
    for step in [usize::MAX, 1, 7] {
        play(session(step), steps);
    }
}

/// Input of any size at a time gives the same as the whole.
pub fn assert_cuts_change_nothing<T: Debug + PartialEq>(step: u8, run: impl Fn(usize) -> T) {
    let whole = run(usize::MAX);
    assert_eq!(whole, run(usize::from(step).max(1)));
    assert_eq!(whole, run(1));
}
