//! The multiplexer: many requests over one connection, told apart by ids. It outlives the connection, since ids
//! go on counting after a reconnect.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use homing_login::{AuthReply, AuthRequest, Mechanism, limits::AUTH_LINE_BYTES_MAX};
use homing_wire::{InputBuffer, Secret, is_base64};

use crate::{
    BeginError, ConnectionId, ProtocolError, RequestId,
    opening::Opening,
    reply,
    request::{self, auth},
};

/// Requests open at one time on one connection. More means that the service hangs; Dovecot's own auth process
/// serves some thousand clients.
pub const REQUESTS_OPEN_MAX: usize = 8192;

/// Bytes waiting to be sent, beyond which no new request is taken: the service does not read.
pub const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Mechanisms one service may offer. Dovecot knows about 20.
pub const MECHANISMS_MAX: usize = 64;

/// What the driver has to know.
#[derive(Debug)]
pub enum Event {
    /// The opening is complete: requests may be sent, with these mechanisms.
    Ready(Arc<[Mechanism]>),
    /// The service says something about an open request. Anything but a challenge ends the request.
    Reply(RequestId, AuthReply),
    /// A reply with this id, which was never given out: worth a line in the log.
    UnknownId(u32),
    /// Close the connection. Open requests are [`AuthReply::Lost`] in the events before.
    Close(ProtocolError),
}

/// The client's side of the conversation.
///
/// `connected`, `received`, `disconnected`, `begin`, `respond` and `cancel` go in; `poll_transmit` and `poll_event`
/// are drained afterwards.
#[derive(Debug)]
pub struct AuthClient {
    state: State,
    input: InputBuffer,
    next: RequestId,
    /// All ids have been given out once.
    wrapped: bool,
    /// Open requests, and whose turn it is.
    open: BTreeMap<RequestId, Turn>,
    transmits: VecDeque<Secret>,
    queued: usize,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum State {
    Down,
    Opening(Opening),
    Ready(Arc<[Mechanism]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Service,
    Client,
}

impl Default for AuthClient {
    fn default() -> Self {
        Self::starting_with(RequestId::FIRST)
    }
}

impl AuthClient {
    fn starting_with(next: RequestId) -> Self {
        Self {
            state: State::Down,
            input: InputBuffer::new(AUTH_LINE_BYTES_MAX),
            next,
            wrapped: false,
            open: BTreeMap::new(),
            transmits: VecDeque::new(),
            queued: 0,
            events: VecDeque::new(),
        }
    }

    /// A connection is there; the opening lines are queued.
    pub fn connected(&mut self, id: ConnectionId) {
        self.disconnected();
        self.state = State::Opening(Opening::default());
        self.queue(request::opening(id));
    }

    /// The connection is gone, or is about to be closed: open requests are lost.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
        drop(self.input.take());
        self.transmits.clear();
        self.queued = 0;
        while let Some((id, _)) = self.open.pop_first() {
            self.events.push_back(Event::Reply(id, AuthReply::Lost));
        }
    }

    /// How many bytes [`AuthClient::received`] takes now.
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// Bytes from the service, at most [`AuthClient::room`].
    pub fn received(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Down) {
            return;
        }
        let step = self.input.extend(bytes).map_err(|_| ProtocolError::LineTooLong);
        if let Err(error) = step.and_then(|()| self.take_lines()) {
            self.disconnected();
            self.events.push_back(Event::Close(error));
        }
    }

    /// Starts a request. The id is free again once the request has ended.
    pub fn begin(&mut self, request: &AuthRequest) -> Result<RequestId, BeginError> {
        let State::Ready(mechanisms) = &self.state else { return Err(BeginError::NotReady) };
        let known = |name: &str| mechanisms.iter().any(|m| m.name.eq_ignore_ascii_case(name));
        if !known(&request.mechanism) {
            return Err(BeginError::UnknownMechanism);
        }
        if self.open.len() >= REQUESTS_OPEN_MAX || self.queued >= QUEUED_BYTES_MAX {
            return Err(BeginError::Busy);
        }
        let id = self.free_id();
        let line = auth(id, request);
        if line.len() > AUTH_LINE_BYTES_MAX {
            return Err(BeginError::TooLong);
        }
        self.wrapped |= id.next() == RequestId::FIRST;
        self.next = id.next();
        self.open.insert(id, Turn::Service);
        self.queue(line);
        Ok(id)
    }

    /// Answers a challenge: base64 as the client sent it. Anything else ends the request, since the line is not
    /// escaped (spec/auth-protocol.md 10.6). Ignored if nothing was asked.
    pub fn respond(&mut self, id: RequestId, response: &Secret) {
        let Some(turn) = self.open.get_mut(&id).filter(|turn| **turn == Turn::Client) else { return };
        *turn = Turn::Service;
        let line = request::cont(id, response);
        if !is_base64(response.expose()) || line.len() > AUTH_LINE_BYTES_MAX {
            self.end(id, reply::invalid_base64());
        } else if self.queued >= QUEUED_BYTES_MAX {
            self.end(id, AuthReply::Lost);
        } else {
            self.queue(line);
        }
    }

    /// Forgets a request; a late reply to it is ignored.
    pub fn cancel(&mut self, id: RequestId) {
        if self.open.remove(&id).is_some() {
            self.queue(request::cancel(id));
        }
    }

    /// Bytes to send, in order. They may hold passwords.
    pub fn poll_transmit(&mut self) -> Option<Secret> {
        let bytes = self.transmits.pop_front()?;
        self.queued = self.queued.saturating_sub(bytes.len());
        Some(bytes)
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The mechanisms, once the opening is complete.
    pub fn mechanisms(&self) -> Option<&Arc<[Mechanism]>> {
        match &self.state {
            State::Ready(mechanisms) => Some(mechanisms),
            _ => None,
        }
    }

    /// Number of open requests.
    pub fn open_requests(&self) -> usize {
        self.open.len()
    }

    fn end(&mut self, id: RequestId, reply: AuthReply) {
        self.cancel(id);
        self.events.push_back(Event::Reply(id, reply));
    }

    fn queue(&mut self, line: Secret) {
        self.queued += line.len();
        self.transmits.push_back(line);
    }

    /// Ids rise, and those still open are skipped; there are far more ids than open requests.
    fn free_id(&self) -> RequestId {
        let mut id = self.next;
        while self.open.contains_key(&id) {
            id = id.next();
        }
        id
    }

    fn take_lines(&mut self) -> Result<(), ProtocolError> {
        while let Some(end) = self.input.as_slice().iter().position(|b| *b == b'\n') {
            let line = self.input.as_slice().get(..end).unwrap_or_default();
            match &mut self.state {
                State::Opening(opening) => {
                    if let Some(mechanisms) = opening.take(line)? {
                        self.state = State::Ready(Arc::clone(&mechanisms));
                        self.events.push_back(Event::Ready(mechanisms));
                    }
                }
                _ => {
                    let (id, reply) = reply::parse(line)?;
                    self.take_reply(id, reply)?;
                }
            }
            self.input.consume(end + 1);
        }
        if self.input.is_full() { Err(ProtocolError::LineTooLong) } else { Ok(()) }
    }

    fn take_reply(&mut self, number: u32, reply: AuthReply) -> Result<(), ProtocolError> {
        let id = RequestId::new(number).filter(|id| self.wrapped || *id < self.next);
        let Some(id) = id else {
            self.events.push_back(Event::UnknownId(number));
            return Ok(());
        };
        // Ended or cancelled before: the service could not know.
        let Some(turn) = self.open.get_mut(&id) else { return Ok(()) };
        match &reply {
            AuthReply::Challenge(_) if *turn == Turn::Client => return Err(ProtocolError::UnexpectedCont),
            AuthReply::Ok(_) if *turn == Turn::Client => return Err(ProtocolError::UnexpectedOk),
            AuthReply::Challenge(_) => *turn = Turn::Client,
            _ if reply::awaits_local_login(&reply) => self.cancel(id),
            _ => drop(self.open.remove(&id)),
        }
        self.events.push_back(Event::Reply(id, reply));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
