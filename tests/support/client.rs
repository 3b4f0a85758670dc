//! A line client over TCP with deadlines.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longest wait for one answer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The last words to an IMAP client that was kicked.
pub const KICKED: &str = "* BYE Disconnected by the server, please log in again\r\n";

/// The client is told, and nothing else before the end.
pub fn assert_kicked(mut client: Client) {
    assert_eq!(client.rest(), KICKED);
}

/// The same before the answer to a login.
pub fn assert_login_kicked(mut client: Client) {
    let told = client.rest();
    assert!(told.starts_with("a NO [UNAVAILABLE] ") && told.ends_with(KICKED), "{told}");
}

/// A connection.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects and reads the greeting: one line, or for ManageSieve up to its `OK`.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        while client.line().starts_with('"') {}
        client
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The next line without its end.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\n"), "connection ended: {:?}", String::from_utf8_lossy(&line));
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Sends a line and returns the answer's first line.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).line()
    }

    /// Reads until the end of the connection; a reset counts as the end.
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("no end: {error}, so far {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }
}
