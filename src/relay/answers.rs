//! The way of answers to a client: line by line, each unchanged unless it needs a backend. A line that waits for one
//! does not hold up those behind it (spec/auth-protocol.md 9.4). A client that does not read stops the reading here.

use std::{sync::Arc, time::Duration};

use homing_dovecot_auth::HostQuestion;
use homing_login::limits::AUTH_LINE_BYTES_MAX;
use homing_wire::{InputBuffer, Secret};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    STALL_TIME,
    desk::{Answered, Asker, Desk},
    ended::{Ended, Side},
    hub::logins::Delivery,
};

/// Bytes read at one time.
pub(super) const CHUNK_BYTES: usize = 4096;

/// Lines from `R` to `W`.
pub(super) struct Answers<R, W> {
    from: (Side, R),
    to: W,
    asker: Asker,
    desk: Arc<Desk>,
    input: InputBuffer,
    /// Written before anything is read or taken from `waiting`.
    output: Zeroizing<Vec<u8>>,
    /// Logins that are told of in `output`.
    delivered_with_it: Option<Delivery>,
    waiting: JoinSet<Answered>,
    pub(super) stall_time: Duration,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Answers<R, W> {
    pub(super) fn new(from: (Side, R), to: W, asker: Asker, desk: Arc<Desk>) -> Self {
        let input = InputBuffer::new(AUTH_LINE_BYTES_MAX);
        let (output, waiting) = (Zeroizing::default(), JoinSet::new());
        Self {
            from,
            to,
            asker,
            desk,
            input,
            output,
            delivered_with_it: None,
            waiting,
            stall_time: STALL_TIME,
        }
    }

    /// Passes lines on until one side ends.
    pub(super) async fn run(mut self) -> Ended {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Ended> {
        while let Some(line) = self.line() {
            self.pass(&line);
        }
        if !self.output.is_empty() {
            return self.flush().await;
        }
        if self.input.is_full() {
            return Err(Ended::LineTooLong);
        }
        let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
        let room = self.input.room().min(CHUNK_BYTES);
        let space = chunk.get_mut(..room).unwrap_or_default();
        tokio::select! {
            count = self.from.1.read(space) => {
                let count = count.map_err(|error| Ended::error_of(self.from.0, error))?;
                self.received(space.get(..count).unwrap_or_default())
            }
            // A lookup that ended without a line was about a connection that has ended.
            Some(Ok((line, delivery))) = self.waiting.join_next() => {
                self.say(line.expose());
                self.delivered_with_it = delivery;
                Ok(())
            }
        }
    }

    /// Reads the first line, before [`Answers::run`].
    pub(super) async fn first_line(&mut self) -> Result<Secret, Ended> {
        loop {
            if let Some(line) = self.line() {
                return Ok(line);
            }
            self.step().await?;
        }
    }

    /// Writes a line of our own, at the next chance.
    pub(super) fn say(&mut self, line: &[u8]) {
        self.output.extend_from_slice(line);
        self.output.push(b'\n');
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        if bytes.is_empty() {
            return Err(Ended::eof_of(self.from.0));
        }
        self.input.extend(bytes).map_err(|_| Ended::LineTooLong)
    }

    /// The next complete line without its end; a CR belongs to it.
    fn line(&mut self) -> Option<Secret> {
        let held = self.input.as_slice();
        let end = held.iter().position(|b| *b == b'\n')?;
        let line = held.get(..end).map(Secret::from);
        self.input.consume(end + 1);
        line
    }

    fn pass(&mut self, line: &Secret) {
        let Some(question) = HostQuestion::of(self.asker.answers(), line.expose()) else {
            return self.say(line.expose());
        };
        match self.desk.ask(question, self.asker) {
            Ok(lookup) => {
                self.waiting.spawn(lookup);
            }
            Err(line) => self.say(line.expose()),
        }
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let written = timeout(self.stall_time, self.to.write_all(&self.output)).await;
        let written = written.map_err(|_| Ended::Stalled(Side::Client))?;
        written.map_err(|error| Ended::error_of(Side::Client, error))?;
        self.output.zeroize();
        self.delivered_with_it = None;
        Ok(())
    }
}
