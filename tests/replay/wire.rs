//! Blocking connections with deadlines: plain, TLS as client, TLS as server; lines and end of file.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned, pki_types::ServerName};

use super::{certificates::certificates, script::ClientTls};

/// Longest wait for anything. Some scenarios wait 30 s for a notice.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// The content type of a TLS alert (RFC 8446 section 5.1).
const TLS_ALERT: u8 = 0x15;

enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
    /// A handshake failed.
    Broken,
}

/// One connection with its unread bytes.
pub struct Wire {
    stream: Stream,
    socket: TcpStream,
    unread: Vec<u8>,
    /// Ends without a word.
    silent: bool,
}

impl Wire {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = Stream::Plain(socket.try_clone().unwrap());
        Self { stream, socket, unread: Vec::new(), silent: false }
    }

    /// Upgrades as client, and compares what the recording says about the handshake.
    pub fn client_tls(&mut self, tls: &ClientTls) -> Result<(), String> {
        let name = match &tls.server_name {
            Some(name) => ServerName::try_from(name.clone()).unwrap(),
            None => ServerName::IpAddress(self.socket.peer_addr().unwrap().ip().into()),
        };
        let config = Arc::new(certificates().client_config(tls));
        let connection = ClientConnection::new(config, name).unwrap();
        let mut stream = StreamOwned::new(connection, self.take_plain()?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| e.to_string())?;
        }
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let subject = shown.and_then(|certificate| certificates().proxy_name(certificate));
        self.stream = Stream::Client(Box::new(stream));
        if subject == Some(&tls.subject) { Ok(()) } else { Err(format!("certificate of {subject:?}")) }
    }

    /// Upgrades as server; answers whether the peer showed alice's certificate, and the name it asked for. What
    /// follows a failed handshake fails.
    pub fn server_tls(&mut self, config: &Arc<ServerConfig>) -> Result<(bool, Option<String>), String> {
        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut stream = StreamOwned::new(connection, self.take_plain()?);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                self.stream = Stream::Broken;
                return Err(error.to_string());
            }
        }
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let alice = shown.is_some_and(|certificate| *certificate == certificates().client.certificate);
        let name = stream.conn.server_name().map(str::to_owned);
        self.stream = Stream::Server(Box::new(stream));
        Ok((alice, name))
    }

    fn take_plain(&mut self) -> Result<TcpStream, String> {
        match std::mem::replace(&mut self.stream, Stream::Broken) {
            Stream::Plain(socket) => Ok(socket),
            _ => Err("TLS inside TLS".to_owned()),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream: &mut dyn Write = match &mut self.stream {
            Stream::Plain(s) => s,
            Stream::Client(s) => s,
            Stream::Server(s) => s,
            Stream::Broken => return Err(io::ErrorKind::NotConnected.into()),
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

    /// Expects the end. A reset counts: the kernel sends one when input was left unread. So does a TLS alert on
    /// the way, which the recordings do not show.
    pub fn end(&mut self) -> Result<(), String> {
        loop {
            if !self.unread.is_empty() && self.unread.first() != Some(&TLS_ALERT) {
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

    /// What has arrived and was not expected, without waiting.
    pub fn surplus(&mut self) -> Result<(), String> {
        self.socket.set_nonblocking(true).unwrap();
        let _ = self.fill();
        self.socket.set_nonblocking(false).unwrap();
        match &self.unread[..] {
            [] | [TLS_ALERT, ..] => Ok(()),
            unread => Err(format!("not recorded: {:?}", String::from_utf8_lossy(unread))),
        }
    }

    /// Counts bytes up to the end.
    pub fn count(&mut self) -> io::Result<usize> {
        let mut total = self.unread.len();
        loop {
            self.unread.clear();
            match self.fill()? {
                0 => return Ok(total),
                count => total += count,
            }
        }
    }

    /// Sends as fast as the peer takes it, then closes, all in the background.
    pub fn flood(mut self, bytes: usize) {
        std::thread::spawn(move || {
            let _ = self.send(&vec![b'x'; bytes]);
        });
    }

    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends with a reset.
    pub fn reset(mut self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).unwrap();
        self.silent = true;
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let stream: &mut dyn Read = match &mut self.stream {
            Stream::Plain(s) => s,
            Stream::Client(s) => s,
            Stream::Server(s) => s,
            Stream::Broken => return Err(io::ErrorKind::NotConnected.into()),
        };
        let count = stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.silent {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}
