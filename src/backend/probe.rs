//! Asks a backend how it is: the same connection, TLS and dialogue as a login, broken off at the wanted depth. It
//! neither waits for nor adds to what logins know of the backend.

use std::{io, net::SocketAddr, time::Instant};

use homing_login::{BackendDialogue, BackendInput, BackendOutput, BackendSuccess, Service};
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::{
    Backends, LoginRequest,
    attempt::{Cause, FOREVER, LoginFailure, Traces, converse, dialogue_for, limit_of},
    connect, plain_text,
};

/// How far a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// A connection.
    Connect,
    /// The protocol's greeting, inside TLS where logins use it from the start.
    Greeting,
    /// A user is let in.
    Login,
}

/// Why a probe failed; the words are for the log.
#[derive(Debug, Error)]
pub enum ProbeFailure {
    /// No connection.
    #[error("{}", plain_text(.0))]
    Connect(io::Error),
    /// Behind it.
    #[error("{}", words(.0))]
    Dialogue(Box<LoginFailure>),
}

fn words(failure: &LoginFailure) -> String {
    let text = homing_wire::printable(failure.failure.text.as_bytes());
    match &failure.cause {
        Cause::TimedOut { state } | Cause::Disconnected { state, .. } => {
            format!("{text} (state={})", homing_wire::printable(state.as_bytes()))
        }
        _ => text,
    }
}

pub(super) async fn probe(
    backends: &Backends,
    mut request: LoginRequest<'_>,
    depth: Depth,
) -> Result<(), ProbeFailure> {
    let begun = Instant::now();
    let deadline = tokio::time::Instant::now() + limit_of(backends, &request).unwrap_or(FOREVER);
    let destination = SocketAddr::new(request.ip, request.target.port);
    let source = request.target.source_ip.or_else(|| backends.sources.next(request.ip));
    let stream =
        connect::connect_until(deadline, destination, source).await.map_err(ProbeFailure::Connect)?;
    if depth == Depth::Connect {
        return Ok(());
    }
    // Backends that are told of clients are told of us.
    request.client.remote = stream.local_addr().unwrap_or(request.client.remote);
    request.client.local = destination;
    let dialogue = dialogue_for(&request, None);
    let mut dialogue: Box<dyn BackendDialogue> = match depth {
        Depth::Login => dialogue,
        Depth::Connect | Depth::Greeting => Box::new(UntilGreeting(dialogue)),
    };
    let times = (begun, deadline);
    let (mut traces, mut line) = (Traces::default(), None);
    let talked = converse(backends, &request, stream, &mut line, dialogue.as_mut(), &mut traces, times).await;
    let (mut transport, _) = talked.map_err(|failure| ProbeFailure::Dialogue(Box::new(failure)))?;
    // The answer is known; a backend that is slow to say goodbye is not waited for.
    let _ = transport.write_all(farewell(request.client.service)).await;
    let _ = transport.flush().await;
    Ok(())
}

/// A greeting was understood when the dialogue would go on.
struct UntilGreeting(Box<dyn BackendDialogue>);

impl BackendDialogue for UntilGreeting {
    fn handle(&mut self, input: BackendInput<'_>) {
        self.0.handle(input);
    }

    fn poll_output(&mut self) -> Option<BackendOutput> {
        match self.0.poll_output()? {
            BackendOutput::Send(_) | BackendOutput::StartTls => {
                Some(BackendOutput::LoggedIn(BackendSuccess {
                    reply: Vec::new(),
                    capabilities: None,
                    unread: bytes::Bytes::new(),
                }))
            }
            other => Some(other),
        }
    }

    fn state(&self) -> String {
        self.0.state()
    }

    fn may_let_in(&self) -> bool {
        self.0.may_let_in()
    }
}

fn farewell(service: Service) -> &'static [u8] {
    match service {
        Service::Imap => b"Q LOGOUT\r\n",
        Service::Pop3 => b"QUIT\r\n",
        Service::Sieve => b"LOGOUT\r\n",
    }
}
