//! PROXY headers, version 1 and 2 (haproxy's `proxy-protocol.txt`; spec/login-proxy.md 10). Reads exactly the
//! header from a socket; what follows may be TLS, and stays there.

mod frame;
mod refusal;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt, net::TcpStream};

pub(super) use refusal::Refusal;

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// `None`: the socket's own addresses hold.
    pub(super) addresses: Option<Addresses>,
    /// The client speaks TLS with the sender.
    pub(super) tls: bool,
    /// The name the client asked for; no control characters.
    pub(super) authority: Option<String>,
    /// Addresses of a family that a TCP service cannot use; for the log.
    pub(super) unsupported_family: Option<u8>,
}

/// The connection between the client and the sender of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// Reads a header, in however many pieces it comes, and not one byte more. The caller limits the time.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Header, Refusal> {
    let mut header = Vec::new();
    let mut window = vec![0; frame::BYTES_MAX];
    loop {
        let seen = stream.peek(&mut window).await?;
        if seen == 0 {
            return Err(Refusal::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let known = header.len();
        header.extend(window.iter().take(seen));
        let length = frame::length(&header)?;
        header.truncate(length.unwrap_or(usize::MAX));
        // Taking what has been looked at makes the next look wait for more.
        let mut taken = vec![0; header.len() - known];
        stream.read_exact(&mut taken).await?;
        if length == Some(header.len()) {
            return parse(&header);
        }
    }
}

/// `header` is complete, as [`frame::length`] has said.
fn parse(header: &[u8]) -> Result<Header, Refusal> {
    if header.starts_with(frame::V1_START) { v1::parse(header) } else { v2::parse(header) }
}
