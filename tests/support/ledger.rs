//! Backends that write down who is with them, so that a user who is with two at once is seen.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use homing_login::Service;

/// How long backends take to let go of a user whose connection has ended: they write mailboxes first.
const LEAVING_TIME: Duration = Duration::from_millis(300);

/// Who is where.
#[derive(Default)]
pub struct Ledger {
    /// How long backends take over a login.
    login_time: Duration,
    present: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    /// Users seen at two backends at once.
    pub overlaps: Mutex<Vec<String>>,
    /// Logins by backend.
    pub used: Mutex<BTreeMap<IpAddr, usize>>,
}

impl Ledger {
    /// For backends that take their time over a login.
    pub fn slow(login_time: Duration) -> Self {
        Self { login_time, ..Self::default() }
    }

    fn enter(&self, user: &str, ip: IpAddr) {
        let mut present = self.present.lock().unwrap();
        let places = present.entry(user.to_owned()).or_default();
        if let Some(other) = places.iter().find(|other| **other != ip) {
            self.overlaps.lock().unwrap().push(format!("{user} on {other} and {ip}"));
        }
        places.push(ip);
        *self.used.lock().unwrap().entry(ip).or_default() += 1;
    }

    fn leave(&self, user: &str, ip: IpAddr) {
        let mut present = self.present.lock().unwrap();
        let places = present.get_mut(user).unwrap();
        let at = places.iter().position(|there| *there == ip).unwrap();
        places.swap_remove(at);
    }
}

/// A backend that runs until it is killed.
pub struct Running {
    address: SocketAddr,
    dead: Arc<AtomicBool>,
    streams: Arc<Mutex<BTreeMap<SocketAddr, TcpStream>>>,
    listening: JoinHandle<()>,
}

impl Running {
    /// Connections end, and no others are accepted.
    pub fn kill(self) {
        self.dead.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.listening.join().unwrap();
        for stream in std::mem::take(&mut *self.streams.lock().unwrap()).into_values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A backend of one service.
pub fn start_backend(ip: IpAddr, service: Service, port: u16, ledger: &Arc<Ledger>) -> Running {
    let listener = TcpListener::bind((ip, port)).unwrap();
    let ledger = Arc::clone(ledger);
    let (dead, streams) = (Arc::<AtomicBool>::default(), Arc::<Mutex<BTreeMap<_, _>>>::default());
    let (dead_there, streams_there) = (Arc::clone(&dead), Arc::clone(&streams));
    let listening = thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if dead_there.load(Ordering::SeqCst) {
                return;
            }
            let Ok(peer) = stream.peer_addr() else { continue };
            let (ledger, streams) = (Arc::clone(&ledger), Arc::clone(&streams_there));
            streams.lock().unwrap().insert(peer, stream.try_clone().unwrap());
            let serve = move || {
                let _ = serve(stream, ip, service, &ledger);
                streams.lock().unwrap().remove(&peer);
            };
            thread::Builder::new().stack_size(128 * 1024).spawn(serve).unwrap();
        }
    });
    Running { address: (ip, port).into(), dead, streams, listening }
}

/// Logs anybody in and echoes. The user is present until the connection is seen to end, and a moment longer: real
/// backends write things down when somebody leaves.
fn serve(stream: TcpStream, ip: IpAddr, service: Service, ledger: &Ledger) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(match service {
        Service::Imap => b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+] ready\r\n".as_slice(),
        Service::Pop3 => b"+OK ready\r\n",
        Service::Sieve => b"\"SASL\" \"PLAIN\"\r\nOK\r\n",
    })?;
    let mut name = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        let (done, answer) = match (service, words.as_slice()) {
            (Service::Imap, [tag, "LOGIN", user, ..]) => {
                name = user.trim_matches('"').to_owned();
                (true, format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"))
            }
            (Service::Imap, [tag, ..]) => (false, format!("{tag} OK\r\n")),
            (Service::Pop3, ["USER", user]) => {
                name = (*user).to_owned();
                (false, "+OK\r\n".to_owned())
            }
            (Service::Pop3, [command, ..]) => (*command == "PASS", "+OK\r\n".to_owned()),
            (Service::Sieve, ["AUTHENTICATE", _, message, ..]) => {
                let plain = homing_wire::decode_base64(message.trim_matches('"').as_bytes()).unwrap();
                name = String::from_utf8_lossy(plain.split(|b| *b == 0).nth(1).unwrap()).into_owned();
                (true, "OK\r\n".to_owned())
            }
            _ => (false, "OK\r\n".to_owned()),
        };
        if done {
            thread::sleep(ledger.login_time);
            ledger.enter(&name, ip);
            let ended = writer.write_all(answer.as_bytes()).and_then(|()| echo(&mut reader, &mut writer));
            thread::sleep(LEAVING_TIME);
            ledger.leave(&name, ip);
            return ended;
        }
        writer.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn echo(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<()> {
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        writer.write_all(format!("echo {line}").as_bytes())?;
        line.clear();
    }
    Ok(())
}
