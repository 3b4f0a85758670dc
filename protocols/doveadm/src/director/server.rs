//! The director's side of one admin connection.
//!
//! Requests are given out one at a time, the next when the one before was answered: later lines wait in the bounded
//! buffer, so none is lost (W21) and answers keep the order.

use thiserror::Error;

use super::{AnswerShape, PROTOCOL, Reply, Request, RequestError, Row};
use crate::{
    lines::{ADMIN_LINE_BYTES_MAX, LineTooLong, Lines, OUTPUT_BYTES_MAX},
    version,
};

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Answer this, with [`Server::answer`] or [`Server::push_rows`] as its [`Request::answer_shape`] says.
    Request(Request),
    /// Send what is left, then close the connection. Nothing follows.
    Close(ServerError),
}

/// Why the connection must be closed, in words for the log. The reference closes without a reply, too.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerError {
    /// The first line names another protocol or major version.
    #[error("doveadm not compatible with this server (mixed old and new binaries?)")]
    Incompatible,
    /// Not a request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Over [`ADMIN_LINE_BYTES_MAX`].
    #[error("doveadm sent a {0}")]
    LineTooLong(#[from] LineTooLong),
    /// A fault of ours: the answer has another shape than the request wants.
    #[error("no answer to {0}")]
    WrongAnswer(&'static str),
}

/// One connection.
///
/// `received`, `answer`, `push_rows` and `end_rows` go in; `poll_transmit` and `poll_event` are drained afterwards. A
/// driver sends what [`Server::poll_transmit`] gives before it asks for the next event: while
/// [`OUTPUT_BYTES_MAX`] bytes wait there is none, so a peer that does not read cannot make anything grow.
#[derive(Debug)]
pub struct Server {
    input: Lines,
    output: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Opening,
    Idle,
    Asked(AnswerShape),
    Failed(ServerError),
    Closed,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            input: Lines::new(ADMIN_LINE_BYTES_MAX),
            output: version::line(PROTOCOL),
            state: State::Opening,
        }
    }
}

impl Server {
    /// How many bytes [`Server::received`] takes now; 0 while a full buffer waits for answers, and then
    /// nothing must be read.
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// Bytes from the peer, at most [`Server::room`].
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// What happened next. `None`: more input is needed, or an answer, or [`Server::poll_transmit`].
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        let event = match &self.state {
            State::Opening | State::Idle if self.output.len() < OUTPUT_BYTES_MAX => self.step(),
            State::Failed(error) => Err(error.clone()),
            _ => return None,
        };
        event.unwrap_or_else(|error| {
            self.state = State::Closed;
            Some(ServerEvent::Close(error))
        })
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Answers the open request with one line.
    pub fn answer(&mut self, reply: &Reply) {
        match self.state {
            State::Asked(shape) if reply.fits(shape) => {
                self.output.extend_from_slice(&reply.to_line());
                self.output.push(b'\n');
                self.state = State::Idle;
            }
            _ => self.fail("a line"),
        }
    }

    /// Answers the open request with rows, until they or the output are full. True if `rows` is at its end; more may
    /// follow from elsewhere before [`Server::end_rows`]. On false, send and come back with the same iterator.
    pub fn push_rows(&mut self, rows: &mut impl Iterator<Item = Row>) -> bool {
        let State::Asked(AnswerShape::Table(kind)) = self.state else {
            self.fail("rows");
            return true;
        };
        while self.output.len() < OUTPUT_BYTES_MAX {
            let Some(row) = rows.next() else { return true };
            let start = self.output.len();
            row.write_to(&mut self.output);
            // An empty line would end the table.
            if row.kind() != kind || self.output.len() == start {
                self.output.truncate(start);
                self.fail("rows");
                return true;
            }
            self.output.push(b'\n');
        }
        false
    }

    /// Ends the rows of the open request.
    pub fn end_rows(&mut self) {
        match self.state {
            State::Asked(AnswerShape::Table(_)) => {
                self.output.push(b'\n');
                self.state = State::Idle;
            }
            _ => self.fail("the end of rows"),
        }
    }

    /// True if a request waits for its answer.
    pub fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    fn fail(&mut self, what: &'static str) {
        if !matches!(self.state, State::Failed(_) | State::Closed) {
            self.state = State::Failed(ServerError::WrongAnswer(what));
        }
    }

    fn step(&mut self) -> Result<Option<ServerEvent>, ServerError> {
        let Some(mut line) = self.input.next()? else { return Ok(None) };
        if matches!(self.state, State::Opening) {
            if !version::is_compatible(&line, PROTOCOL) {
                return Err(ServerError::Incompatible);
            }
            self.state = State::Idle;
            let Some(next) = self.input.next()? else { return Ok(None) };
            line = next;
        }
        let request = Request::parse(&line)?;
        self.state = State::Asked(request.answer_shape());
        Ok(Some(ServerEvent::Request(request)))
    }
}
