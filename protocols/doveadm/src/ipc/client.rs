//! The asking side, for Homing's own command line. It works with Dovecot's ipc service, too.

use std::collections::VecDeque;

use homing_wire::printable;
use thiserror::Error;

use super::{
    Answer, Command, GROUP, SessionRow,
    sessions::{ListLine, ListReader},
};
use crate::lines::{ANSWER_LINE_BYTES_MAX, IPC_LINE_BYTES_MAX, LineTooLong, Lines, OUTPUT_BYTES_MAX};

/// What has arrived. Everything is about the oldest open command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The following rows have these `user_*` fields. May come again (W25).
    Header(Vec<Vec<u8>>),
    /// A session.
    Session(SessionRow),
    /// The end of the answer.
    Answer(Answer),
    /// Close the connection. Open commands stay unanswered. Nothing follows.
    Close(ClientError),
}

/// Why the conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// A line that cannot be read, or that nobody asked for.
    #[error("invalid reply from the ipc service: {0}")]
    BadReply(String),
    /// Over [`ANSWER_LINE_BYTES_MAX`].
    #[error("the ipc service sent a {0}")]
    LineTooLong(#[from] LineTooLong),
}

/// Why a command is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandRefused {
    /// [`crate::director::REQUESTS_OPEN_MAX`] commands are open.
    #[error("too many commands wait for the ipc service")]
    TooMany,
    /// The line would be over [`IPC_LINE_BYTES_MAX`].
    #[error("the command is too long")]
    TooLong,
}

/// One connection. Every command is for all login processes.
///
/// `ask` and `received` go in; `poll_transmit` and `poll_event` are drained afterwards.
#[derive(Debug)]
pub struct Client {
    input: Lines,
    output: Vec<u8>,
    open: VecDeque<ListReader>,
    closed: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            input: Lines::new(ANSWER_LINE_BYTES_MAX),
            output: Vec::new(),
            open: VecDeque::new(),
            closed: false,
        }
    }
}

impl Client {
    /// Sends a command.
    pub fn ask(&mut self, command: &Command) -> Result<(), CommandRefused> {
        let many = self.open.len() >= crate::director::REQUESTS_OPEN_MAX;
        if many || self.output.len() >= OUTPUT_BYTES_MAX {
            return Err(CommandRefused::TooMany);
        }
        let mut line = format!("{GROUP}\t*\t").into_bytes();
        line.extend_from_slice(&command.to_line());
        line.push(b'\n');
        if line.len() > IPC_LINE_BYTES_MAX {
            return Err(CommandRefused::TooLong);
        }
        self.output.append(&mut line);
        self.open.push_back(ListReader::default());
        Ok(())
    }

    /// How many bytes [`Client::received`] takes now.
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// Bytes from the service, at most [`Client::room`].
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// What has arrived next. `None`: more input is needed.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        if self.closed {
            return None;
        }
        let event = match self.input.next() {
            Ok(None) => return None,
            Ok(Some(line)) => self.take(&line).ok_or_else(|| ClientError::BadReply(printable(&line))),
            Err(error) => Err(error.into()),
        };
        Some(event.unwrap_or_else(|error| {
            self.closed = true;
            ClientEvent::Close(error)
        }))
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Commands without a complete answer.
    pub fn open_commands(&self) -> usize {
        self.open.len()
    }

    fn take(&mut self, line: &[u8]) -> Option<ClientEvent> {
        let list = self.open.front_mut()?;
        if let Some(data) = line.strip_prefix(b":") {
            return Some(match list.take(data)? {
                ListLine::Header(names) => ClientEvent::Header(names),
                ListLine::Session(row) => ClientEvent::Session(row),
            });
        }
        let answer = Answer::parse(line)?;
        self.open.pop_front();
        Some(ClientEvent::Answer(answer))
    }
}
