//! One conversation between a client and the auth service: the client's bytes pass unread, the answers line by line.
//! When one side ends, so does the other.

use std::{io, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    time::{Instant, sleep, timeout},
};
use zeroize::Zeroizing;

use super::{
    CONNECT_TIME, STALL_TIME,
    answers::{Answers, CHUNK_BYTES},
    desk::{Asker, Desk},
    ended::{Ended, Side},
};

/// Between two attempts to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Connects to the auth service and relays until one side ends.
pub(super) async fn relay(client: UnixStream, auth: &Path, asker: Asker, desk: Arc<Desk>) -> Ended {
    let auth = match connect(auth).await {
        Ok(auth) => auth,
        Err(error) => return Ended::Connect(error),
    };
    let (from_client, to_client) = client.into_split();
    let (from_auth, to_auth) = auth.into_split();
    let answers = Answers::new((Side::Auth, from_auth), to_client, asker, desk);
    tokio::select! {
        ended = copy(from_client, to_auth, STALL_TIME) => ended,
        ended = answers.run() => ended,
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    let deadline = Instant::now() + CONNECT_TIME;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => sleep(CONNECT_PAUSE).await,
            Ok(stream) => return Ok(stream),
        }
    }
}

/// Passes bytes on. Each piece has to be read by the other side within `stall_time`.
pub(super) async fn copy(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    stall_time: Duration,
) -> Ended {
    match copy_until_eof(from, to, stall_time).await {
        Ok(()) => Ended::ClientGone,
        Err(ended) => ended,
    }
}

async fn copy_until_eof(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stall_time: Duration,
) -> Result<(), Ended> {
    let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
    loop {
        let read = from.read(&mut *chunk).await;
        let count = read.map_err(|error| Ended::error_of(Side::Client, error))?;
        if count == 0 {
            return Ok(());
        }
        let bytes = chunk.get(..count).unwrap_or_default();
        let written = timeout(stall_time, to.write_all(bytes)).await;
        let written = written.map_err(|_| Ended::Stalled(Side::Auth))?;
        written.map_err(|error| Ended::error_of(Side::Auth, error))?;
    }
}
