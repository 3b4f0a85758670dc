//! One attempt: connect, TLS, dialogue. The dialogue says what to do; this loop does it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use homing_imap::ImapBackend;
use homing_login::{
    BackendDialogue, BackendFailure, BackendInput, BackendLogin, BackendOutput, BackendSuccess, FailureClass,
    Service, TlsUse,
};
use homing_managesieve::SieveBackend;
use homing_pop3::Pop3Backend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{BackendStream, Backends, LoginRequest, connect, sighting::Sight};
use crate::{
    observe::tally::{BackendFailure as Failed, LoginPhase, tally},
    tls::HandshakeError,
    transport::Transport,
};

/// Bytes asked for by one read during the login.
const READ_BYTES: usize = 4096;

/// Lines for the client kept during one login; more than this is dropped, since no sane backend sends them.
const CLIENT_LINES_BYTES_MAX: usize = 16 * 1024;

/// Warnings kept during one login; one or two tell what is wrong with a backend.
const WARNINGS_MAX: usize = 16;

/// A failed attempt.
#[derive(Debug, Clone)]
pub struct LoginFailure {
    /// Class, words for the log, and what the client may see.
    pub failure: BackendFailure,
    /// At which step.
    pub cause: Cause,
    /// Our own address, if a connection was made.
    pub local: Option<SocketAddr>,
}

/// The step at which an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No connection.
    Connect,
    /// The time limit.
    TimedOut {
        /// State of the dialogue.
        state: String,
    },
    /// Not tried, since the host is down (spec/login-proxy.md 7.5); never retried.
    HostDown,
    /// The connection ended, or TLS failed.
    Disconnected {
        /// State of the dialogue.
        state: String,
        /// Since the attempt began.
        duration: Duration,
    },
    /// The dialogue.
    Dialogue,
}

impl LoginFailure {
    /// True if the backend has said that it does not let the user in.
    fn is_answer(&self) -> bool {
        let is_no = matches!(self.failure.class, FailureClass::Auth | FailureClass::AuthTempFail);
        self.cause == Cause::Dialogue && is_no
    }

    fn counted_as(&self) -> Failed {
        match (&self.cause, self.failure.class) {
            (Cause::Connect, _) => Failed::Connect,
            (Cause::HostDown, _) => Failed::HostDown,
            (Cause::TimedOut { .. }, _) => Failed::TimedOut,
            (Cause::Disconnected { .. }, _) => Failed::Disconnected,
            (Cause::Dialogue, FailureClass::Auth | FailureClass::AuthTempFail) => Failed::Refused,
            (Cause::Dialogue, _) => Failed::Protocol,
        }
    }
}

/// What attempts leave behind besides their results.
#[derive(Clone, Default)]
pub(super) struct Traces {
    pub(super) client_lines: Vec<Bytes>,
    client_lines_bytes: usize,
    pub(super) warnings: Vec<String>,
    pub(super) capabilities: Option<String>,
    sent: u64,
}

/// What came of one attempt.
pub(super) struct Tried {
    pub(super) result: Result<BackendStream, LoginFailure>,
    /// The connection of a failed attempt whose backend may still let the user in.
    pub(super) undecided: Option<Transport>,
}

/// One attempt within the time limit, counted. `started` is the start of the whole login.
pub(super) async fn attempt(
    backends: &Backends,
    request: &LoginRequest<'_>,
    traces: &mut Traces,
    started: Instant,
) -> Tried {
    let mut undecided = None;
    let result = try_once(backends, request, &mut undecided, traces, started).await;
    if let Err(failed) = &result {
        tally().backend_failures.of(request.client.service).of(failed.counted_as()).count();
    }
    Tried { result, undecided }
}

async fn try_once(
    backends: &Backends,
    request: &LoginRequest<'_>,
    undecided: &mut Option<Transport>,
    traces: &mut Traces,
    started: Instant,
) -> Result<BackendStream, LoginFailure> {
    let begun = Instant::now();
    let limit = limit_of(backends, request);
    let deadline = tokio::time::Instant::now() + limit.unwrap_or(FOREVER);
    let source = request.target.source_ip.or_else(|| backends.sources.next(request.ip));
    let times = tally().phase_time.of(request.client.service);
    let stream = tcp(backends, request, source, started, deadline).await;
    times.of(LoginPhase::Connect).observe(begun.elapsed());
    let (stream, connected) = (stream?, Instant::now());
    let mut dialogue = dialogue_for(request, traces.capabilities.clone());
    let mut line = None;
    let times_of_attempt = (begun, deadline);
    let talked =
        converse(backends, request, stream, &mut line, dialogue.as_mut(), traces, times_of_attempt).await;
    times.of(LoginPhase::BackendLogin).observe(connected.elapsed());
    if let Some(capabilities) = dialogue.capabilities() {
        traces.capabilities = Some(capabilities.to_owned());
    }
    let (transport, success) = talked.inspect_err(|failed| {
        let has_ended = matches!(failed.cause, Cause::Disconnected { .. });
        *undecided = line.filter(|_| dialogue.may_let_in() && !failed.is_answer() && !has_ended);
    })?;
    backends.hosts.tell(request, Sight::LoggedIn);
    Ok(BackendStream { transport, success, sent: traces.sent, source })
}

/// Drives a dialogue until it is over. `times` are when the attempt began and when it must end. A connection that is
/// still open if it fails is left in `line`.
pub(super) async fn converse(
    backends: &Backends,
    request: &LoginRequest<'_>,
    stream: TcpStream,
    line: &mut Option<Transport>,
    dialogue: &mut dyn BackendDialogue,
    traces: &mut Traces,
    times: (Instant, tokio::time::Instant),
) -> Result<(Transport, BackendSuccess), LoginFailure> {
    let local = stream.local_addr().ok();
    traces.sent = 0;
    let driven = drive(backends, request, stream, line, dialogue, traces);
    let result = tokio::time::timeout_at(times.1, driven).await.unwrap_or(Err(Broken::TimedOut));
    result.map_err(|broken| broken.into_failure(dialogue.state(), times.0.elapsed(), local))
}

/// How driving the dialogue failed.
enum Broken {
    TimedOut,
    Ended(Option<io::Error>),
    Tls(HandshakeError),
    Dialogue(BackendFailure),
}

impl Broken {
    fn into_failure(self, state: String, duration: Duration, local: Option<SocketAddr>) -> LoginFailure {
        let ended = |text: String| {
            let failure = connect_failure(format!("Connection closed{text}"));
            LoginFailure { failure, cause: Cause::Disconnected { state: state.clone(), duration }, local }
        };
        match self {
            Self::TimedOut => {
                let failure = connect_failure("Login timed out".to_owned());
                LoginFailure { failure, cause: Cause::TimedOut { state }, local }
            }
            Self::Ended(error) => ended(error.map_or(String::new(), |e| format!(": {}", plain_text(&e)))),
            Self::Tls(error) => ended(format!(": {error}")),
            Self::Dialogue(failure) => LoginFailure { failure, cause: Cause::Dialogue, local },
        }
    }
}

/// Stands for "no limit" in deadline arithmetic.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// `proxy_timeout`, else `login_proxy_timeout`; `None`: no limit.
pub(super) fn limit_of(backends: &Backends, request: &LoginRequest<'_>) -> Option<Duration> {
    let limit = request.target.timeout.unwrap_or(backends.settings.timeout);
    (!limit.is_zero()).then_some(limit.min(FOREVER))
}

async fn tcp(
    backends: &Backends,
    request: &LoginRequest<'_>,
    source: Option<IpAddr>,
    started: Instant,
    deadline: tokio::time::Instant,
) -> Result<TcpStream, LoginFailure> {
    let destination = SocketAddr::new(request.ip, request.target.port);
    let after = request.target.immediate_failure_after;
    let Some(connecting) = backends.hosts.begin(destination, Instant::now(), after) else {
        let failure = connect_failure("Host is down".to_owned());
        return Err(LoginFailure { failure, cause: Cause::HostDown, local: None });
    };
    match connect::connect_until(deadline, destination, source).await {
        Ok(stream) => {
            connecting.succeeded(Instant::now());
            backends.hosts.tell(request, Sight::Connected);
            Ok(stream)
        }
        Err(error) => {
            connecting.failed(Instant::now(), started);
            backends.hosts.tell(request, Sight::Unreachable(&error));
            let failure = connect_failure(plain_text(&error));
            Err(LoginFailure { failure, cause: Cause::Connect, local: None })
        }
    }
}

pub(super) fn dialogue_for(
    request: &LoginRequest<'_>,
    known_capabilities: Option<String>,
) -> Box<dyn BackendDialogue> {
    let target = request.target;
    let login = BackendLogin {
        user: target.destuser.clone(),
        password: target.password.clone().unwrap_or_default(),
        master: target.master.clone(),
        mechanism: target.mechanism.clone(),
        starttls: matches!(target.tls, TlsUse::StartTls { .. }),
        tls: matches!(target.tls, TlsUse::Implicit { .. }),
        not_trusted: target.not_trusted,
        no_pipelining: target.no_pipelining,
        client: request.client.clone(),
        forward: target.forward.clone(),
        ask_capabilities: request.ask_capabilities,
        known_capabilities: known_capabilities.or_else(|| request.known_capabilities.clone()),
    };
    match request.client.service {
        Service::Imap => Box::new(ImapBackend::new(login)),
        Service::Pop3 => Box::new(Pop3Backend::new(login)),
        Service::Sieve => Box::new(SieveBackend::new(login)),
    }
}

async fn drive(
    backends: &Backends,
    request: &LoginRequest<'_>,
    stream: TcpStream,
    line: &mut Option<Transport>,
    dialogue: &mut dyn BackendDialogue,
    traces: &mut Traces,
) -> Result<(Transport, BackendSuccess), Broken> {
    *line = Some(match request.target.tls {
        TlsUse::Implicit { verify } => handshake(backends, request, stream, verify).await?,
        TlsUse::No | TlsUse::StartTls { .. } => Transport::Plain(stream),
    });
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let Some(mut transport) = line.as_mut() else { return Err(Broken::Ended(None)) };
        while let Some(output) = dialogue.poll_output() {
            match output {
                BackendOutput::Send(bytes) => {
                    transport.write_all(bytes.expose()).await.map_err(ended)?;
                    traces.sent += bytes.len() as u64;
                }
                BackendOutput::StartTls => {
                    let plain = line.take().and_then(Transport::into_plain);
                    let plain = plain.ok_or_else(|| Broken::Dialogue(starttls_inside_tls()))?;
                    let verify = matches!(request.target.tls, TlsUse::StartTls { verify: true });
                    transport = line.insert(handshake(backends, request, plain, verify).await?);
                    traces.sent = 0;
                    dialogue.handle(BackendInput::TlsUp);
                }
                BackendOutput::ClientLine(line) => traces.keep_client_line(line),
                BackendOutput::Warning(text) => traces.keep_warning(text),
                BackendOutput::LoggedIn(success) => {
                    let transport = line.take().ok_or(Broken::Ended(None))?;
                    return Ok((transport, success));
                }
                BackendOutput::Failed(failure) => return Err(Broken::Dialogue(failure)),
            }
        }
        transport.flush().await.map_err(ended)?;
        let count = transport.read(&mut buffer).await.map_err(ended)?;
        if count == 0 {
            return Err(Broken::Ended(None));
        }
        dialogue.handle(BackendInput::Bytes(buffer.get(..count).unwrap_or_default()));
    }
}

impl Traces {
    fn keep_client_line(&mut self, line: Bytes) {
        self.client_lines_bytes += line.len();
        if self.client_lines_bytes <= CLIENT_LINES_BYTES_MAX {
            self.client_lines.push(line);
        }
    }

    fn keep_warning(&mut self, text: String) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(text);
        }
    }
}

async fn handshake(
    backends: &Backends,
    request: &LoginRequest<'_>,
    stream: TcpStream,
    verify: bool,
) -> Result<Transport, Broken> {
    let host = request.target.host.as_deref().unwrap_or_default();
    let stream = backends.tls.connect(stream, host, verify).await.map_err(Broken::Tls)?;
    Ok(Transport::Client(Box::new(stream)))
}

fn ended(error: io::Error) -> Broken {
    Broken::Ended(Some(error))
}

fn starttls_inside_tls() -> BackendFailure {
    BackendFailure { class: FailureClass::Internal, text: "STARTTLS inside TLS".to_owned(), reply: None }
}

fn connect_failure(text: String) -> BackendFailure {
    BackendFailure { class: FailureClass::Connect, text, reply: None }
}

/// The system's words without the number that `io::Error` appends.
pub fn plain_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text.get(..at).unwrap_or_default().to_owned(),
        None => text,
    }
}
