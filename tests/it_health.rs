//! Backends that die and come back while users log in: they are found out, their users come back elsewhere by
//! themselves, nobody is on two backends, and what a person has said holds. The backends write down who is with them.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use homing::director::core::{Host, Naming, Ring, UsernameFormat};
use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    dovecot::{self, Dovecot, Ports},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
    ledger::{Ledger, Running, start_backend},
};

const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];

/// Where the proxy listens; backends listen 1000 higher.
fn port(service: Service) -> u16 {
    match service {
        Service::Imap => 1143,
        Service::Pop3 => 1110,
        Service::Sieve => 1190,
    }
}

/// Addresses of one test: the proxy's, then those of its backends.
struct Net(u8);

impl Net {
    fn proxy(&self) -> String {
        format!("127.44.{}.1", self.0)
    }

    fn backend(&self, n: usize) -> IpAddr {
        format!("127.44.{}.{}", self.0, 11 + n).parse().unwrap()
    }

    fn backends(&self, count: usize) -> Vec<String> {
        (0..count).map(|n| self.backend(n).to_string()).collect()
    }
}

/// A proxy in front of some backends.
struct Site {
    homing: Homing,
    _auth: FakeAuth,
    net: Net,
    backends: usize,
}

impl Site {
    fn start(net: Net, backends: usize, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth"), |service| {
            let service = SERVICES.into_iter().find(|s| s.auth_name() == service).unwrap();
            format!("proxy\tport={}", port(service) + 1000)
        });
        let configure = |folder: &Path| configuration(folder, &net, backends, more);
        let ready = format!("{}:1190", net.proxy()).parse().unwrap();
        let homing = Homing::start_in(folder, configure, ready);
        Self { homing, _auth: auth, net, backends }
    }

    fn reload(&self, more: &str) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        let rest = configuration(folder, &self.net, self.backends, more);
        fs::write(folder.join("new.conf"), own + &rest).unwrap();
        fs::rename(folder.join("new.conf"), self.homing.config()).unwrap();
        let before = self.homing.log().matches("the new configuration is in use").count();
        self.homing.signal("HUP");
        wait_until("the reload", || {
            self.homing.log().matches("the new configuration is in use").count() > before
        });
    }

    fn client(&self, service: Service) -> Client {
        Client::greeted(SocketAddr::new(self.net.proxy().parse().unwrap(), port(service)))
    }

    /// The answers of the director to one request of an administrator.
    fn ask(&self, request: &str) -> Vec<String> {
        let stream = UnixStream::connect(self.homing.folder().join("director-admin")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        reader.get_mut().write_all(b"VERSION\tdirector-doveadm\t1\t0\n").unwrap();
        reader.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut lines = reader.lines().map_while(Result::ok).skip(1);
        if request.starts_with("HOST-LIST") {
            lines.take_while(|line| !line.is_empty()).collect()
        } else {
            lines.next().into_iter().collect()
        }
    }

    /// Weight, and whether it is up.
    fn host(&self, n: usize) -> (u32, bool) {
        let ip = self.net.backend(n).to_string();
        let rows = self.ask("HOST-LIST");
        let row = rows.iter().find(|row| row.split('\t').next() == Some(&ip)).unwrap();
        let cells: Vec<_> = row.split('\t').collect();
        (cells[1].parse().unwrap(), cells[4] != "D")
    }

    fn wait_down(&self, n: usize) {
        let line = format!("backend {} ", self.net.backend(n));
        wait_until("a backend is marked down", || {
            self.homing.log().lines().any(|l| l.contains(&line) && l.ends_with(": marked down"))
        });
        assert!(!self.host(n).1);
    }

    fn wait_up(&self, n: usize) {
        self.homing
            .wait_for_log(&format!("backend {}: checks succeed again: marked up", self.net.backend(n)));
    }

    /// A user of this backend, by hash.
    fn user_of(&self, n: usize) -> String {
        let hosts: Vec<_> =
            (0..self.backends).map(|n| Host::new(self.net.backend(n), None, Vec::new())).collect();
        let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
        let ring = Ring::of(&hosts);
        let is_there =
            |user: &String| ring.lookup(b"", naming.hash(user.as_bytes())) == Some(self.net.backend(n));
        (0..).map(|n| format!("user{n}")).find(is_there).unwrap()
    }
}

fn configuration(folder: &Path, net: &Net, backends: usize, more: &str) -> String {
    format!(
        "protocols = imap pop3 sieve\nlisten = {}\nssl = no\ndisable_plaintext_auth = no\nshutdown_clients = no\n\
         login_auth_socket_path = {}/auth\ndirector_mail_servers = {}\ndirector_user_kick_delay = 1 secs\n\
         health_interval = 1 secs\nhealth_timeout = 1 secs\nhealth_fall = 2\n\
         protocol imap {{\n health_port = 2143\n}}\nprotocol pop3 {{\n health_port = 2110\n}}\n\
         protocol sieve {{\n health_port = 2190\n}}\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n{more}\n",
        net.proxy(),
        folder.display(),
        net.backends(backends).join(" ")
    )
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Backends with all three services and a ledger.
struct Pool {
    ledger: Arc<Ledger>,
    running: Vec<Vec<Running>>,
    ips: Vec<IpAddr>,
}

impl Pool {
    fn start(net: &Net, count: usize) -> Self {
        let ips: Vec<_> = (0..count).map(|n| net.backend(n)).collect();
        let mut pool = Self { ledger: Arc::default(), running: Vec::new(), ips: ips.clone() };
        pool.running = ips.iter().map(|ip| pool.all(*ip)).collect();
        pool
    }

    fn all(&self, ip: IpAddr) -> Vec<Running> {
        SERVICES.map(|service| start_backend(ip, service, port(service) + 1000, &self.ledger)).into()
    }

    fn kill(&mut self, n: usize) {
        std::mem::take(&mut self.running[n]).into_iter().for_each(Running::kill);
    }

    fn revive(&mut self, n: usize) {
        self.running[n] = self.all(self.ips[n]);
    }

    fn logins(&self, n: usize) -> usize {
        self.ledger.used.lock().unwrap().get(&self.ips[n]).copied().unwrap_or(0)
    }

    fn assert_one_backend_per_user(&self) {
        let overlaps = self.ledger.overlaps.lock().unwrap();
        assert!(overlaps.is_empty(), "{} overlaps, e.g. {:?}", overlaps.len(), overlaps.first());
    }
}

fn log_in(client: &mut Client, service: Service, user: &str) -> String {
    match service {
        Service::Imap => client.ask(&format!("a LOGIN {user} pw")),
        Service::Pop3 => {
            assert_eq!(client.ask(&format!("USER {user}")), "+OK");
            client.ask("PASS pw")
        }
        Service::Sieve => {
            let message = homing_wire::encode_base64(format!("\0{user}\0pw").as_bytes());
            client.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
        }
    }
}

const CLIENTS: usize = 24;
const USERS: usize = 12;

/// One session after the other. A session may end with its backend; a login is never refused.
fn visit(site: &Site, number: usize, over: &AtomicBool) {
    let user = format!("user{}", number % USERS);
    for round in (0..).take_while(|_| !over.load(Ordering::SeqCst)) {
        let service = SERVICES[(number + round) % SERVICES.len()];
        let mut client = site.client(service);
        let answer = log_in(&mut client, service, &user);
        assert!(answer.contains("OK"), "{service:?} {user}: {answer}");
        thread::sleep(Duration::from_millis((number * 7 + round * 13) as u64 % 40));
    }
}

/// All protocols of a backend end while users log in as fast as they can. Every login finds another backend within its
/// own attempts, without a person doing anything.
#[test]
fn w11_w12_users_of_a_killed_backend_come_back_elsewhere_by_themselves() {
    let net = Net(1);
    let mut pool = Pool::start(&net, 3);
    let site = Site::start(net, 3, "health_check = greeting");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (site, over) = (&site, &over);
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || visit(site, n, over))).collect();
        let steps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("every backend has users", || (0..3).all(|n| pool.logins(n) > 20));
            pool.kill(0);
            site.wait_down(0);
            let before = pool.logins(0);
            let others = pool.logins(1) + pool.logins(2);
            wait_until("the others serve on", || pool.logins(1) + pool.logins(2) > others + 200);
            assert_eq!(pool.logins(0), before);
            pool.revive(0);
            site.wait_up(0);
        }));
        over.store(true, Ordering::SeqCst);
        let ended: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        assert!(ended.iter().all(Result::is_ok), "every login must succeed");
        steps.unwrap();
    });
    pool.assert_one_backend_per_user();
    let log = site.homing.log();
    assert!(log.contains("backend 127.44.1.11: its users are moved to others"));
    assert!(!log.contains("panicked"));
}

/// No checks of anybody, as with Dovecot's director; a login that is repeated asks the director each time.
#[test]
fn w12_a_repeated_login_follows_its_user() {
    let net = Net(2);
    let pool = {
        let mut pool = Pool::start(&net, 2);
        pool.kill(0);
        pool
    };
    let site = Site::start(net, 2, "login_proxy_max_reconnects = 50\nmail_debug = yes");
    let user = site.user_of(0);
    let mut client = site.client(Service::Imap);
    client.send(format!("a LOGIN {user} pw\r\n"));
    site.homing.wait_for_log("Connection refused - retrying");
    let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
    let hash = naming.hash(user.as_bytes());
    let answer = site.ask(&format!("USER-MOVE\t{hash}\t{}", site.net.backend(1)));
    // In the moment between two attempts nobody is anywhere; during one, the move ends the session.
    assert_eq!(answer, ["OK"]);
    let answer = client.line();
    assert!(answer.starts_with("a OK"), "{answer}");
    assert_eq!(pool.logins(1), 1);
    let line = site.homing.wait_for_log("Started proxying to <127.44.2.12>");
    assert!(line.contains("reconnects"), "{line}");
}

/// A backend that accepts connections and hangs. Whoever waits there goes where the user goes.
#[test]
fn w12_a_login_that_hangs_at_a_backend_that_is_taken_down_goes_elsewhere() {
    let net = Net(3);
    let hung = FakeBackend::start((net.backend(0), 2143).into(), Service::Imap, Behaviour::Silent);
    let good = FakeBackend::start((net.backend(1), 2143).into(), Service::Imap, Behaviour::Good);
    let site = Site::start(net, 2, "");
    let user = site.user_of(0);
    let mut client = site.client(Service::Imap);
    client.send(format!("a LOGIN {user} pw\r\n"));
    wait_until("the login hangs", || hung.live() == 1);
    let ip = site.net.backend(0);
    assert_eq!(site.ask(&format!("HOST-DOWN\t{ip}")), ["OK"]);
    assert_eq!(hung.live(), 1, "down alone moves nobody");
    assert_eq!(site.ask(&format!("HOST-RESET-USERS\t{ip}")), ["OK"]);
    let answer = client.line();
    assert!(answer.starts_with("a OK"), "{answer}");
    assert_eq!(client.ask("hello"), "echo hello");
    assert_eq!(good.logins(), 1);
    wait_until("the old attempt is over", || hung.live() == 0);
}

/// The same without a person.
#[test]
fn w11_a_login_that_hangs_goes_elsewhere_when_the_checks_have_noticed() {
    let net = Net(4);
    let hung = FakeBackend::start((net.backend(0), 2143).into(), Service::Imap, Behaviour::Silent);
    let good: Vec<_> = (1..3)
        .map(|n| FakeBackend::start((net.backend(n), 2143).into(), Service::Imap, Behaviour::Good))
        .collect();
    let site = Site::start(net, 3, "protocol imap {\n health_check = greeting\n}\nhealth_interval = 3 secs");
    let user = site.user_of(0);
    let mut client = site.client(Service::Imap);
    let answer = log_in(&mut client, Service::Imap, &user);
    assert!(answer.starts_with("a OK"), "{answer}");
    assert_eq!(client.ask("hello"), "echo hello");
    assert_eq!(good.iter().map(FakeBackend::logins).sum::<usize>(), 1);
    assert!(!site.host(0).1);
    wait_until("the old attempt is over", || hung.live() == 0);
}

/// Which failures are seen depends on the depth.
#[test]
fn checks_go_as_deep_as_they_are_told() {
    let down = |depth: &str, behaviour: Option<Behaviour>, net: u8| {
        let net = Net(net);
        let good: Vec<_> = (1..3)
            .map(|n| FakeBackend::start((net.backend(n), 2143).into(), Service::Imap, Behaviour::Good))
            .collect();
        let _bad = behaviour
            .map(|behaviour| FakeBackend::start((net.backend(0), 2143).into(), Service::Imap, behaviour));
        let more = format!(
            "protocol imap {{\n health_check = {depth}\n health_user = probe\n health_password = secret\n}}"
        );
        let site = Site::start(net, 3, &more);
        site.wait_down(0);
        let log = site.homing.log();
        assert!(!log.contains("secret"), "passwords are not for logs");
        assert_eq!(log.matches(": marked down").count(), 1, "{log}");
        let logins: usize = good.iter().map(FakeBackend::logins).sum();
        assert_eq!(logins > 0, depth == "login", "{depth}: {logins}");
        // The test user is nobody to the director.
        assert!(site.ask("HOST-LIST").iter().all(|row| row.split('\t').nth(2) == Some("0")));
        log.lines().find(|line| line.ends_with(": marked down")).unwrap().to_owned()
    };
    let line = down("connect", None, 10);
    assert!(line.contains("backend 127.44.10.11 imap: 2 checks failed (Connection refused)"), "{line}");
    let line = down("greeting", Some(Behaviour::Silent), 11);
    assert!(line.contains("imap: 2 checks failed (Login timed out (state="), "{line}");
    let line = down("greeting", Some(Behaviour::Garbage), 12);
    assert!(line.contains("imap: 2 checks failed ("), "{line}");
    let line = down("login", Some(Behaviour::Refusing), 13);
    assert!(line.contains("imap: 2 checks failed ("), "{line}");
}

#[test]
fn what_lies_deeper_than_the_check_is_not_seen() {
    let net = Net(14);
    let behaviours = [Behaviour::Good, Behaviour::Silent, Behaviour::Refusing];
    let backends: Vec<_> = (0..6)
        .map(|n| {
            let behaviour = behaviours[n % 3];
            FakeBackend::start((net.backend(n), 2143).into(), Service::Imap, behaviour)
        })
        .collect();
    // One more that has nothing at all: it is found out, so the others have been looked at.
    let site = Site::start(net, 7, "protocol imap {\n health_check = connect\n}");
    site.wait_down(6);
    assert!((0..6).all(|n| site.host(n).1));
    assert!(backends.iter().all(|backend| backend.logins() == 0));
}

#[test]
fn when_all_backends_are_dead_nobody_is_marked_down() {
    let net = Net(20);
    let mut pool = Pool::start(&net, 3);
    let site = Site::start(net, 3, "health_check = connect");
    let mut client = site.client(Service::Imap);
    assert!(log_in(&mut client, Service::Imap, "user1").contains("OK"));
    drop(client);
    (0..3).for_each(|n| pool.kill(n));
    for service in SERVICES {
        let line =
            format!("{} has failed at 3 of 3 backends with tag '': taken for a fault", service.auth_name());
        site.homing.wait_for_log(&line);
    }
    (0..3).for_each(|n| pool.revive(n));
    for service in SERVICES {
        site.homing
            .wait_for_log(&format!("{}: backends with tag '' are judged one by one", service.auth_name()));
    }
    let log = site.homing.log();
    assert!(!log.contains("marked down"), "{log}");
    assert!((0..3).all(|n| site.host(n).1));
    let mut client = site.client(Service::Imap);
    assert!(log_in(&mut client, Service::Imap, "user1").contains("OK"));
}

#[test]
fn a_recovered_backend_gets_its_weight_back_slowly_unless_a_person_says_otherwise() {
    let net = Net(21);
    let mut pool = Pool::start(&net, 2);
    let site = Site::start(net, 2, "health_check = connect\nhealth_slow_start = 4 secs");
    let ip = site.net.backend(0);
    pool.kill(0);
    site.wait_down(0);
    assert_eq!(site.host(0), (100, false), "the weight is a person's business while it is down");
    pool.revive(0);
    site.wait_up(0);
    for weight in [20, 40, 60, 80, 100] {
        site.homing.wait_for_log(&format!("backend {ip}: slow start, weight {weight}"));
    }
    assert_eq!(site.host(0), (100, true));
    // Again, but somebody sets the weight meanwhile.
    site.reload("health_check = connect\nhealth_slow_start = 1 hours");
    pool.kill(0);
    wait_until("it is down again", || !site.host(0).1);
    pool.revive(0);
    wait_until("it is up with the first step", || site.host(0) == (20, true));
    assert_eq!(site.ask(&format!("HOST-UPDATE\t{ip}\t7")), ["OK"]);
    site.homing.wait_for_log(&format!("backend {ip}: slow start ends, since its weight was changed"));
    assert_eq!(site.host(0), (7, true));
}

/// As poolmon does it beside the checks.
#[test]
fn a_persons_word_holds() {
    let net = Net(22);
    let mut pool = Pool::start(&net, 4);
    let site = Site::start(net, 4, "health_check = greeting\nhealth_down_users = stay");
    for n in [0, 1] {
        pool.kill(n);
        site.wait_down(n);
    }
    assert!(!site.homing.log().contains("its users are moved"), "they stay");
    // What the checks have said, a person says too; then both backends come back.
    assert_eq!(site.ask(&format!("HOST-DOWN\t{}", site.net.backend(0))), ["OK"]);
    // Settings change, verdicts stay.
    site.reload("health_check = greeting\nhealth_down_users = stay\nhealth_rise = 3");
    assert!(!site.host(1).1);
    (0..2).for_each(|n| pool.revive(n));
    site.wait_up(1);
    assert!(!site.host(0).1, "down is down");
    assert_eq!(site.ask(&format!("HOST-UP\t{}", site.net.backend(0))), ["OK"]);
    assert!(site.host(0).1);
    // A person takes a good one down.
    assert_eq!(site.ask(&format!("HOST-DOWN\t{}", site.net.backend(2))), ["OK"]);
    // And brings up one that is dead: checks may take it down again.
    pool.kill(1);
    wait_until("it is down again", || !site.host(1).1);
    assert_eq!(site.ask(&format!("HOST-UP\t{}", site.net.backend(1))), ["OK"]);
    let marks = || {
        let line = format!("backend {} ", site.net.backend(1));
        site.homing.log().lines().filter(|l| l.contains(&line) && l.ends_with(": marked down")).count()
    };
    wait_until("it has failed anew", || marks() == 3);
    assert!(!site.host(2).1, "and that one stays down");
    // Without checks nothing is brought up any more.
    site.reload("");
    site.homing.wait_for_log("health_check is off now: backend 127.44.22.12 stays down until");
}

/// 250 backends that hang, all due within a second.
#[test]
fn checks_are_bounded_however_many_backends_hang() {
    const AT_A_TIME: usize = 100;
    let net = Net(40);
    let listener = TcpListener::bind(("0.0.0.0", 3143)).unwrap();
    let streams = Arc::<Mutex<Vec<TcpStream>>>::default();
    let accepted = Arc::clone(&streams);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            accepted.lock().unwrap().push(stream);
        }
    });
    let more = "protocol imap {\n health_check = greeting\n health_port = 3143\n}\nhealth_timeout = 1 hours\n\
                director_mail_servers = 127.44.40.3-127.44.40.252";
    let _site = Site::start(net, 0, more);
    let mut seen = 0;
    for _ in 0..4 {
        wait_until("as many hang as may", || streams.lock().unwrap().len() >= AT_A_TIME);
        let hanging = std::mem::take(&mut *streams.lock().unwrap());
        assert_eq!(hanging.len(), AT_A_TIME, "at once");
        seen += hanging.len();
        // They fail now, and others get their turn.
        hanging.iter().for_each(|stream| stream.shutdown(Shutdown::Both).unwrap());
    }
    assert!(seen > 250, "everybody gets a turn");
}

/// Backends that are added while running are checked, too.
#[test]
fn added_backends_are_checked() {
    let net = Net(23);
    let _pool = Pool::start(&net, 2);
    let site = Site::start(net, 2, "health_check = connect");
    assert_eq!(site.ask(&format!("HOST-SET\t{}", site.net.backend(7))), ["OK"]);
    site.wait_down(7);
    assert!(site.host(0).1 && site.host(1).1);
}

/// Real servers, each protocol in another way, down to the login of a test user.
#[test]
fn w11_real_backends_are_logged_in_to_and_a_dead_one_is_left() {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked against it");
        return;
    }
    let net = Net(30);
    let ips = [net.backend(0), net.backend(1)];
    let ports = Ports::free(&ips);
    let mut backends: Vec<_> =
        ips.iter().map(|ip| Some(Dovecot::backend(*ip, &ports, "backendpw"))).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "backendpw\n").unwrap();
    let secret = folder.path().join("secret");
    let auth_ports = ports;
    let _auth = FakeAuth::start(&folder.path().join("auth"), move |service| {
        let service = SERVICES.into_iter().find(|s| s.auth_name() == service).unwrap();
        format!("proxy\tport={}", auth_ports.plain(service))
    });
    let configure = |folder: &Path| {
        configuration(folder, &net, 2, "").replace(
            "protocol imap {\n health_port = 2143\n}\nprotocol pop3 {\n health_port = 2110\n}\n\
             protocol sieve {\n health_port = 2190\n}\n",
            &format!(
                "health_check = login\nhealth_user = probe\nhealth_password = <{}\nhealth_timeout = 10 secs\n\
                 protocol imap {{\n health_port = {}\n health_ssl = starttls-any-cert\n}}\n\
                 protocol pop3 {{\n health_port = {}\n health_ssl = any-cert\n}}\n\
                 protocol sieve {{\n health_port = {}\n}}\n",
                secret.display(),
                ports.plain(Service::Imap),
                ports.tls(Service::Pop3),
                ports.plain(Service::Sieve)
            ),
        )
    };
    let ready = format!("{}:1190", net.proxy()).parse().unwrap();
    let homing = Homing::start_in(folder, configure, ready);
    let site = Site { homing, _auth, net, backends: 2 };
    for backend in backends.iter().flatten() {
        for service in SERVICES {
            wait_until("the test user is let in", || backend.logins(service, "probe").len() > 1);
        }
    }
    let user = site.user_of(0);
    let mut client = site.client(Service::Imap);
    assert!(log_in(&mut client, Service::Imap, &user).contains("OK"));
    backends[0] = None;
    site.wait_down(0);
    let mut client = site.client(Service::Pop3);
    assert!(log_in(&mut client, Service::Pop3, &user).contains("OK"));
    let backend = backends[1].as_ref().unwrap();
    wait_until("the user is at the other one", || backend.logins(Service::Pop3, &user).len() == 1);
    assert!(!site.homing.log().contains("backendpw"), "passwords are not for logs");
}
