//! The connection of one login process: what it is asked goes out as it comes, and answers come back by their tags.

use std::{collections::BTreeMap, sync::Arc};

use homing_doveadm::ipc::{COMMANDS_OPEN_MAX, CommandTag, LoginProcess, ProcessEvent, SessionRow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{ANSWER_TIME, Ask, COLUMNS_MAX, Heard, Hub, Membership, Trouble, logins::PeerId};
use crate::relay::{
    answers::CHUNK_BYTES,
    ended::{Ended, Side},
};

/// Serves one login process until it ends, or says something that it must not.
pub(in crate::relay) async fn serve(stream: UnixStream, hub: Arc<Hub>) -> Ended {
    let peer = PeerId::of(&stream);
    let mut link = Link { hub, peer, stream, process: LoginProcess::default(), open: BTreeMap::new() };
    let (asks, mut asked) = mpsc::channel(COMMANDS_OPEN_MAX);
    let mut membership = None;
    let ended = loop {
        match link.events(&asks, &mut membership).await {
            Ok(()) => {}
            Err(ended) => break ended,
        }
        if let Err(ended) = link.step(&mut asked, membership.is_some()).await {
            break ended;
        }
    };
    link.end(&ended, &mut asked);
    ended
}

struct Link {
    hub: Arc<Hub>,
    peer: PeerId,
    stream: UnixStream,
    process: LoginProcess,
    open: BTreeMap<CommandTag, Open>,
}

/// A command whose answer is on its way.
struct Open {
    heard: Heard,
    room: Arc<Semaphore>,
    answer: oneshot::Sender<Result<Heard, Trouble>>,
}

impl Link {
    /// Performs what has arrived, and sends what is due.
    async fn events(
        &mut self,
        asks: &mpsc::Sender<Ask>,
        membership: &mut Option<Membership>,
    ) -> Result<(), Ended> {
        while let Some(event) = self.process.poll_event() {
            match event {
                ProcessEvent::Joined(id) => *membership = Some(self.hub.join(id, self.peer, asks.clone())),
                ProcessEvent::Header(tag, mut columns) => {
                    columns.truncate(COLUMNS_MAX);
                    self.open.entry(tag).and_modify(|open| open.heard.columns = columns);
                }
                ProcessEvent::Session(tag, row) => {
                    self.open.entry(tag).and_modify(|open| open.add(row));
                }
                ProcessEvent::Answer(tag, answer) => {
                    if let Some(open) = self.open.remove(&tag) {
                        // Who asked may have given up.
                        let _ = open.answer.send(open.heard.ended(answer));
                    }
                }
                ProcessEvent::Close(error) => return Err(Ended::LoginProcess(error)),
            }
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        while let Some(bytes) = self.process.poll_transmit() {
            let written = timeout(ANSWER_TIME, self.stream.write_all(&bytes)).await;
            let written = written.map_err(|_| Ended::Stalled(Side::Client))?;
            written.map_err(|error| Ended::error_of(Side::Client, error))?;
        }
        Ok(())
    }

    /// Waits for bytes, or once it has joined for something to ask.
    async fn step(&mut self, asked: &mut mpsc::Receiver<Ask>, joined: bool) -> Result<(), Ended> {
        let mut chunk = [0; CHUNK_BYTES];
        let room = self.process.room().min(CHUNK_BYTES);
        tokio::select! {
            count = self.stream.read(chunk.get_mut(..room).unwrap_or_default()) => {
                match count.map_err(|error| Ended::error_of(Side::Client, error))? {
                    0 => return Err(Ended::ClientGone),
                    count => self.process.received(chunk.get(..count).unwrap_or_default()),
                }
            }
            Some(ask) = asked.recv(), if joined => self.ask(ask),
        }
        Ok(())
    }

    fn ask(&mut self, ask: Ask) {
        let Ask { command, room, answer } = ask;
        match self.process.send(&command) {
            Some(tag) => {
                self.open.insert(tag, Open { heard: Heard::default(), room, answer });
            }
            None => {
                let _ = answer.send(Err(Trouble::Silent));
            }
        }
    }

    /// Whoever waits learns whether the sessions have ended with the connection: they have if the process closed it.
    fn end(self, ended: &Ended, asked: &mut mpsc::Receiver<Ask>) {
        asked.close();
        let outcome = if ended.is_usual() { Ok(Heard::default()) } else { Err(Trouble::Broken) };
        if outcome.is_err() {
            self.hub.sent_away();
        }
        let waiting = std::iter::from_fn(|| asked.try_recv().ok()).map(|ask| ask.answer);
        for answer in self.open.into_values().map(|open| open.answer).chain(waiting) {
            let _ = answer.send(outcome.clone());
        }
    }
}

impl Open {
    fn add(&mut self, row: SessionRow) {
        if self.answer.is_closed() {
            // Nobody waits any more, and the end may never come.
            self.heard = Heard::default();
            return;
        }
        match self.room.try_acquire_many(bytes(&row)) {
            Ok(permit) => {
                permit.forget();
                self.heard.rows.push(row);
            }
            Err(_) => self.heard.left_out += 1,
        }
    }
}

/// Memory that a row takes, about.
fn bytes(row: &SessionRow) -> u32 {
    let texts = row.user.len() + row.service.len() + row.alternatives.iter().map(Vec::len).sum::<usize>();
    let fixed = size_of::<SessionRow>() + row.alternatives.len() * size_of::<Vec<u8>>();
    u32::try_from(texts + fixed).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> SessionRow {
        SessionRow {
            user: vec![b'u'; 100],
            alternatives: vec![vec![b'x'; 50]],
            service: b"imap".to_vec(),
            source: None,
            backend: "10.0.0.1:143".parse().unwrap(),
        }
    }

    #[test]
    fn a_list_has_room_for_so_many_bytes() {
        let room = Arc::new(Semaphore::new(bytes(&row()) as usize * 2));
        let (answer, _waits) = oneshot::channel();
        let mut open = Open { heard: Heard::default(), room, answer };
        (0..5).for_each(|_| open.add(row()));
        assert_eq!((open.heard.rows.len(), open.heard.left_out), (2, 3));
    }

    /// A process may leave every list without an end, and go on sending rows of all of them.
    #[test]
    fn a_list_that_nobody_waits_for_takes_no_memory() {
        let (answer, waits) = oneshot::channel();
        let mut open = Open {
            heard: Heard::default(),
            room: Arc::new(Semaphore::new(super::super::LIST_BYTES_MAX)),
            answer,
        };
        open.add(row());
        assert_eq!(open.heard.rows.len(), 1);
        drop(waits);
        (0..5).for_each(|_| open.add(row()));
        assert_eq!(open.heard, Heard::default());
    }
}
