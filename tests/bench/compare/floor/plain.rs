//! Plain to plain: a small read first; when it fills its buffer, pipes while data flows.

use std::io;

use rustix::pipe::{SpliceFlags, splice};
use tokio::{io::Interest, net::TcpStream};

use super::{
    scratch::{PIPE, Pipe, give_pipe, take_pipe, with_buffer},
    tolerate, write_all,
};

/// Bytes of the first read.
const SMALL: usize = 4096;

/// Both directions until one side ends.
pub async fn relay(client: TcpStream, backend: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    tokio::select! {
        ended = one_way(&client, &backend) => ended,
        ended = one_way(&backend, &client) => ended,
    }
}

async fn one_way(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    loop {
        from.readable().await?;
        // Read and written in one go; only what does not fit is kept.
        let passed = with_buffer(|buffer| {
            let count = from.try_read(&mut buffer[..SMALL])?;
            let written = tolerate(to.try_write(&buffer[..count]))?;
            io::Result::Ok((count, buffer[written..count].to_vec()))
        });
        let (count, rest) = match passed {
            Ok(passed) => passed,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            return Ok(());
        }
        write_all(to, &rest).await?;
        if count == SMALL {
            let pipe = take_pipe()?;
            stream(from, to, &pipe).await?;
            give_pipe(pipe);
        }
    }
}

/// Splices until there is nothing to read.
async fn stream(from: &TcpStream, to: &TcpStream, pipe: &Pipe) -> io::Result<()> {
    loop {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let read = from.try_io(Interest::READABLE, || {
            splice(from, None, &pipe.1, None, PIPE, flags).map_err(io::Error::from)
        });
        let mut left = match read {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        while left > 0 {
            to.writable().await?;
            let written = to.try_io(Interest::WRITABLE, || {
                splice(&pipe.0, None, to, None, left, flags).map_err(io::Error::from)
            });
            match written {
                Ok(count) => left -= count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        tokio::task::yield_now().await;
    }
}
