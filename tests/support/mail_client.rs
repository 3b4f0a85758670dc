//! A mail client for all three protocols, plain, with STARTTLS or with TLS from the start; with deadlines.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use homing_login::Service;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::client::PATIENCE;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    Plain,
    /// By the protocol's command.
    StartTls,
    /// From the start.
    Tls,
}

/// Where a client connects to, and what it trusts there.
pub struct Server {
    /// Address.
    pub ip: IpAddr,
    /// Name that the certificate is for.
    pub name: &'static str,
    /// What the client trusts.
    pub trusted: Arc<ClientConfig>,
}

impl Server {
    /// Trusts the certificate in a PEM file, and no other.
    pub fn new(ip: IpAddr, name: &'static str, certificate: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { ip, name, trusted: Arc::new(config) }
    }

    fn wrap(&self, stream: TcpStream) -> Stream {
        let name = ServerName::try_from(self.name).unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.trusted), name).unwrap();
        Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A connection that has been greeted.
pub struct MailClient {
    stream: BufReader<Stream>,
    service: Service,
}

impl MailClient {
    /// Connects from `source`, reads the greeting, and makes TLS if asked for.
    pub fn connect(
        server: &Server,
        port: u16,
        service: Service,
        protection: Protection,
        source: IpAddr,
    ) -> Self {
        let stream = tcp(SocketAddr::new(server.ip, port), source);
        let stream = match protection {
            Protection::Tls => server.wrap(stream),
            Protection::Plain | Protection::StartTls => Stream::Plain(stream),
        };
        let mut client = Self { stream: BufReader::new(stream), service };
        client.greeting();
        if protection == Protection::StartTls {
            client = client.start_tls(server);
        }
        client
    }

    fn greeting(&mut self) {
        while self.line().starts_with('"') {}
    }

    fn start_tls(mut self, server: &Server) -> Self {
        let (command, consent) = match self.service {
            Service::Imap => ("s STARTTLS", "s OK "),
            Service::Pop3 => ("STLS", "+OK"),
            Service::Sieve => ("STARTTLS", "OK"),
        };
        let answer = self.ask(command);
        assert!(answer.starts_with(consent), "{answer}");
        let Stream::Plain(stream) = self.stream.into_inner() else { panic!("TLS is there already") };
        let mut client = Self { stream: BufReader::new(server.wrap(stream)), service: self.service };
        // ManageSieve tells its capabilities again (RFC 5804 section 2.2).
        if client.service == Service::Sieve {
            client.greeting();
        }
        client
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).unwrap();
        stream.flush().unwrap();
        self
    }

    /// The next line without its end.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\n"), "connection ended: {:?}", String::from_utf8_lossy(&line));
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Sends a line and returns the answer's first line.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).line()
    }

    /// Reads lines until one starts with `start`, and returns that.
    pub fn until(&mut self, start: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Logs in, in the protocol's own way, and returns the last line of the answer.
    pub fn log_in(&mut self, user: &str, password: &str) -> String {
        match self.service {
            Service::Imap => {
                self.send(format!("a LOGIN {user} {password}\r\n"));
                self.until("a ")
            }
            Service::Pop3 => {
                assert_eq!(self.ask(&format!("USER {user}")), "+OK");
                self.ask(&format!("PASS {password}"))
            }
            Service::Sieve => {
                let message = homing_wire::encode_base64(format!("\0{user}\0{password}").as_bytes());
                self.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
            }
        }
    }
}

fn tcp(address: SocketAddr, source: IpAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}
