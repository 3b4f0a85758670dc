//! Bytes to and from a socket of a running program, with limits on time. Knows no protocol.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{exit::Fault, place::Place};

/// How long a connection may take, and how long a program may not read.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How long an answer may let wait for its next bytes. Dovecot's director waits up to 30 s for its ring.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Most bytes read at once.
const READ_BYTES_MAX: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// One connection.
pub(super) struct Link {
    place: Place,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Link {
    pub(super) async fn open(place: &Place) -> Result<Self, Fault> {
        let connect = async {
            Ok::<Box<dyn Stream>, io::Error>(match place {
                Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
            })
        };
        let opened = timeout(CONNECT_TIME, connect).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let stream = opened.map_err(|error| unreachable_at(place, &error))?;
        Ok(Self { place: place.clone(), stream, buffer: Vec::new() })
    }

    /// Where it leads.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Sends, if there is something.
    pub(super) async fn send(&mut self, bytes: Option<Vec<u8>>) -> Result<(), Fault> {
        let Some(bytes) = bytes else { return Ok(()) };
        let sent = timeout(CONNECT_TIME, self.stream.write_all(&bytes)).await;
        sent.unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(|error| unreachable_at(&self.place, &error))
    }

    /// What comes next, at most `room` bytes; nothing when the other side has closed. `patience`: `None` for ever.
    pub(super) async fn receive(&mut self, room: usize, patience: Option<Duration>) -> Result<&[u8], Fault> {
        self.buffer.resize(room.min(READ_BYTES_MAX), 0);
        let read = self.stream.read(&mut self.buffer);
        let read = match patience {
            Some(patience) => timeout(patience, read).await.unwrap_or_else(|elapsed| Err(elapsed.into())),
            None => read.await,
        };
        let count = read.map_err(|error| unreachable_at(&self.place, &error))?;
        Ok(self.buffer.get(..count).unwrap_or_default())
    }
}

fn unreachable_at(place: &Place, error: &io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => " (is the program running, and is this its base_dir?)",
        io::ErrorKind::TimedOut => " (it does not answer)",
        _ => "",
    };
    Fault::Unreachable(format!("{place}: {error}{hint}"))
}
