//! Blocking connections with deadlines: plain, TLS as client, TLS as server; lines and end of file.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// Longest wait for anything. Some scenarios wait 30 s for a notice.
pub const PATIENCE: Duration = Duration::from_secs(45);

enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// One connection with its unread bytes.
pub struct Wire {
    stream: Option<Stream>,
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { stream: Some(Stream::Plain(socket.try_clone().unwrap())), socket, unread: Vec::new() }
    }

    /// Upgrades as client. Certificates are not checked.
    pub fn client_tls(&mut self, server_name: Option<&str>, peer: std::net::IpAddr) {
        let name = match server_name {
            Some(name) => name.to_owned().try_into().unwrap(),
            None => rustls::pki_types::ServerName::IpAddress(peer.into()),
        };
        let connection = ClientConnection::new(Arc::new(super::certificates::client_config()), name).unwrap();
        let stream = StreamOwned::new(connection, self.take_plain());
        self.stream = Some(Stream::Client(Box::new(stream)));
    }

    /// Upgrades as server.
    pub fn server_tls(&mut self) {
        let connection = ServerConnection::new(super::certificates::server_config()).unwrap();
        let mut stream = StreamOwned::new(connection, self.take_plain());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        self.stream = Some(Stream::Server(Box::new(stream)));
    }

    fn take_plain(&mut self) -> TcpStream {
        match self.stream.take() {
            Some(Stream::Plain(socket)) => socket,
            _ => panic!("TLS inside TLS"),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream: &mut dyn Write = match self.stream.as_mut().unwrap() {
            Stream::Plain(s) => s,
            Stream::Client(s) => s,
            Stream::Server(s) => s,
        };
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// The next line without its end. `Err` carries what arrived instead.
    pub fn line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            match self.fill() {
                Ok(0) => {
                    return Err(format!("end of file, unread: {:?}", String::from_utf8_lossy(&self.unread)));
                }
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Expects the end. A reset counts: the kernel sends one when input was left unread.
    pub fn end(&mut self) -> Result<(), String> {
        loop {
            if !self.unread.is_empty() {
                return Err(format!("expected the end, got {:?}", String::from_utf8_lossy(&self.unread)));
            }
            match self.fill() {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err("no end in time".to_owned());
                }
                Err(_) => return Ok(()),
            }
        }
    }

    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let stream: &mut dyn Read = match self.stream.as_mut().unwrap() {
            Stream::Plain(s) => s,
            Stream::Client(s) => s,
            Stream::Server(s) => s,
        };
        let count = stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
