//! Everything before forwarding: one loop that waits for the next event, passes it to the dialect's machine,
//! and does what the machine decides.

mod ending;

use std::{future::Future, io, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use homing_login::{
    AuthReply, AuthRequest, ClientIdentity, Frontend, Goodbye, Input, Note, Output, TlsFacts, limits,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant as Deadline};
use zeroize::Zeroizing;

use super::{
    Generation, Shared,
    connection::Connection,
    log::{End, LoginLog},
    login::{self, Handover, Login},
    registry::{Seat, Stop},
    set_options,
};
use crate::{
    auth::Exchange,
    backend::{Attempted, BackendStream, LoginOutcome, RETRY_PAUSE},
    director::Placement,
    observe::ProxyDestination,
    transport::Transport,
};

/// What a connection starts with.
pub(super) struct Start {
    pub(super) shared: Arc<Shared>,
    pub(super) generation: Arc<Generation>,
    pub(super) client: ClientIdentity,
    pub(super) implicit_tls: bool,
    pub(super) seat: Seat,
}

/// Serves a connection until it is logged in or over.
pub(super) async fn run(start: Start, stream: TcpStream) -> Option<Handover> {
    set_options(&stream);
    let mut log = LoginLog::new(&start.generation, &start.client);
    let deadline = Deadline::now() + limits::LOGIN_TIMEOUT;
    let (client, seat) = (start.client, start.seat);
    let mut session = Connection {
        availability: start.generation.auth().availability(),
        shared: start.shared,
        generation: start.generation,
        seat,
        deadline,
        sent: 0,
    };
    let (transport, client, facts) = if start.implicit_tls {
        match session.implicit_tls(stream, client, &mut log).await {
            Some((transport, client, facts)) => (transport, client, Some(facts)),
            None => return None,
        }
    } else {
        (Transport::Plain(stream), client, None)
    };
    let mechanisms = session.availability.borrow_and_update().clone();
    if mechanisms.is_some() {
        log.auth_ready();
    }
    let frontend = session.generation.frontends.build(client, Instant::now(), facts.clone(), mechanisms);
    let dialogue = Dialogue {
        session,
        frontend,
        transport: Some(transport),
        tls: facts,
        pending: Pending::Nothing,
        login: None,
        mechanism: String::new(),
        capabilities: None,
        log,
    };
    dialogue.run().await
}

/// Answers in a row that are written with one call, in bytes.
const GATHERED_BYTES_MAX: usize = 4096;

/// A connection with its machine.
struct Dialogue {
    session: Connection,
    frontend: Box<dyn Frontend>,
    /// Absent only while a STARTTLS handshake owns the socket.
    transport: Option<Transport>,
    tls: Option<TlsFacts>,
    pending: Pending,
    login: Option<Login>,
    /// Mechanism of the attempt under way.
    mechanism: String,
    /// The backend's capabilities, remembered over logins of this connection.
    capabilities: Option<String>,
    log: LoginLog,
}

/// What is being waited for besides the client.
enum Pending {
    Nothing,
    Auth(Exchange),
    Placing(Pin<Box<dyn Future<Output = Result<Placement, crate::director::PlaceError>> + Send>>),
    Backend(login::Attempt),
    /// Until the next attempt.
    Pause(Pin<Box<tokio::time::Sleep>>),
}

enum Event {
    Read(io::Result<usize>),
    Reply(AuthReply),
    Availability,
    Placed(Result<Placement, crate::director::PlaceError>),
    Attempted(Attempted),
    Rested,
    Tick,
    Stop(Stop),
    Kicked,
}

/// What follows from performing the machine's decisions.
enum Next {
    Wait,
    Handoff(Bytes),
    End(End),
}

impl Dialogue {
    async fn run(mut self) -> Option<Handover> {
        let mut buffer = Zeroizing::new(Vec::new());
        loop {
            match self.perform().await {
                Next::Wait => {}
                Next::Handoff(unread) => return self.hand_over(unread),
                Next::End(end) => return self.finish(end).await,
            }
            let event = self.next_event(&mut buffer).await;
            if let Some(end) = self.apply(event, &buffer) {
                return self.finish(end).await;
            }
        }
    }

    async fn next_event(&mut self, buffer: &mut Vec<u8>) -> Event {
        let room = self.frontend.room();
        // A client that owes the answer to a challenge is not waited for like that.
        self.session.seat.set_logging_in(room == 0 && !matches!(self.pending, Pending::Nothing));
        buffer.resize(room, 0);
        let timeout = self.frontend.poll_timeout().map(Deadline::from_std);
        let kicked = self.login.as_ref().and_then(Login::kicked);
        tokio::select! {
            // A client that tries again after a lost request must find out first that the service is gone.
            biased;
            stop = self.session.seat.stopped() => Event::Stop(stop),
            () = optionally(kicked.as_ref().map(|token| token.cancelled())) => Event::Kicked,
            Ok(()) = self.session.availability.changed() => Event::Availability,
            // What is due is said before an answer that comes at the same time, as that of a director after its wait.
            () = optionally(timeout.map(tokio::time::sleep_until)) => Event::Tick,
            event = pending_event(&mut self.pending) => event,
            read = read(self.transport.as_mut(), buffer) => Event::Read(read),
        }
    }

    fn apply(&mut self, event: Event, buffer: &[u8]) -> Option<End> {
        let now = Instant::now();
        match event {
            Event::Read(Ok(0)) => self.frontend.handle(now, Input::Eof),
            Event::Read(Ok(count)) => {
                self.frontend.handle(now, Input::Bytes(buffer.get(..count).unwrap_or_default()));
            }
            Event::Read(Err(error)) => return Some(End::Broken(error)),
            Event::Reply(reply) => self.auth_replied(now, reply),
            Event::Availability => {
                let mechanisms = self.session.availability.borrow_and_update().clone();
                if mechanisms.is_some() {
                    self.log.auth_ready();
                }
                self.frontend.handle(now, mechanisms.map_or(Input::AuthDown, Input::AuthUp));
            }
            Event::Placed(placed) => self.placed(now, placed),
            Event::Attempted(Attempted::Done(outcome)) => self.backend_done(now, *outcome),
            Event::Attempted(Attempted::Again(tries, undecided)) => {
                self.pending = Pending::Pause(Box::pin(tokio::time::sleep(RETRY_PAUSE)));
                let limit = self.leaving_limit();
                if let Some(login) = &mut self.login {
                    login.try_again(tries, undecided, limit);
                }
            }
            Event::Rested => self.find_backend(now),
            Event::Tick => {
                self.log.still_waiting();
                self.frontend.handle(now, Input::Tick);
            }
            Event::Stop(Stop::Shutdown) => self.frontend.handle(now, Input::Goodbye(Goodbye::Shutdown)),
            Event::Stop(Stop::QueueFull) => self.frontend.handle(now, Input::Goodbye(Goodbye::QueueFull)),
            Event::Stop(Stop::Kicked) => return Some(End::KickedByAdmin),
            Event::Kicked => {
                if !self.login.as_ref().is_some_and(Login::follows_move) {
                    return Some(End::Kicked);
                }
                let (attempt, limit) = (self.take_attempt(), self.leaving_limit());
                if let Some(login) = &mut self.login {
                    login.follow_move(attempt, limit);
                }
                self.find_backend(now);
            }
        }
        if self.login.is_none() {
            self.session.seat.set_login(None);
        }
        None
    }

    /// Does what the machine decides until it has nothing left. What is said in a row is written at once, so that
    /// a client that sends many commands together costs one system call, not one for each.
    async fn perform(&mut self) -> Next {
        let mut said = Vec::new();
        while let Some(output) = self.frontend.poll_output() {
            let goes_on = matches!(output, Output::Send(_) | Output::Note(_));
            if (!goes_on || said.len() >= GATHERED_BYTES_MAX)
                && let Err(end) = self.send(&std::mem::take(&mut said)).await
            {
                return Next::End(end);
            }
            match output {
                Output::Send(bytes) => {
                    said.extend_from_slice(&bytes);
                }
                Output::StartTls => {
                    if let Err(end) = self.start_tls().await {
                        return Next::End(end);
                    }
                }
                Output::Authenticate(start) => {
                    self.mechanism.clone_from(&start.mechanism);
                    self.log.attempt(&start.mechanism);
                    let request = AuthRequest {
                        mechanism: start.mechanism,
                        initial_response: start.initial_response,
                        client: self.frontend.client().clone(),
                        tls: self.tls.clone(),
                    };
                    self.pending = Pending::Auth(self.session.generation.auth().begin(request));
                }
                Output::Respond(response) => {
                    self.log.answered();
                    if let Pending::Auth(exchange) = &mut self.pending {
                        exchange.respond(response);
                    }
                }
                // Dropping the exchange cancels it.
                Output::CancelAuth => self.pending = Pending::Nothing,
                Output::Note(note) => self.note(&note),
                Output::Handoff { unread } => return Next::Handoff(unread),
                Output::Close(reason) => return Next::End(End::Closed(reason)),
            }
        }
        match self.send(&said).await {
            Ok(()) => Next::Wait,
            Err(end) => Next::End(end),
        }
    }

    fn note(&mut self, note: &Note) {
        self.log.note(self.frontend.client(), note);
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        match self.transport.as_mut() {
            Some(transport) if !bytes.is_empty() => self.session.write(transport, bytes).await,
            _ => Ok(()),
        }
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let plain = self.transport.take().and_then(Transport::into_plain);
        let Some(stream) = plain else { return Err(End::Handshake("TLS is already active".to_owned())) };
        self.log.handshaking();
        let client = self.frontend.client().clone();
        let (transport, facts) = self.session.handshake(stream, &client).await.map_err(End::Handshake)?;
        self.log.tls_up(&facts);
        self.transport = Some(transport);
        self.tls = Some(facts.clone());
        self.frontend.handle(Instant::now(), Input::TlsUp(facts));
        Ok(())
    }

    fn auth_replied(&mut self, now: Instant, reply: AuthReply) {
        match reply {
            AuthReply::Challenge(data) => {
                self.log.challenged();
                self.frontend.handle(now, Input::Challenge(&data));
            }
            AuthReply::Ok(reply) => self.accepted(now, &reply),
            AuthReply::Fail(reply) => {
                self.pending = Pending::Nothing;
                self.log.auth_failed(self.frontend.client(), &reply.fields);
                let refusal = homing_login::refusal_of(&reply, &self.stamp());
                self.frontend.handle(now, Input::Refused(refusal));
            }
            AuthReply::Lost => {
                self.pending = Pending::Nothing;
                self.log.auth_lost();
                self.refuse_temporarily(now);
            }
        }
    }

    fn accepted(&mut self, now: Instant, reply: &homing_login::OkReply) {
        self.pending = Pending::Nothing;
        self.log.authenticated(&reply.fields);
        match login::decide(self.frontend.client(), &self.mechanism, reply) {
            Ok(login) => {
                self.log.reply_invalid(&login.target().warnings);
                self.begin_login(now, login);
            }
            Err(refused) => {
                self.log.login_refused(self.frontend.client(), &refused);
                self.frontend.handle(now, Input::Refused(refused.refusal));
            }
        }
    }

    /// The user's backend: named by the auth service, or asked from the director.
    fn begin_login(&mut self, now: Instant, login: Login) {
        self.session.seat.set_login(Some(login.for_registry(None)));
        self.login = Some(login);
        self.find_backend(now);
    }

    /// Before each attempt.
    fn find_backend(&mut self, now: Instant) {
        self.pending = Pending::Nothing;
        match &self.login {
            Some(login) if !login.has_host() => {
                self.log.asking_director();
                self.pending = Pending::Placing(login.place(&self.session.shared.director));
            }
            _ => self.begin_backend(now),
        }
    }

    fn placed(&mut self, now: Instant, placed: Result<Placement, crate::director::PlaceError>) {
        self.pending = Pending::Nothing;
        match placed {
            Ok(placement) => {
                self.log.placed(&placement);
                if let Some(login) = &mut self.login {
                    login.set_placement(placement);
                }
                self.begin_backend(now);
            }
            Err(error) => {
                let login = self.login.take();
                self.log.not_placed(self.frontend.client(), login.as_ref(), &error);
                match login::refusal_of_place_error(&error) {
                    Some(refusal) => self.frontend.handle(now, Input::Refused(refusal)),
                    None => self.refuse_temporarily(now),
                }
            }
        }
    }

    fn begin_backend(&mut self, now: Instant) {
        let Some(login) = &mut self.login else { return };
        if login.is_first_try() {
            self.frontend.handle(now, Input::AuthDone);
        }
        let client = self.frontend.client();
        match login.check(client) {
            Ok(ip) => {
                self.session.seat.set_login(Some(login.for_registry(Some(ip))));
                self.log.at_backend();
                let ignores = self.frontend.ignores_greeting_capabilities();
                let backends = self.session.generation.backends.clone();
                let capabilities = self.capabilities.clone();
                self.pending =
                    Pending::Backend(login.at_backend(backends, ip, client.clone(), ignores, capabilities));
            }
            Err(refused) => {
                self.log.login_refused(client, &refused);
                self.login = None;
                self.frontend.handle(now, Input::Refused(refused.refusal));
            }
        }
    }

    fn backend_done(&mut self, now: Instant, mut outcome: LoginOutcome) {
        self.pending = Pending::Nothing;
        self.capabilities = outcome.capabilities.take();
        for line in &outcome.client_lines {
            self.frontend.handle(now, Input::BackendLine(line));
        }
        let Some(login) = &mut self.login else { return };
        self.log.backend_warned(self.frontend.client(), &login.destination(), &outcome.warnings);
        match outcome.result {
            Ok(stream) => {
                let BackendStream { transport, success, sent, source } = stream;
                let to = ProxyDestination { source, ..login.destination() };
                let (client, placement) = (self.frontend.client(), login.placement());
                self.log.started(client, &to, outcome.took, outcome.reconnects, placement);
                login.logged_in(transport, success.unread.clone(), sent);
                // Before the client is told: from then on it counts on its place.
                self.session.seat.logged_in();
                self.frontend.handle(now, Input::LoggedIn(success));
            }
            Err(failed) => {
                let (to, client) = (login.destination(), self.frontend.client());
                self.log.backend_failed(client, &to, &failed, outcome.took, outcome.reconnects);
                let limit = self.leaving_limit();
                if let Some(login) = self.login.take() {
                    login.fail(outcome.undecided, limit);
                }
                let refusal = login::refusal_of_failure(failed.failure);
                self.frontend.handle(now, Input::Refused(refusal));
            }
        }
    }

    fn refuse_temporarily(&mut self, now: Instant) {
        let refusal = login::temporary(self.stamp());
        self.frontend.handle(now, Input::Refused(refusal));
    }

    fn stamp(&self) -> String {
        login::stamp(&self.session.generation.settings.process.hostname)
    }
}

async fn pending_event(pending: &mut Pending) -> Event {
    match pending {
        Pending::Nothing => std::future::pending().await,
        Pending::Auth(exchange) => Event::Reply(exchange.reply().await),
        Pending::Placing(placing) => Event::Placed(placing.await),
        Pending::Backend(login) => Event::Attempted(login.await),
        Pending::Pause(rest) => {
            rest.await;
            Event::Rested
        }
    }
}

/// Without room what the client pipelines stays where it is, but a connection that is broken is noticed.
async fn read(transport: Option<&mut Transport>, buffer: &mut [u8]) -> io::Result<usize> {
    match transport {
        Some(transport) if buffer.is_empty() => Err(transport.broken().await),
        Some(transport) => transport.read(buffer).await,
        None => Ok(0),
    }
}

/// Waits for the future if there is one, else for ever.
async fn optionally<F: Future>(future: Option<F>) {
    match future {
        Some(future) => {
            future.await;
        }
        None => std::future::pending().await,
    }
}
