//! Users and their backends through the whole program: every user has one, the one that Dovecot's director would
//! choose, in all three protocols; and a reload does not give a user a second one.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use homing::director::core::{Host, Naming, Ring, UsernameFormat};
use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];
const USERS: usize = 40;

/// Where the proxy listens; backends listen 1000 higher.
fn port(service: Service) -> u16 {
    match service {
        Service::Imap => 1143,
        Service::Pop3 => 1110,
        Service::Sieve => 1190,
    }
}

/// One backend with all three services.
struct Backend {
    ip: IpAddr,
    services: Vec<FakeBackend>,
}

impl Backend {
    fn start(ip: &str) -> Self {
        let ip = ip.parse().unwrap();
        let start =
            |service| FakeBackend::start(SocketAddr::new(ip, port(service) + 1000), service, Behaviour::Good);
        Self { ip, services: SERVICES.map(start).into() }
    }

    fn logins(&self) -> usize {
        self.services.iter().map(FakeBackend::logins).sum()
    }
}

/// A proxy in front of some backends.
struct Site {
    homing: Homing,
    backends: Vec<Backend>,
    _auth: FakeAuth,
    ip: &'static str,
}

impl Site {
    fn start(ip: &'static str, backends: &[&str]) -> Self {
        let started = backends.iter().map(|ip| Backend::start(ip)).collect();
        let folder = tempfile::tempdir().unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth"), |service| {
            let service =
                SERVICES.into_iter().zip(["imap", "pop3", "sieve"]).find(|(_, name)| *name == service);
            format!("proxy\tport={}", port(service.unwrap().0) + 1000)
        });
        let configure = |folder: &Path| configuration(folder, ip, backends);
        let homing = Homing::start_in(folder, configure, format!("{ip}:1190").parse().unwrap());
        Self { homing, backends: started, _auth: auth, ip }
    }

    /// Reloads with other backends.
    fn reload(&self, backends: &[&str]) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        fs::write(self.homing.config(), own + &configuration(folder, self.ip, backends)).unwrap();
        self.homing.signal("HUP");
    }

    /// Logs a user in; the session and the backend that got it.
    fn log_in(&self, service: Service, user: &str) -> (Client, IpAddr) {
        let before: Vec<_> = self.backends.iter().map(Backend::logins).collect();
        let mut client = Client::greeted(format!("{}:{}", self.ip, port(service)).parse().unwrap());
        let answer = match service {
            Service::Imap => client.ask(&format!("a LOGIN {user} pw")),
            Service::Pop3 => {
                assert_eq!(client.ask(&format!("USER {user}")), "+OK");
                client.ask("PASS pw")
            }
            Service::Sieve => {
                let message = homing_wire::encode_base64(format!("\0{user}\0pw").as_bytes());
                client.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
            }
        };
        assert!(answer.contains("OK"), "{service:?} {user}: {answer}");
        // The backend counts a login before it echoes.
        assert_eq!(client.ask("hello"), "echo hello");
        let grown = self.backends.iter().zip(before).filter(|(backend, before)| backend.logins() > *before);
        let places: Vec<_> = grown.map(|(backend, _)| backend.ip).collect();
        let [ip] = places.as_slice() else { panic!("{service:?} {user} came to {places:?}") };
        (client, *ip)
    }
}

fn configuration(folder: &Path, ip: &str, backends: &[&str]) -> String {
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\nshutdown_clients = no\n\
         login_auth_socket_path = {}/auth\ndirector_mail_servers = {}\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n",
        folder.display(),
        backends.join(" ")
    )
}

/// The backend that the hash says.
fn hashed(user: &str, backends: &[&str]) -> IpAddr {
    let format = UsernameFormat::parse("%Lu").unwrap();
    let naming = Naming { format, master_user_separator: None };
    let hosts: Vec<_> = backends.iter().map(|ip| Host::new(ip.parse().unwrap(), None, Vec::new())).collect();
    Ring::of(&hosts).lookup(b"", naming.hash(user.as_bytes())).unwrap()
}

/// Users of a backend, without end.
fn users_of(backend: &str, backends: &'static [&'static str]) -> impl Iterator<Item = String> {
    let ip: IpAddr = backend.parse().unwrap();
    (0..).map(|n| format!("user{n}@example.com")).filter(move |user| hashed(user, backends) == ip)
}

#[test]
fn every_user_has_one_backend_in_all_protocols() {
    const BACKENDS: &[&str] = &["127.26.0.11", "127.26.0.12", "127.26.0.13"];
    let site = Site::start("127.26.0.1", BACKENDS);
    let mut sessions = Vec::new();
    for n in 0..USERS {
        let user = format!("user{n}@example.com");
        let expected = hashed(&user, BACKENDS);
        for service in SERVICES {
            // Case does not matter to the hash.
            let written = if service == Service::Pop3 { user.to_uppercase() } else { user.clone() };
            let (client, ip) = site.log_in(service, &written);
            assert_eq!(ip, expected, "{service:?} {written}");
            sessions.push(client);
        }
    }
    for backend in &site.backends {
        assert!(backend.logins() > 0, "{} has nobody: the users prove little", backend.ip);
    }
    assert_eq!(site.backends.iter().map(Backend::logins).sum::<usize>(), 3 * USERS);
}

#[test]
fn a_removed_backend_keeps_the_users_with_sessions_and_gets_no_others() {
    const BEFORE: &[&str] = &["127.26.1.11", "127.26.1.12", "127.26.1.13"];
    const AFTER: &[&str] = &["127.26.1.11", "127.26.1.12"];
    let removed: IpAddr = "127.26.1.13".parse().unwrap();
    let site = Site::start("127.26.1.1", BEFORE);
    let mut users = users_of("127.26.1.13", BEFORE);
    let (stays, idle, new) = (users.next().unwrap(), users.next().unwrap(), users.next().unwrap());
    let (mut first, ip) = site.log_in(Service::Imap, &stays);
    assert_eq!(ip, removed);
    let (session, ip) = site.log_in(Service::Pop3, &idle);
    assert_eq!(ip, removed);
    drop(session);
    wait_until(|| site.homing.log().contains("Disconnected"), "the session of the idle user ends");

    site.reload(AFTER);
    site.homing
        .wait_for_log("backend 127.26.1.13 removed by configuration; users whose sessions go on there: 1");
    assert_eq!(first.ask("still"), "echo still");
    let (second, ip) = site.log_in(Service::Sieve, &stays);
    assert_eq!(ip, removed, "one user, one backend");
    for user in [&idle, &new] {
        for service in SERVICES {
            assert_eq!(site.log_in(service, user).1, hashed(user, AFTER), "{user}");
        }
    }

    drop((first, second));
    // The proxy sees the end of the sessions a moment later.
    wait_until(|| site.log_in(Service::Imap, &stays).1 != removed, "the user goes elsewhere");
    assert_eq!(site.log_in(Service::Pop3, &stays).1, hashed(&stays, AFTER));
}

/// The director has one backend, so that whatever it is asked ends there.
#[test]
fn di_02_di_03_replies_that_are_not_for_the_director() {
    let ip = "127.26.2.1";
    let (known, named) = (Backend::start("127.26.2.11"), Backend::start("127.26.2.21"));
    let folder = tempfile::tempdir().unwrap();
    let _auth = FakeAuth::start(&folder.path().join("auth"), |service| {
        let reply = match service {
            "imap" => "proxy\thost=127.26.2.21\tport=2143",
            "pop3" => "nologin",
            _ => "proxy\tport=2190",
        };
        reply.to_owned()
    });
    let configure = |folder: &Path| configuration(folder, ip, &["127.26.2.11"]);
    let _homing = Homing::start_in(folder, configure, format!("{ip}:1190").parse().unwrap());
    let client = |service| Client::greeted(format!("{ip}:{}", port(service)).parse().unwrap());

    let (mut imap, mut pop3, mut sieve) =
        (client(Service::Imap), client(Service::Pop3), client(Service::Sieve));
    assert!(imap.ask("a LOGIN alice wrong").starts_with("a NO [AUTHENTICATIONFAILED]"), "DI-03: FAIL");
    assert_eq!(pop3.ask("USER alice"), "+OK");
    assert_eq!(pop3.ask("PASS pw"), "-ERR [AUTH] Login disabled for this user", "DI-03: nologin");
    assert_eq!((known.logins(), named.logins()), (0, 0));
    assert!(imap.ask("b LOGIN alice pw").starts_with("b OK"), "DI-02");
    assert_eq!(imap.ask("hello"), "echo hello");
    assert_eq!((known.logins(), named.logins()), (0, 1), "DI-02: where the reply says");
    // That session was never the director's business: it sends the same user to its own backend.
    let message = homing_wire::encode_base64(b"\0alice\0pw");
    let answer = sieve.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""));
    assert!(answer.starts_with("OK"), "{answer}");
    assert_eq!(sieve.ask("hello"), "echo hello");
    assert_eq!((known.logins(), named.logins()), (1, 1));
}

fn wait_until(done: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
