//! The asking side of one admin connection, for Homing's own command line. It works with Dovecot's director, too.

use std::collections::VecDeque;

use homing_wire::printable;
use thiserror::Error;

use super::{AnswerShape, PROTOCOL, Reply, Request, Row, UserPlace};
use crate::{
    lines::{ADMIN_LINE_BYTES_MAX, ANSWER_LINE_BYTES_MAX, LineTooLong, Lines, OUTPUT_BYTES_MAX},
    version,
};

/// Requests without a complete answer. Beyond that the caller has to wait for answers; a Dovecot director may lose
/// pipelined requests after one that it answers late (W21), so one at a time is best there.
pub const REQUESTS_OPEN_MAX: usize = 256;

/// What has arrived. Everything is about the oldest open request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The whole answer.
    Reply(Reply),
    /// One row of the answer.
    Row(Row),
    /// The rows were all.
    RowsEnd,
    /// Close the connection. Open requests stay unanswered. Nothing follows.
    Close(ClientError),
}

/// Why the conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The first line names another protocol or major version.
    #[error("not a compatible director-doveadm socket")]
    Incompatible,
    /// A row or a place that cannot be read.
    #[error("invalid reply from director: {0}")]
    BadReply(String),
    /// A line nobody asked for.
    #[error("unexpected line from director: {0}")]
    Unasked(String),
    /// Over [`ANSWER_LINE_BYTES_MAX`].
    #[error("director sent a {0}")]
    LineTooLong(#[from] LineTooLong),
}

/// Why a request is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestRefused {
    /// [`REQUESTS_OPEN_MAX`] requests are open.
    #[error("too many requests wait for the director")]
    TooMany,
    /// The line would be over [`ADMIN_LINE_BYTES_MAX`].
    #[error("the request is too long")]
    TooLong,
}

/// One connection.
///
/// `ask` and `received` go in; `poll_transmit` and `poll_event` are drained afterwards.
#[derive(Debug)]
pub struct Client {
    input: Lines,
    output: Vec<u8>,
    state: State,
    open: VecDeque<AnswerShape>,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Opening,
    Ready,
    Closed,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            input: Lines::new(ANSWER_LINE_BYTES_MAX),
            output: version::line(PROTOCOL),
            state: State::Opening,
            open: VecDeque::new(),
        }
    }
}

impl Client {
    /// Sends a request. Also before the other side has said anything.
    pub fn ask(&mut self, request: &Request) -> Result<(), RequestRefused> {
        if self.open.len() >= REQUESTS_OPEN_MAX || self.output.len() >= OUTPUT_BYTES_MAX {
            return Err(RequestRefused::TooMany);
        }
        let line = request.to_line();
        if line.len() >= ADMIN_LINE_BYTES_MAX {
            return Err(RequestRefused::TooLong);
        }
        self.output.extend_from_slice(&line);
        self.output.push(b'\n');
        self.open.push_back(request.answer_shape());
        Ok(())
    }

    /// How many bytes [`Client::received`] takes now.
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// Bytes from the director, at most [`Client::room`].
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// What has arrived next. `None`: more input is needed.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        if self.state == State::Closed {
            return None;
        }
        self.step().unwrap_or_else(|error| {
            self.state = State::Closed;
            Some(ClientEvent::Close(error))
        })
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Requests without a complete answer.
    pub fn open_requests(&self) -> usize {
        self.open.len()
    }

    fn step(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        let Some(mut line) = self.input.next()? else { return Ok(None) };
        if self.state == State::Opening {
            if !version::is_compatible(&line, PROTOCOL) {
                return Err(ClientError::Incompatible);
            }
            self.state = State::Ready;
            let Some(next) = self.input.next()? else { return Ok(None) };
            line = next;
        }
        self.take(&line).map(Some)
    }

    fn take(&mut self, line: &[u8]) -> Result<ClientEvent, ClientError> {
        let bad = || ClientError::BadReply(printable(line));
        let shape = self.open.front().ok_or_else(|| ClientError::Unasked(printable(line)))?;
        let event = match shape {
            AnswerShape::Line => ClientEvent::Reply(Reply::parse(line)),
            AnswerShape::Place => ClientEvent::Reply(Reply::Place(UserPlace::parse(line).ok_or_else(bad)?)),
            AnswerShape::Table(_) if line.is_empty() => ClientEvent::RowsEnd,
            AnswerShape::Table(kind) => return Row::parse(*kind, line).map(ClientEvent::Row).ok_or_else(bad),
        };
        self.open.pop_front();
        Ok(event)
    }
}
