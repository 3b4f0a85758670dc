//! The side that answers doveadm. Commands are given out one at a time, so answers keep the order of commands.

use homing_wire::printable;
use thiserror::Error;

use super::{Answer, Command, GROUP, Refusal, SessionRow, sessions};
use crate::{
    fields::number,
    lines::{IPC_LINE_BYTES_MAX, LineTooLong, Lines, OUTPUT_BYTES_MAX},
};

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Answer this: [`Command::ListFull`] with rows, the others with [`Server::answer`].
    Command(Target, Command),
    /// Send what is left, then close the connection. Nothing follows.
    Close(ServerError),
}

/// Which login processes are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    All,
    /// The one with this process id. If there is none the answer is [`Refusal::UnknownId`].
    Process(u32),
}

/// Why the connection must be closed, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServerError {
    /// Over [`IPC_LINE_BYTES_MAX`].
    #[error("ipc client sent a {0}")]
    LineTooLong(#[from] LineTooLong),
    /// A fault of ours: rows to something that is no list, or without header.
    #[error("no answer to {0}")]
    WrongAnswer(&'static str),
}

/// One connection of a client. There is no greeting.
///
/// `received`, `answer`, `begin_list`, `push_sessions` and `end_list` go in; `poll_transmit` and `poll_event` are
/// drained afterwards. While [`OUTPUT_BYTES_MAX`] bytes wait to be sent there is no event.
#[derive(Debug)]
pub struct Server {
    input: Lines,
    output: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Asked { list: bool },
    Listing { columns: usize },
    Failed(ServerError),
    Closed,
}

impl Default for Server {
    fn default() -> Self {
        Self { input: Lines::new(IPC_LINE_BYTES_MAX), output: Vec::new(), state: State::Idle }
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
        loop {
            let line = match &self.state {
                State::Idle if self.output.len() < OUTPUT_BYTES_MAX => self.input.next(),
                State::Failed(error) => return Some(self.close(error.clone())),
                _ => return None,
            };
            match line.map(|line| line.map(|line| parse(&line))) {
                Err(error) => return Some(self.close(error.into())),
                Ok(None) => return None,
                Ok(Some(Ok((target, command)))) => {
                    self.state = State::Asked { list: command == Command::ListFull };
                    return Some(ServerEvent::Command(target, command));
                }
                Ok(Some(Err(answer))) => self.line(&answer.to_line()),
            }
        }
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Answers the open command with one line; a list only to refuse it.
    pub fn answer(&mut self, answer: &Answer) {
        match self.state {
            State::Asked { list } if !list || matches!(answer, Answer::Refused(_)) => {
                self.line(&answer.to_line());
                self.state = State::Idle;
            }
            _ => self.fail("a line"),
        }
    }

    /// Begins the answer to [`Command::ListFull`]: the names of the `user_*` fields that the rows will have.
    pub fn begin_list(&mut self, names: &[Vec<u8>]) {
        if !matches!(self.state, State::Asked { list: true }) {
            return self.fail("a list");
        }
        self.output.push(b':');
        self.line(&sessions::header(names));
        self.state = State::Listing { columns: names.len() };
    }

    /// Adds rows, until they or the output are full. True if `rows` is at its end; more may follow from elsewhere
    /// before [`Server::end_list`]. On false, send and come back with the same iterator.
    pub fn push_sessions(&mut self, rows: &mut impl Iterator<Item = SessionRow>) -> bool {
        let State::Listing { columns } = self.state else {
            self.fail("rows");
            return true;
        };
        while self.output.len() < OUTPUT_BYTES_MAX {
            let Some(row) = rows.next() else { return true };
            self.output.push(b':');
            row.write_to(columns, &mut self.output);
            self.output.push(b'\n');
        }
        false
    }

    /// Ends the list.
    pub fn end_list(&mut self) {
        if !matches!(self.state, State::Listing { .. }) {
            return self.fail("the end of a list");
        }
        self.line(&Answer::Done.to_line());
        self.state = State::Idle;
    }

    fn line(&mut self, line: &[u8]) {
        self.output.extend_from_slice(line);
        self.output.push(b'\n');
    }

    fn fail(&mut self, what: &'static str) {
        if !matches!(self.state, State::Failed(_) | State::Closed) {
            self.state = State::Failed(ServerError::WrongAnswer(what));
        }
    }

    fn close(&mut self, error: ServerError) -> ServerEvent {
        self.state = State::Closed;
        ServerEvent::Close(error)
    }
}

/// What can be said without knowing a session is said at once.
fn parse(line: &[u8]) -> Result<(Target, Command), Answer> {
    let mut parts = line.splitn(3, |byte| *byte == b'\t');
    let mut part =
        || parts.next().filter(|part| !part.is_empty()).ok_or(Answer::Refused(Refusal::InvalidInput));
    let (group, id, command) = (part()?, part()?, part()?);
    let target = match (id, number(id)) {
        (b"*", _) => Target::All,
        (_, Some(id)) => Target::Process(id),
        (id, None) => return Err(Answer::Refused(Refusal::InvalidId(printable(id)))),
    };
    if group != GROUP.as_bytes() {
        return Err(match target {
            Target::All => Answer::Done,
            Target::Process(_) => Answer::Refused(Refusal::UnknownGroup(printable(group))),
        });
    }
    Ok((target, Command::parse(command).map_err(Answer::Refused)?))
}
