//! A byte stream, plain or TLS: the leaf type that session, backend and forwarding share. It does not know what
//! flows through.

mod close;
#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{client, server};

pub use self::close::{CLOSING_BYTES_MAX, CLOSING_TIME_HURRIED, CLOSING_TIME_MAX};

/// One connection after its handshake, if it has one. A TLS stream is boxed: its state is over a kilobyte, and most
/// moves of a transport happen before anything is forwarded.
#[derive(Debug)]
pub enum Transport {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS with a client; we are the server.
    Server(Box<server::TlsStream<TcpStream>>),
    /// TLS with a backend; we are the client.
    Client(Box<client::TlsStream<TcpStream>>),
}

impl Transport {
    /// The socket, if there is no TLS on it.
    pub fn into_plain(self) -> Option<TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Server(_) | Self::Client(_) => None,
        }
    }

    /// The socket, if there is no TLS on it: what is read from it is what the peer's program wrote.
    pub fn as_plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Server(_) | Self::Client(_) => None,
        }
    }

    /// Waits until the connection is broken in both directions, as by a reset, without reading anything. A peer that has
    /// closed its own direction only may still wait for answers, and one that has closed both in order cannot be told from
    /// that before something is written.
    pub async fn broken(&self) -> io::Error {
        let socket = self.socket();
        match socket.ready(Interest::ERROR).await {
            Ok(_) => socket.take_error().ok().flatten().unwrap_or(io::ErrorKind::ConnectionReset.into()),
            Err(error) => error,
        }
    }

    /// The socket below, for options and addresses.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Server(stream) => stream.get_ref().0,
            Self::Client(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Transport {
    /// A TLS peer that closes without `close_notify` has closed, as in the reference (spec/login-proxy.md 9.2); what
    /// it sent is whole, as every record is checked.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match self.get_mut() {
            Self::Plain(stream) => return Pin::new(stream).poll_read(cx, buf),
            Self::Server(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        match read {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Server(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Server(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Ends our direction: `close_notify` where there is TLS, then FIN. The other direction stays open.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
