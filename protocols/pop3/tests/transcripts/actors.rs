//! The two machines with their drivers, reduced to queues of lines.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use homing_login::{
    AuthStart, BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess,
    ClientIdentity, Frontend, Input, Output, ProxyTarget, TlsFacts, TlsUse,
};
use homing_pop3::{Pop3Backend, Pop3Frontend, Pop3FrontendConfig};

/// One client connection.
pub struct Client {
    pub frontend: Pop3Frontend,
    now: Instant,
    /// What the socket holds because the frontend does not read.
    socket: Vec<u8>,
    /// Lines sent and not yet compared.
    pub sent: VecDeque<String>,
    pub asked: Option<AuthStart>,
    pub responses: VecDeque<Vec<u8>>,
    pub cancels: usize,
    pub closed: bool,
    pub wants_tls: bool,
    /// After the hand-over: what the backend gets from here on.
    pub forwarded: Option<VecDeque<String>>,
}

impl Client {
    pub fn new(
        config: Pop3FrontendConfig,
        identity: ClientIdentity,
        tls: Option<TlsFacts>,
        mechanisms: Arc<[homing_login::Mechanism]>,
    ) -> Self {
        let now = Instant::now();
        let mut client = Self {
            frontend: Pop3Frontend::new(Arc::new(config), identity, now, tls, Some(mechanisms)),
            now,
            socket: Vec::new(),
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

    pub fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.forwarded {
            Some(forwarded) => forwarded.extend(lines(bytes)),
            None => {
                self.socket.extend_from_slice(bytes);
                self.pump();
            }
        }
    }

    pub fn event(&mut self, input: Input<'_>) {
        self.frontend.handle(self.now, input);
        self.pump();
    }

    fn pump(&mut self) {
        self.drain();
        loop {
            let count = self.frontend.room().min(self.socket.len());
            if count == 0 {
                return;
            }
            let read: Vec<u8> = self.socket.drain(..count).collect();
            self.frontend.handle(self.now, Input::Bytes(&read));
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.frontend.poll_output() {
            match output {
                Output::Send(bytes) => self.sent.extend(lines(&bytes)),
                Output::StartTls => self.wants_tls = true,
                Output::Authenticate(start) => self.asked = Some(start),
                Output::Respond(response) => self.responses.push_back(response.expose().to_vec()),
                Output::CancelAuth => self.cancels += 1,
                Output::Handoff { unread } => {
                    let all = [&unread[..], &std::mem::take(&mut self.socket)].concat();
                    self.forwarded = Some(lines(&all).collect());
                }
                Output::Note(_) => {}
                Output::Close(_) => self.closed = true,
            }
        }
    }
}

/// One backend connection.
pub struct Backend {
    machine: Pop3Backend,
    pub sent: VecDeque<String>,
    pub wants_tls: bool,
    pub verdict: Option<Result<BackendSuccess, BackendFailure>>,
}

impl Backend {
    pub fn new(target: &ProxyTarget, client: ClientIdentity) -> Self {
        let login = BackendLogin {
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
        };
        Self { machine: Pop3Backend::new(login), sent: VecDeque::new(), wants_tls: false, verdict: None }
    }

    pub fn event(&mut self, input: BackendInput<'_>) {
        self.machine.handle(input);
        while let Some(output) = self.machine.poll_output() {
            match output {
                BackendOutput::Send(bytes) => self.sent.extend(lines(bytes.expose())),
                BackendOutput::StartTls => self.wants_tls = true,
                BackendOutput::LoggedIn(success) => self.verdict = Some(Ok(success)),
                BackendOutput::Failed(failure) => self.verdict = Some(Err(failure)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Complete lines; whatever a peer sent in this protocol ends in CR LF.
fn lines(bytes: &[u8]) -> impl Iterator<Item = String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
    text.split_terminator("\r\n").map(str::to_owned).collect::<Vec<_>>().into_iter()
}
