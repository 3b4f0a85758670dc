//! A conversation with a director: one request at a time, since Dovecot's director loses lines behind one that it
//! answers late (spec/director.md 10, W21). Own words are asked only where they are known.

use std::time::Duration;

use homing_doveadm::{
    director::{Client, ClientError, ClientEvent, Reply, Request, Row, UserPlace},
    own::{self, Failure, FailureKind},
};
use homing_wire::printable;

use crate::cli::{
    exit::Fault,
    link::{ANSWER_TIME, Link},
    place::Place,
};

/// Rows of one answer: a director with more users than any is asked for parts. Some gigabytes at most.
const ROWS_MAX: usize = 20_000_000;

/// One connection.
pub(super) struct Connection {
    link: Link,
    client: Client,
    /// Own words that the director knows, once it was asked.
    words: Option<Vec<String>>,
}

/// A whole answer.
struct Answer {
    rows: Vec<Row>,
    reply: Option<Reply>,
}

impl Answer {
    /// `None` if there are too many.
    fn add(&mut self, row: Row, most: usize) -> Option<()> {
        (self.rows.len() < most).then(|| self.rows.push(row))
    }
}

impl Connection {
    pub(super) async fn open(place: &Place) -> Result<Self, Fault> {
        Ok(Self { link: Link::open(place).await?, client: Client::default(), words: None })
    }

    /// Where it leads.
    pub(super) fn place(&self) -> &Place {
        self.link.place()
    }

    /// The one line that answers a request.
    pub(super) async fn reply(&mut self, request: &Request) -> Result<Reply, Fault> {
        // A flush is answered when all its users were looked at, which takes as long as it takes.
        let is_flush = matches!(request, Request::HostResetUsers { .. } | Request::HostFlush(_));
        let patience = (!is_flush).then_some(ANSWER_TIME);
        self.ask(request, patience).await?.reply.ok_or_else(|| self.odd("no answer to"))
    }

    /// Where a user is and would be.
    pub(super) async fn user_place(&mut self, request: &Request) -> Result<UserPlace, Fault> {
        match self.reply(request).await? {
            Reply::Place(place) => Ok(place),
            _ => Err(self.odd("no place in the answer to")),
        }
    }

    /// The rows that answer a request.
    pub(super) async fn rows(&mut self, request: &Request) -> Result<Vec<Row>, Fault> {
        Ok(self.ask(request, Some(ANSWER_TIME)).await?.rows)
    }

    /// The rows that answer an own request, the last ones that only say how it ended left out.
    pub(super) async fn own(&mut self, command: &own::Command) -> Result<Vec<own::Row>, Fault> {
        if !self.knows(command.word()).await? {
            return Err(Fault::Protocol(format!(
                "{}: this director does not know {}; it is Dovecot's, or of an older Homing",
                self.place(),
                command.word()
            )));
        }
        let mut rows = self.own_rows(command).await?;
        match rows.last() {
            Some(own::Row::End) => {
                rows.pop();
                Ok(rows)
            }
            Some(own::Row::Failure(failure)) => Err(fault(failure)),
            Some(_) => Ok(rows),
            None => Err(self.odd("nothing came for")),
        }
    }

    /// True if the director knows an own word.
    pub(super) async fn knows(&mut self, word: &str) -> Result<bool, Fault> {
        if self.words.is_none() {
            self.words = Some(self.ask_words().await?);
        }
        Ok(self.words.iter().flatten().any(|known| known == word))
    }

    /// Asked on a connection of its own, since Dovecot's director closes it.
    async fn ask_words(&self) -> Result<Vec<String>, Fault> {
        let place = self.place().clone();
        let mut other =
            Self { link: Link::open(&place).await?, client: Client::default(), words: Some(Vec::new()) };
        // So that what breaks the connection can only be the word.
        other.rows(&Request::DirectorList).await?;
        let rows = match other.own_rows(&own::Command::Words).await {
            Ok(rows) => rows,
            Err(Fault::Unreachable(_)) => return Ok(Vec::new()),
            Err(fault) => return Err(fault),
        };
        let word = |row| match row {
            own::Row::Word(word) => Some(word),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(word).collect())
    }

    async fn own_rows(&mut self, command: &own::Command) -> Result<Vec<own::Row>, Fault> {
        let secs = match command {
            own::Command::Wait { secs, .. } => u64::from(*secs),
            _ => 0,
        };
        let patience = ANSWER_TIME + Duration::from_secs(secs);
        let rows = self.ask(&Request::Own(command.to_request()), Some(patience)).await?.rows;
        let read = |row| match row {
            Row::Own(fields) => own::Row::read(&fields),
            _ => None,
        };
        rows.into_iter().map(read).collect::<Option<_>>().ok_or_else(|| self.odd("unreadable row for"))
    }

    async fn ask(&mut self, request: &Request, patience: Option<Duration>) -> Result<Answer, Fault> {
        let place = self.place().clone();
        self.client.ask(request).map_err(|refused| Fault::Usage(refused.to_string()))?;
        self.link.send(self.client.poll_transmit()).await?;
        let mut answer = Answer { rows: Vec::new(), reply: None };
        loop {
            while let Some(event) = self.client.poll_event() {
                match event {
                    ClientEvent::Row(row) => {
                        answer.add(row, ROWS_MAX).ok_or_else(|| self.odd("no end of"))?
                    }
                    ClientEvent::RowsEnd => return Ok(answer),
                    ClientEvent::Reply(reply) => {
                        answer.reply = Some(reply);
                        return Ok(answer);
                    }
                    ClientEvent::Close(error) => return Err(misunderstood(&place, &error)),
                }
            }
            let bytes = self.link.receive(self.client.room(), patience).await?;
            if bytes.is_empty() {
                let text = format!("{place}: the director closed the connection instead of answering");
                return Err(Fault::Unreachable(text));
            }
            self.client.received(bytes);
        }
    }

    fn odd(&self, what: &str) -> Fault {
        Fault::Protocol(format!("{}: {what} the request", self.place()))
    }
}

fn misunderstood(place: &Place, error: &ClientError) -> Fault {
    Fault::Protocol(format!("{place}: {error}"))
}

/// What a failure means for the exit status.
fn fault(failure: &Failure) -> Fault {
    let text = printable(failure.text.as_bytes());
    match failure.kind {
        FailureKind::NotFound => Fault::NotFound(text),
        FailureKind::TryAgain | FailureKind::Refused => Fault::NotDone(text),
        FailureKind::Unknown => Fault::Protocol(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_end_is_refused() {
        let mut answer = Answer { rows: Vec::new(), reply: None };
        let row = || Row::RemovedHost("10.0.0.1".parse().unwrap());
        assert!(answer.add(row(), 2).is_some() && answer.add(row(), 2).is_some());
        assert!(answer.add(row(), 2).is_none());
    }
}
