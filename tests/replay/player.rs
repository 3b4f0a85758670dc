//! Plays a script against a running Homing: does what clients, auth server and backends did in the recording and
//! compares what the proxy sends to each of them.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};

use super::{
    auth::AuthServer,
    certificates::certificates,
    normal::normal,
    script::Step,
    wire::{PATIENCE, Wire},
};

/// Longest pause that is kept. Shorter ones only separate segments.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A ClientHello of TLS 1.1 (RFC 4346 section 7.4.1.2): record, handshake, version, random, no session, the suite
/// TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression, no extensions.
const TLS_1_1_HELLO: &[u8] = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02\
    0123456789abcdef0123456789abcdef\x00\x00\x02\xc0\x13\x01\x00";

/// Everybody around the proxy.
pub struct Player {
    proxy: IpAddr,
    /// Of the clients in the order in which they connect; the last one for all that follow.
    client_addresses: Vec<IpAddr>,
    clients: HashMap<usize, Wire>,
    latest_client: usize,
    auth: AuthServer,
    backends: HashMap<usize, Wire>,
    latest_backend: usize,
    arrivals: HashMap<u16, mpsc::Receiver<TcpStream>>,
    backend_tls: Arc<ServerConfig>,
    /// Keeps the host that answers no handshake.
    _unresponsive: Unresponsive,
    /// Recorded and actual address that the proxy came from. With several it may start with any.
    sources: HashMap<String, IpAddr>,
}

impl Player {
    /// `network` are the first three bytes of all addresses.
    pub fn new(network: &str, auth: AuthServer, steps: &[Step]) -> Self {
        let address = |last: u8| -> IpAddr { format!("{network}.{last}").parse().unwrap() };
        let backends = [address(2), address(4)];
        Self {
            proxy: address(1),
            client_addresses: client_addresses(network, steps),
            clients: HashMap::new(),
            latest_client: 1,
            auth,
            backends: HashMap::new(),
            latest_backend: 1,
            arrivals: backend_listeners(&backends, steps),
            backend_tls: certificates().server_config(&backends.map(|a| a.to_string())),
            _unresponsive: Unresponsive::at(SocketAddr::new(address(6), 143)),
            sources: HashMap::new(),
        }
    }

    /// Plays all steps; the error says which step failed and how.
    pub fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|error| format!("step {} {}: {error}", number + 1, shown(step)))?;
        }
        if let Some(line) = self.auth.surplus() {
            return Err(format!("unexpected auth request {line:?}"));
        }
        self.clients.values_mut().chain(self.backends.values_mut()).try_for_each(Wire::surplus)
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::ClientConnects { client, port } => self.connect(*client, *port)?,
            Step::ConnectRefused { port } => self.connect_refused(*port)?,
            Step::Client { client, bytes } => {
                self.latest_client = *client;
                // The proxy may have closed already; what it said before is compared elsewhere.
                let _ = self.client(*client)?.send(bytes);
            }
            Step::Proxy { client, line } => compare(line, &self.client(*client)?.line()?)?,
            Step::ClientCloses { client } => {
                if let Some(mut wire) = self.clients.remove(client) {
                    wire.surplus()?;
                }
            }
            Step::ProxyClosesClient { client } => self.client(*client)?.end()?,
            Step::ClientResets { client } => {
                self.clients.remove(client).into_iter().for_each(Wire::reset);
            }
            Step::ToAuth { line } if line.starts_with(b"VERSION\t") || line.starts_with(b"CPID\t") => {}
            Step::ToAuth { line } => {
                let got = self.auth.expect(line)?;
                compare(line, &got)?;
            }
            Step::FromAuth { line } => self.auth.say(line),
            Step::AuthOpens => self.auth.opened()?,
            Step::AuthCloses => self.auth.close(),
            Step::ClientTls(_) | Step::ClientOldTls | Step::ClientHalfCloses | Step::ClientReads { .. } => {
                self.latest_client_step(step)?
            }
            Step::Pause => thread::sleep(PAUSE_MAX),
            Step::SendFailed | Step::Log { .. } => {}
            Step::BackendAccepts { backend, port, from } => self.accept(*backend, *port, from)?,
            other => self.backend_step(other)?,
        }
        Ok(())
    }

    fn latest_client_step(&mut self, step: &Step) -> Result<(), String> {
        let latest = self.latest_client;
        let client = self.client(latest)?;
        match step {
            Step::ClientTls(tls) => client.client_tls(tls)?,
            Step::ClientOldTls => {
                client.send(TLS_1_1_HELLO).map_err(|e| e.to_string())?;
                client.end()?;
            }
            Step::ClientHalfCloses => client.half_close(),
            Step::ClientReads { bytes } => {
                let count = client.count().map_err(|e| e.to_string())?;
                if count != *bytes {
                    return Err(format!("read {count} bytes"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn backend_step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::BackendTls { client_certificate, server_name } => {
                self.backend_tls(*client_certificate, server_name)?;
            }
            Step::ToBackend { backend, line } => compare(line, &self.backend(*backend)?.line()?)?,
            Step::Backend { backend, bytes } => {
                let _ = self.backend(*backend)?.send(bytes);
            }
            Step::BackendCloses { backend } => {
                if let Some(mut wire) = self.backends.remove(backend) {
                    wire.surplus()?;
                }
            }
            Step::BackendHalfCloses { backend } => {
                if let Some(wire) = self.backends.get(backend) {
                    wire.half_close();
                }
            }
            Step::BackendResets { backend } => {
                self.backends.remove(backend).into_iter().for_each(Wire::reset);
            }
            Step::BackendFloods { bytes } => {
                let wire = self.backends.remove(&self.latest_backend).ok_or("no backend")?;
                wire.flood(*bytes);
            }
            Step::ProxyClosesBackend { backend } => {
                if let Some(mut wire) = self.backends.remove(backend) {
                    wire.end()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, client: usize, port: u16) -> Result<(), String> {
        let address = match &self.client_addresses[..] {
            [only] => *only,
            _ => self.client_addresses.remove(0),
        };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(|e| e.to_string())?;
        socket.bind(&SocketAddr::new(address, 0).into()).map_err(|e| e.to_string())?;
        socket.connect(&SocketAddr::new(self.proxy, port).into()).map_err(|e| e.to_string())?;
        self.clients.insert(client, Wire::new(socket.into()));
        self.latest_client = client;
        Ok(())
    }

    fn connect_refused(&self, port: u16) -> Result<(), String> {
        match TcpStream::connect((self.proxy, port)) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("not refused: {other:?}")),
        }
    }

    fn accept(&mut self, backend: usize, port: u16, from: &str) -> Result<(), String> {
        let arrivals = self.arrivals.get(&port).ok_or("no listener")?;
        let stream = arrivals.recv_timeout(PATIENCE).map_err(|_| "no connection in time".to_owned())?;
        let source = stream.peer_addr().map_err(|e| e.to_string())?.ip();
        let expected = *self.sources.entry(from.to_owned()).or_insert(source);
        let known = self.sources.iter().filter(|(_, actual)| **actual == source).count();
        self.backends.insert(backend, Wire::new(stream));
        self.latest_backend = backend;
        if source == expected && known == 1 { Ok(()) } else { Err(format!("connection from {source}")) }
    }

    /// A handshake that fails is seen by what the proxy does next.
    fn backend_tls(&mut self, client_certificate: bool, server_name: &str) -> Result<(), String> {
        let (latest, config) = (self.latest_backend, Arc::clone(&self.backend_tls));
        let Ok((alice, name)) = self.backend(latest)?.server_tls(&config) else { return Ok(()) };
        // RFC 6066 section 3 allows no addresses, so rustls sends none; the reference does.
        let expected = server_name.parse::<IpAddr>().is_err().then(|| server_name.to_owned());
        if name != expected {
            return Err(format!("asked for {name:?}"));
        }
        if alice == client_certificate { Ok(()) } else { Err(format!("client certificate: {alice}")) }
    }

    fn client(&mut self, client: usize) -> Result<&mut Wire, String> {
        self.clients.get_mut(&client).ok_or_else(|| format!("client {client} is not connected"))
    }

    fn backend(&mut self, backend: usize) -> Result<&mut Wire, String> {
        self.backends.get_mut(&backend).ok_or_else(|| format!("backend connection {backend} is not there"))
    }
}

/// The address that the auth request after each connect names. Clients that ask nothing come from the address
/// that only the log has, if there is one, or else from the same place as most.
fn client_addresses(network: &str, steps: &[Step]) -> Vec<IpAddr> {
    let asked = |step: &Step| match step {
        Step::ToAuth { line } => address_in(network, line, ["\treal_rip=", "\trip="]),
        _ => None,
    };
    let logged = |step: &Step| match step {
        Step::Log { line } => address_in(network, line, ["rip=", "rip="]),
        _ => None,
    };
    let all_asked: Vec<_> = steps.iter().filter_map(asked).collect();
    let leftover = steps.iter().filter_map(logged).find(|address| !all_asked.contains(address));
    let usual = leftover.or(all_asked.first().copied());
    let usual = usual.unwrap_or_else(|| format!("{network}.100").parse().unwrap());
    let mut addresses = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let Step::ClientConnects { .. } = step else { continue };
        let until_next = steps[at + 1..].iter().take_while(|s| !matches!(s, Step::ClientConnects { .. }));
        addresses.push(until_next.filter_map(asked).next().unwrap_or(usual));
    }
    addresses.push(usual);
    addresses
}

/// A client's own address: the value of the first of the keys that is there.
fn address_in(network: &str, line: &[u8], keys: [&str; 2]) -> Option<IpAddr> {
    let line = String::from_utf8_lossy(line).into_owned();
    let rest = keys.iter().find_map(|key| line.split_once(key).map(|(_, rest)| rest))?;
    let address = rest.split(['\t', ',', ')']).next()?;
    address.starts_with(network).then(|| address.parse().ok())?
}

/// A host that does not complete TCP handshakes: its queue for one connection is full, and nobody accepts.
struct Unresponsive {
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Unresponsive {
    fn at(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let queued = (0..4).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        });
        Self { _queued: queued.collect(), _listener: listener }
    }
}

fn compare(recorded: &[u8], got: &[u8]) -> Result<(), String> {
    let (recorded, got) = (normal(recorded), normal(got));
    if recorded == got { Ok(()) } else { Err(format!("\n  recorded {recorded:?}\n  got      {got:?}")) }
}

/// The scripted backends listen on the ports that the recording names.
fn backend_listeners(addresses: &[IpAddr], steps: &[Step]) -> HashMap<u16, mpsc::Receiver<TcpStream>> {
    let mut arrivals = HashMap::new();
    for step in steps {
        let Step::BackendAccepts { port, .. } = step else { continue };
        arrivals.entry(*port).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel();
            for address in addresses {
                let listener = TcpListener::bind((*address, *port)).unwrap();
                let sender = sender.clone();
                thread::spawn(move || {
                    for stream in listener.incoming().map_while(Result::ok) {
                        if sender.send(stream).is_err() {
                            return;
                        }
                    }
                });
            }
            receiver
        });
    }
    arrivals
}

fn shown(step: &Step) -> String {
    match step {
        Step::Client { client, bytes } => format!("C{client}: {:?}", String::from_utf8_lossy(bytes)),
        Step::Proxy { client, line } => format!("S{client}: {:?}", String::from_utf8_lossy(line)),
        Step::ToAuth { line } => format!("L: {:?}", String::from_utf8_lossy(line)),
        Step::FromAuth { line } => format!("A: {:?}", String::from_utf8_lossy(line)),
        Step::ToBackend { backend, line } => format!("P{backend}: {:?}", String::from_utf8_lossy(line)),
        Step::Backend { backend, bytes } => format!("B{backend}: {:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}
