//! Plays a script against a running Homing: does what clients, auth server and backends did in the recording and
//! compares what the proxy sends to each of them.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use socket2::{Domain, Socket, Type};

use super::{
    auth::AuthServer,
    normal::normal,
    script::Step,
    wire::{PATIENCE, Wire},
};

/// Everybody around the proxy.
pub struct Player {
    proxy: IpAddr,
    client_address: IpAddr,
    clients: HashMap<usize, Wire>,
    latest_client: usize,
    auth: AuthServer,
    backends: HashMap<usize, Wire>,
    latest_backend: usize,
    arrivals: HashMap<u16, mpsc::Receiver<TcpStream>>,
}

impl Player {
    /// `network` are the first three bytes of all addresses.
    pub fn new(network: &str, auth: AuthServer, steps: &[Step]) -> Self {
        let address = |last: u8| -> IpAddr { format!("{network}.{last}").parse().unwrap() };
        Self {
            proxy: address(1),
            client_address: address(100),
            clients: HashMap::new(),
            latest_client: 1,
            auth,
            backends: HashMap::new(),
            latest_backend: 1,
            arrivals: backend_listeners(&[address(2), address(4)], steps),
        }
    }

    /// Plays all steps; the error says which step failed and how.
    pub fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            self.step(step).map_err(|error| format!("step {} {}: {error}", number + 1, shown(step)))?;
        }
        match self.auth.surplus() {
            Some(line) => Err(format!("unexpected auth request {line:?}")),
            None => Ok(()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::ClientConnects { client, port } => self.connect(*client, *port)?,
            Step::ClientTls { server_name } => {
                let (proxy, latest) = (self.proxy, self.latest_client);
                self.client(latest)?.client_tls(server_name.as_deref(), proxy);
            }
            Step::Client { client, bytes } => {
                self.latest_client = *client;
                // The proxy may have closed already; what it said before is compared elsewhere.
                let _ = self.client(*client)?.send(bytes);
            }
            Step::Proxy { client, line } => compare(line, &self.client(*client)?.line()?)?,
            Step::ToAuth { line } if line.starts_with(b"VERSION\t") || line.starts_with(b"CPID\t") => {}
            Step::ToAuth { line } => {
                let got = self.auth.expect(line)?;
                compare(line, &got)?;
            }
            Step::FromAuth { line } if !is_reply(line) => {}
            Step::FromAuth { line } => self.auth.answer(line)?,
            Step::BackendAccepts { backend, port } => self.accept(*backend, *port)?,
            Step::BackendTls => {
                let latest = self.latest_backend;
                self.backend(latest)?.server_tls();
            }
            Step::ToBackend { backend, line } => compare(line, &self.backend(*backend)?.line()?)?,
            Step::Backend { backend, bytes } => {
                let _ = self.backend(*backend)?.send(bytes);
            }
            Step::ClientCloses { client } => drop(self.clients.remove(client)),
            Step::ClientHalfCloses => {
                let latest = self.latest_client;
                self.client(latest)?.half_close();
            }
            Step::ProxyClosesClient { client } => self.client(*client)?.end()?,
            Step::BackendCloses { backend } => drop(self.backends.remove(backend)),
            Step::AuthCloses => self.auth.close(),
        }
        Ok(())
    }

    fn connect(&mut self, client: usize, port: u16) -> Result<(), String> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(|e| e.to_string())?;
        socket.bind(&SocketAddr::new(self.client_address, 0).into()).map_err(|e| e.to_string())?;
        socket.connect(&SocketAddr::new(self.proxy, port).into()).map_err(|e| e.to_string())?;
        self.clients.insert(client, Wire::new(socket.into()));
        self.latest_client = client;
        Ok(())
    }

    fn accept(&mut self, backend: usize, port: u16) -> Result<(), String> {
        let arrivals = self.arrivals.get(&port).ok_or("no listener")?;
        let stream = arrivals.recv_timeout(PATIENCE).map_err(|_| "no connection in time".to_owned())?;
        self.backends.insert(backend, Wire::new(stream));
        self.latest_backend = backend;
        Ok(())
    }

    fn client(&mut self, client: usize) -> Result<&mut Wire, String> {
        self.clients.get_mut(&client).ok_or_else(|| format!("client {client} is not connected"))
    }

    fn backend(&mut self, backend: usize) -> Result<&mut Wire, String> {
        self.backends.get_mut(&backend).ok_or_else(|| format!("backend connection {backend} is not there"))
    }
}

fn is_reply(line: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"OK\t", b"FAIL\t", b"CONT\t"];
    words.iter().any(|word| line.starts_with(word))
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
