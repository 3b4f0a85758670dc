//! The two machines with their drivers, reduced to queues of lines.

use std::collections::VecDeque;

use homing_login::{
    AuthStart, BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess,
    ClientIdentity, Frontend, Input, Output, ProxyTarget, TlsUse,
};

use crate::{
    client::Session,
    recording::{bytes_of, text_of},
};

/// One client connection.
pub struct Client<F> {
    /// The frontend and its driver.
    pub session: Session<F>,
    /// Lines sent and not yet compared.
    pub sent: VecDeque<String>,
    /// The auth request that is open.
    pub asked: Option<AuthStart>,
    /// Answers to challenges not yet compared.
    pub responses: VecDeque<String>,
    /// Requests cancelled and not yet compared.
    pub cancels: usize,
    /// The frontend closed.
    pub closed: bool,
    /// The frontend waits for the handshake.
    pub wants_tls: bool,
    /// After the hand-over: what the backend gets from here on.
    pub forwarded: Option<VecDeque<String>>,
}

impl<F: Frontend> Client<F> {
    /// A client with what its frontend says first.
    pub fn new(session: Session<F>) -> Self {
        let mut client = Self {
            session,
            sent: VecDeque::new(),
            asked: None,
            responses: VecDeque::new(),
            cancels: 0,
            closed: false,
            wants_tls: false,
            forwarded: None,
        };
        client.pump();
        client
    }

    /// The client says something.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.forwarded {
            Some(forwarded) => forwarded.extend(lines(bytes)),
            None => {
                self.session.pending.extend_from_slice(bytes);
                self.pump();
            }
        }
    }

    /// Something else happens.
    pub fn event(&mut self, input: Input<'_>) {
        self.session.handle(input);
        self.pump();
    }

    fn pump(&mut self) {
        for output in self.session.pump() {
            match output {
                Output::Send(bytes) => {
                    assert!(bytes.ends_with(b"\r\n"), "{bytes:?}");
                    self.sent.extend(lines(&bytes));
                }
                Output::StartTls => self.wants_tls = true,
                Output::Authenticate(start) => self.asked = Some(start),
                Output::Respond(response) => self.responses.push_back(text_of(response.expose())),
                Output::CancelAuth => self.cancels += 1,
                Output::Handoff { unread } => {
                    let all = [&unread[..], &std::mem::take(&mut self.session.pending)].concat();
                    self.forwarded = Some(lines(&all).collect());
                }
                Output::Note(_) => {}
                Output::Close(_) => self.closed = true,
            }
        }
    }
}

/// One backend connection.
pub struct Backend<B> {
    /// The dialogue.
    pub machine: B,
    /// Lines sent and not yet compared.
    pub sent: VecDeque<String>,
    /// Lines for the client (IMAP).
    pub passed_on: Vec<String>,
    /// For the log.
    pub warnings: Vec<String>,
    /// The dialogue waits for the handshake.
    pub wants_tls: bool,
    /// How it ended.
    pub verdict: Option<Result<BackendSuccess, BackendFailure>>,
}

impl<B: BackendDialogue> Backend<B> {
    /// A connection on which nothing was said.
    pub fn new(machine: B) -> Self {
        let (sent, passed_on, warnings) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { machine, sent, passed_on, warnings, wants_tls: false, verdict: None }
    }

    /// The backend sends a line without its line end.
    pub fn line(&mut self, text: &str) {
        self.event(BackendInput::Bytes(&bytes_of(&format!("{text}\r\n"))));
    }

    /// The handshake is done, if the dialogue waits for it.
    pub fn secure(&mut self) {
        if std::mem::take(&mut self.wants_tls) {
            self.event(BackendInput::TlsUp);
        }
    }

    /// True if the backend accepted.
    pub fn is_logged_in(&self) -> bool {
        self.verdict.as_ref().is_some_and(Result::is_ok)
    }

    fn event(&mut self, input: BackendInput<'_>) {
        self.machine.handle(input);
        while let Some(output) = self.machine.poll_output() {
            match output {
                BackendOutput::Send(bytes) => self.sent.extend(lines(bytes.expose())),
                BackendOutput::StartTls => self.wants_tls = true,
                BackendOutput::ClientLine(line) => self.passed_on.extend(lines(&line)),
                BackendOutput::Warning(text) => self.warnings.push(text),
                BackendOutput::LoggedIn(success) => self.verdict = Some(Ok(success)),
                BackendOutput::Failed(failure) => self.verdict = Some(Err(failure)),
            }
        }
    }
}

/// The login that an auth reply asks for.
pub fn login_at(target: &ProxyTarget, client: ClientIdentity) -> BackendLogin {
    BackendLogin {
        user: target.destuser.clone(),
        password: target.password.clone().unwrap(),
        master: target.master.clone(),
        mechanism: target.mechanism.clone(),
        starttls: matches!(target.tls, TlsUse::StartTls { .. }),
        tls: matches!(target.tls, TlsUse::Implicit { .. }),
        not_trusted: target.not_trusted,
        no_pipelining: target.no_pipelining,
        client,
        forward: target.forward.clone(),
        ask_capabilities: false,
        known_capabilities: None,
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = String> {
    let text = text_of(bytes);
    text.split_terminator("\r\n").map(str::to_owned).collect::<Vec<_>>().into_iter()
}
