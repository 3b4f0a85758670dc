//! What the hub sees of one login process of Dovecot: it has connected to `login/ipc-proxy`, says who it is, and
//! then answers commands.

use std::collections::BTreeMap;

use homing_wire::printable;
use thiserror::Error;

use super::{
    Answer, Command, GROUP, SessionRow,
    sessions::{ListLine, ListReader},
};
use crate::{
    fields::{FieldReader, number},
    lines::{ANSWER_LINE_BYTES_MAX, LineTooLong, Lines, OUTPUT_BYTES_MAX},
    version,
};

/// Commands one login process may leave unanswered. Each move of a user is one; more means that it hangs.
pub const COMMANDS_OPEN_MAX: usize = 1024;

/// Tells the open commands of one login process apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandTag(u64);

/// What has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It is ready for commands, and has this process id.
    Joined(u32),
    /// The following rows have these `user_*` fields.
    Header(CommandTag, Vec<Vec<u8>>),
    /// A session.
    Session(CommandTag, SessionRow),
    /// The end of the answer.
    Answer(CommandTag, Answer),
    /// Close the connection. Open commands stay unanswered. Nothing follows.
    Close(ProcessError),
}

/// Why the conversation cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProcessError {
    /// The first line names another protocol or major version.
    #[error("IPC server not compatible with this server (mixed old and new binaries?)")]
    Incompatible,
    /// The second line does not say who it is, or it is no login process.
    #[error("IPC server sent invalid handshake")]
    BadHandshake,
    /// A line that cannot be read, or that answers nothing.
    #[error("IPC server sent invalid input: {0}")]
    BadReply(String),
    /// Over [`ANSWER_LINE_BYTES_MAX`].
    #[error("IPC server sent a {0}")]
    LineTooLong(#[from] LineTooLong),
}

/// One connection of a login process.
///
/// `send` and `received` go in; `poll_transmit` and `poll_event` are drained afterwards.
#[derive(Debug)]
pub struct LoginProcess {
    input: Lines,
    output: Vec<u8>,
    state: State,
    last: u64,
    open: BTreeMap<CommandTag, ListReader>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Version,
    Handshake,
    Joined,
    Closed,
}

impl Default for LoginProcess {
    fn default() -> Self {
        Self {
            input: Lines::new(ANSWER_LINE_BYTES_MAX),
            output: version::line("ipc-proxy"),
            state: State::Version,
            last: 0,
            open: BTreeMap::new(),
        }
    }
}

impl LoginProcess {
    /// Sends a command. `None`: it has not joined, or it does not answer or read (see [`COMMANDS_OPEN_MAX`]).
    pub fn send(&mut self, command: &Command) -> Option<CommandTag> {
        let busy = self.open.len() >= COMMANDS_OPEN_MAX || self.output.len() >= OUTPUT_BYTES_MAX;
        if self.state != State::Joined || busy {
            return None;
        }
        self.last += 1;
        let tag = CommandTag(self.last);
        self.output.extend_from_slice(format!("{}\t", tag.0).as_bytes());
        self.output.extend_from_slice(&command.to_line());
        self.output.push(b'\n');
        self.open.insert(tag, ListReader::default());
        Some(tag)
    }

    /// How many bytes [`LoginProcess::received`] takes now.
    pub fn room(&self) -> usize {
        self.input.room()
    }

    /// Bytes from the process, at most [`LoginProcess::room`].
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// What has arrived next. `None`: more input is needed.
    pub fn poll_event(&mut self) -> Option<ProcessEvent> {
        if self.state == State::Closed {
            return None;
        }
        self.step().unwrap_or_else(|error| {
            self.state = State::Closed;
            Some(ProcessEvent::Close(error))
        })
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Commands without a complete answer.
    pub fn open_commands(&self) -> usize {
        self.open.len()
    }

    fn step(&mut self) -> Result<Option<ProcessEvent>, ProcessError> {
        while let Some(line) = self.input.next()? {
            match self.state {
                State::Version if version::is_compatible(&line, "ipc-server") => {
                    self.state = State::Handshake
                }
                State::Version => return Err(ProcessError::Incompatible),
                State::Handshake => {
                    let id = handshake(&line).ok_or(ProcessError::BadHandshake)?;
                    self.state = State::Joined;
                    return Ok(Some(ProcessEvent::Joined(id)));
                }
                _ => {
                    let event = self.take(&line);
                    return event.map(Some).ok_or_else(|| ProcessError::BadReply(printable(&line)));
                }
            }
        }
        Ok(None)
    }

    fn take(&mut self, line: &[u8]) -> Option<ProcessEvent> {
        let mut parts = line.splitn(2, |byte| *byte == b'\t');
        let tag = CommandTag(number(parts.next()?)?);
        let (list, data) = (self.open.get_mut(&tag)?, parts.next()?);
        if let Some(data) = data.strip_prefix(b":") {
            return Some(match list.take(data)? {
                ListLine::Header(names) => ProcessEvent::Header(tag, names),
                ListLine::Session(row) => ProcessEvent::Session(tag, row),
            });
        }
        let answer = Answer::parse(data)?;
        self.open.remove(&tag);
        Some(ProcessEvent::Answer(tag, answer))
    }
}

/// The process id of a login process.
fn handshake(line: &[u8]) -> Option<u32> {
    let mut fields = FieldReader::new(line);
    let known = fields.next()? == b"HANDSHAKE" && fields.next()? == GROUP.as_bytes();
    if known { fields.number() } else { None }
}
