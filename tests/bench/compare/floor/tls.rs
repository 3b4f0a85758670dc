//! TLS to plain: rustls, with one buffer for all sessions.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::scratch::with_buffer;

/// How often bytes are passed on before others have their turn.
const TURNS: usize = 16;

/// Both directions until one side ends.
pub async fn relay(client: Box<TlsStream<TcpStream>>, backend: TcpStream) -> io::Result<()> {
    let mut relay = Relay { client, backend, up: Rest::default(), down: Rest::default() };
    poll_fn(|cx| relay.poll(cx)).await
}

/// A session; its rests are empty while the receivers keep up.
struct Relay {
    client: Box<TlsStream<TcpStream>>,
    backend: TcpStream,
    up: Rest,
    down: Rest,
}

/// What was read and could not be written yet.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    written: usize,
    unflushed: bool,
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let client = Pin::new(&mut *self.client);
        let up = pass(client, Pin::new(&mut self.backend), &mut self.up, cx)?;
        let client = Pin::new(&mut *self.client);
        let down = pass(Pin::new(&mut self.backend), client, &mut self.down, cx)?;
        if up.is_ready() || down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Passes bytes on until nothing can be read or written; ready at the end of the input.
fn pass<R: AsyncRead, W: AsyncWrite>(
    mut from: Pin<&mut R>,
    mut to: Pin<&mut W>,
    rest: &mut Rest,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    for _ in 0..TURNS {
        while rest.written < rest.bytes.len() {
            rest.written += ready!(to.as_mut().poll_write(cx, &rest.bytes[rest.written..]))?;
        }
        if !rest.bytes.is_empty() {
            *rest = Rest { unflushed: true, ..Rest::default() };
        }
        let read = with_buffer(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(from.as_mut().poll_read(cx, &mut buffer))?;
            let mut written = 0;
            while written < buffer.filled().len() {
                match to.as_mut().poll_write(cx, &buffer.filled()[written..])? {
                    Poll::Ready(count) => written += count,
                    Poll::Pending => {
                        rest.bytes = buffer.filled()[written..].to_vec();
                        break;
                    }
                }
            }
            rest.unflushed = true;
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        });
        match read? {
            Poll::Ready(0) => return Poll::Ready(Ok(())),
            Poll::Ready(_) => {}
            Poll::Pending => {
                if rest.unflushed {
                    ready!(to.as_mut().poll_flush(cx))?;
                    rest.unflushed = false;
                }
                return Poll::Pending;
            }
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
