//! No user ever has sessions on two backends at once, with real Dovecots as backends: clients log in as fast as they can
//! in all three protocols, plain and with TLS, and some give up in the middle, while users are moved and kicked, and
//! backends are flushed, taken down and up, removed, added, left out by a reload, frozen, killed and started again. The
//! proof is what the backends' mail processes themselves write (`support/presence.rs`).

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use homing::director::core::{Naming, UsernameFormat};
use homing_login::Service;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use support::{
    certificate,
    client::PATIENCE,
    dovecot::{self, Dovecot, Ports},
    homing::Homing,
    mail_client::Server,
    presence::{Event, History, Watch},
};

const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];
const NAME: &str = "proxy.example";
const PASSWORD: &str = "correct-horse";
const BACKENDS: usize = 3;
const USERS: usize = 30;
/// Clients; more than users, so that some users have several sessions.
const CLIENTS: usize = 40;
/// How long a backend stands still when it is frozen: shorter than the kick delay, after which it would be taken for
/// dead.
const FROZEN: Duration = Duration::from_millis(300);

/// The only source of chance (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

/// What is done to the site, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Move,
    Kick,
    Flush,
    FlushAll,
    Forget,
    ForgetAll,
    Down,
    Up,
    Remove,
    Set,
    Reload,
    Freeze,
    Kill,
    Drain,
}

const DEEDS: [(Deed, usize); 14] = [
    (Deed::Move, 40),
    (Deed::Kick, 12),
    (Deed::Flush, 8),
    (Deed::FlushAll, 3),
    (Deed::Forget, 10),
    (Deed::ForgetAll, 4),
    (Deed::Down, 5),
    (Deed::Up, 10),
    (Deed::Remove, 7),
    (Deed::Set, 20),
    (Deed::Reload, 6),
    (Deed::Freeze, 8),
    (Deed::Kill, 3),
    (Deed::Drain, 5),
];

fn users() -> Vec<String> {
    (0..USERS).map(|n| format!("user{n}")).collect()
}

/// Everything that runs.
struct Site {
    ip: &'static str,
    ports: Ports,
    server: Server,
    homing: Homing,
    auth: Dovecot,
    ips: Vec<IpAddr>,
    backends: Mutex<Vec<Dovecot>>,
    backend_ports: Ports,
    watch: Watch,
    _raw: tempfile::TempDir,
}

impl Site {
    /// `None`, with a printed reason, where Dovecot cannot run. `host` is what the auth service says about backends.
    fn start(net: u8, host: impl Fn(Service, &[IpAddr]) -> String) -> Option<Self> {
        if let Some(reason) = dovecot::missing() {
            eprintln!("SKIPPED: {reason}; nothing was checked against it");
            return None;
        }
        let ips: Vec<IpAddr> = (1..=BACKENDS).map(|n| [127, 44, net, n as u8 + 10].into()).collect();
        let backend_ports = Ports::free(&ips);
        let raw = open_folder();
        let watch = Watch::start(raw.path(), BACKENDS, &users());
        let more = |n| watch.settings(n) + FAST;
        let start =
            |(n, ip): (usize, &IpAddr)| Dovecot::backend_with(*ip, &backend_ports, PASSWORD, &more(n));
        let backends = Mutex::new(ips.iter().enumerate().map(start).collect());
        let auth = Dovecot::auth(|service| password_file(&backend_ports, service, &host(service, &ips)));
        let ip = format!("127.44.{net}.1").leak();
        let ports = Ports::free(&[ip.parse().unwrap()]);
        let folder = open_folder();
        certificate::write(folder.path(), &[NAME]);
        let server = Server::new(ip.parse().unwrap(), NAME, &folder.path().join("cert.pem"));
        let configure = |folder: &Path| configuration(folder, ip, &ports, &auth, &ips);
        let ready = SocketAddr::new(server.ip, ports.plain(Service::Sieve));
        let homing = Homing::start_in(folder, configure, ready);
        let deadline = Instant::now() + PATIENCE;
        while !ports.are_open(server.ip) {
            assert!(Instant::now() < deadline, "not every port is open\n{}", homing.log());
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self { ip, ports, server, homing, auth, ips, backends, backend_ports, watch, _raw: raw })
    }

    fn connect(&self, service: Service, tls: bool) -> io::Result<Client> {
        Client::connect(&self.server, &self.ports, service, tls)
    }

    /// Takes over a configuration with these backends.
    fn reload(&self, backends: &[IpAddr]) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        let text = own + &configuration(folder, self.ip, &self.ports, &self.auth, backends);
        fs::write(self.homing.config(), text).unwrap();
        self.homing.signal("HUP");
    }

    /// All sessions have ended, and this is what happened.
    fn end(self) -> (History, String) {
        let log = self.homing.log();
        drop(self.homing);
        // The mail processes end with their instance, and close what they have open.
        drop(self.backends);
        (self.watch.history(), log)
    }
}

/// Processes that serve many sessions, one after the other: the machine is to be busy with sessions, not with forks.
const FAST: &str = "service imap-login {\n service_count = 0\n}\nservice pop3-login {\n service_count = 0\n}\n\
    service managesieve-login {\n service_count = 0\n}\nservice imap {\n service_count = 50\n}\n\
    service pop3 {\n service_count = 50\n}\nservice managesieve {\n service_count = 50\n}\n\
    service auth {\n client_limit = 5000\n}\nservice anvil {\n client_limit = 5000\n}\n";

fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Backends are reached in all ways, and each user's in several. With TLS, Dovecot's login process stands between us and
/// the mail process, and closes the connection some moments before the mail process has ended: what the kick delay is
/// for.
fn password_file(ports: &Ports, service: Service, host: &str) -> String {
    let protected = |number| match number % 3 {
        0 => format!("port={}", ports.plain(service)),
        1 => format!("port={} ssl=any-cert", ports.tls(service)),
        _ => format!("port={} starttls=any-cert", ports.plain(service)),
    };
    let first = SERVICES.iter().position(|one| *one == service).unwrap();
    let line = |(number, user): (usize, &String)| {
        format!("{user}:{{PLAIN}}{PASSWORD}::::::proxy=y {} {host}\n", protected(first + number))
    };
    users().iter().enumerate().map(line).collect()
}

fn configuration(folder: &Path, ip: &str, ports: &Ports, auth: &Dovecot, backends: &[IpAddr]) -> String {
    let servers: Vec<_> = backends.iter().map(ToString::to_string).collect();
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\nssl = yes\nssl_cert = <{0}/cert.pem\nssl_key = <{0}/key.pem\n\
         disable_plaintext_auth = no\nshutdown_clients = no\nlogin_auth_socket_path = {1}\n\
         director_mail_servers = {2}\ndirector_user_expire = 10 s\ndirector_user_kick_delay = 2 s\n{3}",
        folder.display(),
        auth.auth_socket().display(),
        servers.join(" "),
        ports.listeners()
    )
}

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// A client that may be cut off at any time.
struct Client {
    stream: BufReader<Box<dyn Connection>>,
    service: Service,
}

impl Client {
    fn connect(server: &Server, ports: &Ports, service: Service, tls: bool) -> io::Result<Self> {
        let port = if tls { ports.tls(service) } else { ports.plain(service) };
        let tcp = TcpStream::connect_timeout(&SocketAddr::new(server.ip, port), PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Connection> = match tls {
            true => {
                let name = ServerName::try_from(server.name).unwrap();
                let connection = ClientConnection::new(Arc::clone(&server.trusted), name).unwrap();
                Box::new(StreamOwned::new(connection, tcp))
            }
            false => Box::new(tcp),
        };
        let mut client = Self { stream: BufReader::new(stream), service };
        while client.line()?.starts_with('"') {}
        Ok(client)
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.stream.get_mut().flush()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        self.send(line)?;
        self.line()
    }

    /// All of a login but the answer.
    fn ask_in(&mut self, user: &str) -> io::Result<()> {
        match self.service {
            Service::Imap => self.send(&format!("a LOGIN {user} {PASSWORD}")),
            Service::Pop3 => {
                self.ask(&format!("USER {user}"))?;
                self.send(&format!("PASS {PASSWORD}"))
            }
            Service::Sieve => {
                let message = homing_wire::encode_base64(format!("\0{user}\0{PASSWORD}").as_bytes());
                self.send(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
            }
        }
    }

    /// Logs in; false if that is refused.
    fn log_in(&mut self, user: &str) -> io::Result<bool> {
        self.ask_in(user)?;
        let answer = self.line()?;
        Ok(["a OK", "+OK", "OK"].iter().any(|start| answer.starts_with(start)))
    }

    /// Does something that each protocol has.
    fn noop(&mut self) -> io::Result<String> {
        self.ask(if self.service == Service::Imap { "b NOOP" } else { "NOOP" })
    }

    fn log_out(&mut self) -> io::Result<()> {
        self.send(match self.service {
            Service::Imap => "c LOGOUT",
            Service::Pop3 => "QUIT",
            Service::Sieve => "LOGOUT",
        })?;
        io::copy(&mut self.stream, &mut io::sink()).map(|_| ())
    }
}

/// What the clients saw.
#[derive(Debug, Default)]
struct Seen {
    logins: AtomicUsize,
    refused: AtomicUsize,
    given_up: AtomicUsize,
    cut_off: AtomicUsize,
}

impl Seen {
    fn count(counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sessions one after the other.
fn visit(site: &Site, number: usize, seed: u64, over: &AtomicBool, seen: &Seen) {
    let mut random = Random(seed ^ number as u64);
    let user = format!("user{}", number % USERS);
    while !over.load(Ordering::SeqCst) {
        if session(site, &user, &mut random, seen).is_err() {
            Seen::count(&seen.cut_off);
        }
    }
}

fn session(site: &Site, user: &str, random: &mut Random, seen: &Seen) -> io::Result<()> {
    let mut client = site.connect(SERVICES[random.below(3)], random.one_in(2))?;
    if random.one_in(8) {
        // Gives up while the backend may be anywhere in its part of the login.
        client.ask_in(user)?;
        thread::sleep(Duration::from_millis(random.below(12) as u64));
        Seen::count(&seen.given_up);
        return Ok(());
    }
    if !client.log_in(user)? {
        Seen::count(&seen.refused);
        return Ok(());
    }
    Seen::count(&seen.logins);
    for _ in 0..random.below(4) {
        thread::sleep(Duration::from_millis(random.below(150) as u64));
        client.noop()?;
    }
    if random.one_in(2) { client.log_out() } else { Ok(()) }
}

/// The deeds in an order by chance.
fn deeds(random: &mut Random) -> Vec<Deed> {
    let mut deeds: Vec<_> = DEEDS.iter().flat_map(|(deed, times)| vec![*deed; *times]).collect();
    for n in (1..deeds.len()).rev() {
        deeds.swap(n, random.below(n + 1));
    }
    deeds
}

/// A connection to the admin socket.
struct Admin(BufReader<UnixStream>);

impl Admin {
    fn connect(homing: &Homing) -> Self {
        let stream = UnixStream::connect(homing.folder().join("director-admin")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut admin = Self(BufReader::new(stream));
        assert!(admin.ask("VERSION\tdirector-doveadm\t1\t0").starts_with("VERSION\t"));
        admin
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer
    }

    /// What is there to be changed is chance, so it may be missing or in use.
    fn done(&mut self, request: &str) {
        let answer = self.ask(request);
        assert!(["OK\n", "NOTFOUND\n", "TRYAGAIN\n"].contains(&answer.as_str()), "{request}: {answer:?}");
    }
}

/// Sends everybody away from a backend that stands still: the users are forgotten once their sessions have ended, and
/// these are kicked. The ends of the sessions are real only when the backend runs again.
fn evacuate(admin: &mut Admin, backend: IpAddr) {
    admin.done(&format!("HOST-SET\t{backend}\t0"));
    admin.done(&format!("HOST-FLUSH\t{backend}"));
    users().iter().for_each(|user| admin.done(&format!("USER-KICK\t{user}")));
    thread::sleep(FROZEN);
}

/// Drains a backend for a second, or until nobody is left there.
fn drain(site: &Site, backend: IpAddr) {
    let mut homing = Command::new(env!("CARGO_BIN_EXE_homing"));
    homing.args(["director", "drain", "--rate", "200/s", "--grace", "1s", "--timeout", "1s", "-a"]);
    homing.arg(site.homing.folder().join("director-admin")).arg(backend.to_string());
    let told = homing.output().unwrap();
    eprintln!("drain: {}: {}", told.status, String::from_utf8_lossy(&told.stderr));
}

/// Does all deeds. The first backend is never taken out, so that every login finds a place.
fn disturb(site: &Site, random: &mut Random) {
    let mut admin = Admin::connect(&site.homing);
    for deed in deeds(random) {
        let (any, other) = (random.below(BACKENDS), 1 + random.below(BACKENDS - 1));
        eprintln!("{deed:?}, one of {any} and {other}");
        match deed {
            Deed::Reload => {
                let others = site.ips.iter().skip(1).filter(|_| random.one_in(2));
                site.reload(&site.ips[..1].iter().chain(others).copied().collect::<Vec<_>>());
            }
            Deed::Freeze => {
                site.backends.lock().unwrap()[other].freeze(|| evacuate(&mut admin, site.ips[other]));
                admin.done(&format!("HOST-SET\t{}\t100", site.ips[other]));
            }
            Deed::Kill => {
                site.watch.killed(any);
                let backend = &mut site.backends.lock().unwrap()[any];
                backend.kill();
                backend.restart(site.ips[any], &site.backend_ports);
            }
            Deed::Drain => {
                drain(site, site.ips[other]);
                admin.done(&format!("HOST-SET\t{}\t100", site.ips[other]));
            }
            _ => {
                admin.done(&request(deed, site.ips[any], site.ips[other], random));
            }
        }
        thread::sleep(Duration::from_millis(random.below(150) as u64));
    }
}

/// What an administrator asks for.
fn request(deed: Deed, any: IpAddr, other: IpAddr, random: &mut Random) -> String {
    let user = format!("user{}", random.below(USERS));
    match deed {
        Deed::Move => {
            let format = UsernameFormat::parse("%Lu").unwrap();
            let naming = Naming { format, master_user_separator: None };
            format!("USER-MOVE\t{}\t{any}", naming.hash(user.as_bytes()))
        }
        Deed::Kick => format!("USER-KICK\t{user}"),
        Deed::Flush => format!("HOST-RESET-USERS\t{any}\t{USERS}"),
        Deed::FlushAll => format!("HOST-RESET-USERS\t\t{USERS}"),
        Deed::Forget => format!("HOST-FLUSH\t{any}"),
        Deed::ForgetAll => "HOST-FLUSH\t".to_owned(),
        Deed::Down => format!("HOST-DOWN\t{other}"),
        Deed::Up => format!("HOST-UP\t{other}"),
        Deed::Remove => format!("HOST-REMOVE\t{other}"),
        Deed::Set => format!("HOST-SET\t{other}\t{}", [0, 50, 100, 100][random.below(4)]),
        Deed::Reload | Deed::Freeze | Deed::Kill | Deed::Drain => unreachable!("not for the admin socket"),
    }
}

/// Of this run, or of one that is to be repeated as far as the machine allows.
fn seed() -> u64 {
    let wanted = std::env::var("HOMING_SEED").ok().and_then(|seed| seed.parse().ok());
    wanted.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64)
}

#[test]
fn w01_w02_w04_w10_no_user_is_on_two_real_backends_whatever_happens() {
    let Some(site) = Site::start(1, |_, _| String::new()) else { return };
    let (seed, seen, over) = (seed(), Seen::default(), AtomicBool::new(false));
    let (served, disturbed) = thread::scope(|scope| {
        let (site, seen, over) = (&site, &seen, &over);
        let client = |n| scope.spawn(move || visit(site, n, seed, over, seen));
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        let disturbed = scope.spawn(move || disturb(site, &mut Random(seed))).join().is_ok();
        over.store(true, Ordering::SeqCst);
        let served: Vec<_> = clients.into_iter().map(|one| one.join().is_ok()).collect();
        (served.into_iter().all(|ok| ok), disturbed)
    });
    assert!(served && disturbed, "HOMING_SEED={seed}");
    let (history, log) = site.end();
    eprintln!("HOMING_SEED={seed}: sessions by backend {:?}, clients {seen:?}", history.sessions);
    let overlaps = &history.overlaps;
    if !overlaps.is_empty() {
        eprintln!("--- log of homing:\n{log}");
    }
    assert!(
        overlaps.is_empty(),
        "HOMING_SEED={seed}, {} overlaps, e.g. {:?}",
        overlaps.len(),
        overlaps.first()
    );
    assert_eq!(history.present(), 0, "HOMING_SEED={seed}: all sessions have ended");
    assert!(!log.contains("panicked"), "HOMING_SEED={seed}");
    let moves = log.lines().filter(|line| line.contains(": left ")).count();
    let (logins, cut_off) = (seen.logins.into_inner(), seen.cut_off.into_inner());
    let enough = history.sessions.len() == BACKENDS && logins > 100 && moves > 20 && cut_off > 10;
    assert!(enough, "too little happened: {:?}, {moves} moves, {cut_off} cut off", history.sessions);
}

/// The proof can fail: an auth service that names one backend for IMAP and another one for POP3 puts a user on both.
#[test]
fn the_watch_sees_a_user_on_two_real_backends() {
    let host = |service, ips: &[IpAddr]| format!("host={}", ips[usize::from(service == Service::Pop3)]);
    let Some(site) = Site::start(2, host) else { return };
    let mut imap = site.connect(Service::Imap, true).unwrap();
    assert!(imap.log_in("user0").unwrap());
    let mut pop3 = site.connect(Service::Pop3, false).unwrap();
    assert!(pop3.log_in("user0").unwrap());
    pop3.log_out().unwrap();
    imap.log_out().unwrap();
    let mut other = site.connect(Service::Pop3, false).unwrap();
    assert!(other.log_in("user1").unwrap());
    other.log_out().unwrap();
    let (history, _) = site.end();
    assert_eq!((history.overlaps.len(), history.present()), (1, 0), "{history:?}");
    assert!(history.overlaps[0].starts_with("user0: "), "{history:?}");
}

#[test]
fn a_history_tells_overlaps_from_visits_one_after_the_other() {
    let begin = |user: &str, backend, session: &str| Event::Begin {
        user: user.to_owned(),
        backend,
        session: session.to_owned(),
    };
    let end = |user: &str, backend, session: &str| Event::End {
        user: user.to_owned(),
        backend,
        session: session.to_owned(),
    };
    let overlaps = |events: Vec<Event>| {
        let mut history = History::default();
        events.into_iter().for_each(|event| history.note(event));
        history.overlaps.len()
    };
    let (first, second) = (begin("a", 0, "1"), begin("a", 1, "2"));
    assert_eq!(overlaps(vec![first.clone(), begin("a", 0, "2"), begin("b", 1, "3")]), 0);
    assert_eq!(overlaps(vec![first.clone(), end("a", 0, "1"), second.clone()]), 0);
    assert_eq!(overlaps(vec![first.clone(), second.clone()]), 1);
    assert_eq!(overlaps(vec![first.clone(), begin("a", 0, "2"), end("a", 0, "1"), second.clone()]), 1);
    assert_eq!(
        overlaps(vec![first.clone(), Event::Killed { backend: 0 }, second.clone(), end("a", 0, "1")]),
        0
    );
    assert_eq!(overlaps(vec![first.clone(), Event::Killed { backend: 1 }, second.clone()]), 1);
    assert_eq!(overlaps(vec![Event::Killed { backend: 0 }, first, second]), 1);
}
