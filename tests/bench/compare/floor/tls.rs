//! TLS to plain: rustls without buffers of its own, and two buffers for all sessions.

use std::{cell::RefCell, io, sync::Arc};

use rustls::{
    ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, UnbufferedStatus},
};
use tokio::net::TcpStream;

use super::{
    scratch::{BUFFER, with_two_buffers},
    write_all,
};

/// A session's client side. What it holds while idle is keys and a socket.
pub struct TlsClient {
    stream: TcpStream,
    connection: RefCell<UnbufferedServerConnection>,
    /// Ciphertext that is not a whole record yet.
    partial: RefCell<Vec<u8>>,
}

impl TlsClient {
    /// Shakes hands. Nothing that the client sends after it is lost.
    pub async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let client = Self { stream, connection: RefCell::new(connection), partial: RefCell::default() };
        loop {
            let (answer, done) = client.shake()?;
            write_all(&client.stream, &answer).await?;
            if done {
                return Ok(client);
            }
            let mut input = [0; 4096];
            client.stream.readable().await?;
            match client.stream.try_read(&mut input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => client.partial.borrow_mut().extend_from_slice(&input[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on with the handshake as far as the input lasts: what to send, and whether it is over.
    fn shake(&self) -> io::Result<(Vec<u8>, bool)> {
        let (mut connection, mut input) = (self.connection.borrow_mut(), self.partial.borrow_mut());
        let mut answer = Vec::new();
        loop {
            let UnbufferedStatus { discard, state, .. } = connection.process_tls_records(&mut input);
            let mut over = None;
            match state.map_err(io::Error::other)? {
                ConnectionState::EncodeTlsData(mut data) => {
                    let mut record = [0; 4096];
                    let count = data.encode(&mut record).map_err(io::Error::other)?;
                    answer.extend_from_slice(&record[..count]);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::BlockedHandshake => over = Some(false),
                ConnectionState::WriteTraffic(_) => over = Some(true),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            input.drain(..discard);
            if let Some(done) = over {
                return Ok((answer, done));
            }
        }
    }

    /// Reads what is there and gives the plain text to `to` without waiting; what did not fit comes back. `None` is
    /// the end.
    pub fn try_pass(&self, to: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
        with_two_buffers(|cipher, plain| {
            let partial = self.partial.take();
            cipher[..partial.len()].copy_from_slice(&partial);
            let read = match self.stream.try_read(&mut cipher[partial.len()..BUFFER]) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) => {
                    self.partial.replace(partial);
                    return Err(error);
                }
            };
            let Some(count) = self.decrypt(&mut cipher[..partial.len() + read], plain)? else {
                return Ok(None);
            };
            let written = to(&plain[..count])?;
            Ok(Some(plain[written..count].to_vec()))
        })
    }

    /// Plain text of whole records; the rest is kept. `None` is the client's end.
    fn decrypt(&self, cipher: &mut [u8], plain: &mut [u8]) -> io::Result<Option<usize>> {
        let mut connection = self.connection.borrow_mut();
        let (mut start, mut count) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state, .. } =
                connection.process_tls_records(&mut cipher[start..]);
            let mut over = false;
            match state.map_err(io::Error::other)? {
                ConnectionState::ReadTraffic(mut records) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(io::Error::other)?;
                        discard += record.discard;
                        plain[count..count + record.payload.len()].copy_from_slice(record.payload);
                        count += record.payload.len();
                    }
                }
                ConnectionState::WriteTraffic(_) => over = true,
                _ => return Ok(None),
            }
            start += discard;
            if over {
                self.partial.replace(cipher[start..].to_vec());
                return Ok(Some(count));
            }
        }
    }

    /// Encrypts into a buffer that is long enough.
    fn encrypt(&self, plain: &[u8], cipher: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        match connection.process_tls_records(&mut []).state.map_err(io::Error::other)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                traffic.encrypt(plain, cipher).map_err(io::Error::other)
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Reads from `from` without waiting, and writes what it read; what did not fit comes back, encrypted. `None` is
    /// the end.
    pub fn try_answer(&self, from: impl Fn(&mut [u8]) -> io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
        with_two_buffers(|cipher, plain| {
            let count = from(&mut plain[..BUFFER])?;
            if count == 0 {
                return Ok(None);
            }
            let count = self.encrypt(&plain[..count], cipher)?;
            let written = super::tolerate(self.stream.try_write(&cipher[..count]))?;
            Ok(Some(cipher[written..count].to_vec()))
        })
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

/// Both directions until one side ends.
pub async fn relay(client: TlsClient, backend: TcpStream) -> io::Result<()> {
    let up = async {
        loop {
            client.socket().readable().await?;
            match client.try_pass(|bytes| super::tolerate(backend.try_write(bytes))) {
                Ok(None) => return Ok(()),
                Ok(Some(rest)) => write_all(&backend, &rest).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return io::Result::Err(error),
            }
        }
    };
    let down = async {
        loop {
            backend.readable().await?;
            match client.try_answer(|buffer| backend.try_read(buffer)) {
                Ok(None) => return Ok(()),
                Ok(Some(rest)) => write_all(client.socket(), &rest).await?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return io::Result::Err(error),
            }
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}
