//! Attacks on a running program: files that never end, peers that never read, bytes around STARTTLS, backends that
//! lie. After each of them a real user is served.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use homing_login::Service;
use support::{
    certificate,
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
    mail_client::{MailClient, Protection, Server},
};

const SERVICES: [(Service, &str, u16); 3] =
    [(Service::Imap, "imap", 1143), (Service::Pop3, "pop3", 1110), (Service::Sieve, "sieve", 1190)];

struct Site {
    homing: Homing,
    ip: &'static str,
    _auth: FakeAuth,
}

impl Site {
    /// With an auth service that adds `fields` to its answers, and backends at ports 1000 higher, which the test
    /// starts.
    fn start(ip: &'static str, fields: &'static str) -> Self {
        Self::start_with(ip, fields, "")
    }

    fn start_with(ip: &'static str, fields: &'static str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate::write(folder.path(), &["a.example"]);
        let auth = FakeAuth::start(&folder.path().join("auth"), move |service| {
            let port = SERVICES.iter().find(|(_, name, _)| *name == service).unwrap().2;
            format!("proxy\tport={}\t{fields}", port + 1000)
        });
        let configure = |f: &Path| {
            configuration(f, ip, &format!("login_auth_socket_path = {}/auth\n{more}", f.display()))
        };
        let homing = Homing::start_in(folder, configure, address(ip, 1190));
        Self { homing, ip, _auth: auth }
    }

    fn client(&self, port: u16) -> Client {
        Client::greeted(address(self.ip, port))
    }

    /// Logs in over IMAP and exchanges a line.
    fn assert_served(&self) {
        assert_served(self.ip);
        assert!(!self.homing.log().contains("panicked"));
    }
}

fn assert_served(ip: &str) {
    let mut client = Client::greeted(address(ip, 1143));
    let answer = client.ask("a LOGIN alice pw");
    assert!(answer.starts_with("a OK"), "{answer}");
    assert_eq!(client.ask("hello"), "echo hello");
}

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn configuration(folder: &Path, ip: &str, more: &str) -> String {
    let folder = folder.display();
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\nssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n\
         disable_plaintext_auth = no\ndirector_mail_servers = {ip}\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 1993\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n{more}"
    )
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_password_file_that_does_not_answer_does_not_keep_the_process() {
    let ip = "127.41.10.1";
    let folder = tempfile::tempdir().unwrap();
    certificate::write(folder.path(), &["a.example"]);
    fifo(&folder.path().join("users"));
    let configure = |folder: &Path| {
        let passdb = format!("passdb {{\n driver = passwd-file\n args = {}/users\n}}\n", folder.display());
        configuration(folder, ip, &passdb)
    };
    let mut homing = Homing::start_in(folder, configure, address(ip, 1190));
    let mut client = Client::greeted(address(ip, 1143));
    client.send("a LOGIN alice pw\r\n");
    let mut second = Client::greeted(address(ip, 1143));
    assert_eq!(second.ask("b NOOP"), "b OK NOOP completed.", "others are served");
    homing.signal("TERM");
    assert!(homing.wait());
}

#[test]
fn a_stop_is_heeded_while_a_reload_waits_for_a_file() {
    let ip = "127.41.11.1";
    let _backend = FakeBackend::start(address(ip, 2143), Service::Imap, Behaviour::Good);
    let mut site = Site::start(ip, "");
    fs::remove_file(site.homing.folder().join("cert.pem")).unwrap();
    fifo(&site.homing.folder().join("cert.pem"));
    site.homing.signal("HUP");
    site.homing.wait_for_log("SIGHUP received");
    site.assert_served();
    site.homing.signal("TERM");
    assert!(site.homing.wait());
}

#[test]
fn connections_that_wait_for_a_place_are_few() {
    const LIMIT: usize = 2;
    let ip = "127.41.17.1";
    let _backend = FakeBackend::start(address(ip, 2143), Service::Imap, Behaviour::Good);
    let site = Site::start_with(
        ip,
        "",
        "service imap-login {\n client_limit = 2\n service_count = 0\n process_limit = 1\n}\n",
    );
    let mut logged_in: Vec<_> = (0..LIMIT).map(|_| site.client(1143)).collect();
    for client in &mut logged_in {
        assert!(client.ask("a LOGIN alice pw").starts_with("a OK"));
        // Whoever is let in a moment ago could still give way.
        assert_eq!(client.ask("hello"), "echo hello");
    }
    let waiting: Vec<_> = (0..600).map(|_| TcpStream::connect(address(ip, 1143)).unwrap()).collect();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", site.homing.pid())).unwrap().count();
    wait_until(|| site.homing.log().contains("connections are being dropped") && descriptors() < 350);
    // Those beyond the limit are dropped at once, while the first ones still wait.
    waiting[0].set_nonblocking(true).unwrap();
    let first = (&waiting[0]).read(&mut [0; 10]);
    assert!(first.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    drop(waiting);
    assert_eq!(logged_in[0].ask("still"), "echo still");
    drop(logged_in);
    // Those that waited have their turn first, and are found to be gone.
    wait_until(|| descriptors() < 30);
    site.assert_served();
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes that wait in the kernel: for the client, and for the program.
fn queues(server: SocketAddr, client: SocketAddr) -> (u64, u64) {
    let hex = |address: SocketAddr| {
        let IpAddr::V4(ip) = address.ip() else { panic!("IPv4") };
        format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), address.port())
    };
    let wanted = format!(" {} {} ", hex(server), hex(client));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&wanted)).expect("a connection");
    let (tx, rx) = line.split_whitespace().nth(4).unwrap().split_once(':').unwrap();
    (u64::from_str_radix(tx, 16).unwrap(), u64::from_str_radix(rx, 16).unwrap())
}

#[test]
fn a_client_that_never_reads_fills_no_memory_of_the_kernel() {
    /// Some 7000 commands; their answers take a megabyte and more.
    const COMMANDS_BYTES: usize = 100_000;
    let ip = "127.41.12.1";
    let _backend = FakeBackend::start(address(ip, 2143), Service::Imap, Behaviour::Good);
    let site = Site::start(ip, "");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&address(ip, 1143).into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(&b"a CAPABILITY\r\n".repeat(COMMANDS_BYTES / 14)).unwrap();
    let client = stream.local_addr().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut before = (u64::MAX, u64::MAX);
    loop {
        site.assert_served();
        let now = queues(address(ip, 1143), client);
        if now == before && now.0 > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "it does not come to rest: {now:?}");
        before = now;
    }
    assert!(before.0 < 128 * 1024, "{} bytes wait for the client", before.0);
    assert!(before.1 > 0, "the program still reads commands");
    // Nothing is lost: whoever reads in the end gets every answer.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"z LOGOUT\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("\r\na OK ").count(), COMMANDS_BYTES / 14);
    assert!(answers.contains("\r\nz OK "));
}

#[test]
fn logins_byte_by_byte_and_in_one_piece_are_equal() {
    let ip = "127.41.13.1";
    let site = Site::start(ip, "");
    let backends = SERVICES
        .map(|(service, _, port)| FakeBackend::start(address(ip, port + 1000), service, Behaviour::Good));
    let plain = homing_wire::encode_base64(b"\0alice\0pw");
    let logins = [
        "a LOGIN {5}\r\nalice {2+}\r\npw\r\nhello\r\n".to_owned(),
        "USER alice\r\nPASS pw\r\nhello\r\n".to_owned(),
        format!("AUTHENTICATE \"PLAIN\" {{{}+}}\r\n{plain}\r\nhello\r\n", plain.len()),
    ];
    for ((_, name, port), text) in SERVICES.into_iter().zip(logins) {
        for size in [1, 7, text.len()] {
            let mut client = site.client(port);
            for piece in text.as_bytes().chunks(size) {
                client.send(piece);
                thread::sleep(Duration::from_millis(1));
            }
            while client.line() != "echo hello" {}
            assert_eq!(client.ask("still"), "echo still", "{name} in pieces of {size}");
        }
    }
    for backend in &backends {
        assert_eq!(backend.logins(), 3);
    }
    site.assert_served();
}

#[test]
fn nothing_said_in_the_clear_counts_behind_starttls() {
    let ip = "127.41.14.1";
    let site = Site::start(ip, "");
    let backends = SERVICES
        .map(|(service, _, port)| FakeBackend::start(address(ip, port + 1000), service, Behaviour::Good));
    let plain = homing_wire::encode_base64(b"\0alice\0pw");
    let attacks = [
        ["a STARTTLS\r\n".to_owned(), "b LOGIN alice pw\r\n".to_owned()],
        ["STLS\r\n".to_owned(), "USER alice\r\nPASS pw\r\n".to_owned()],
        ["STARTTLS\r\n".to_owned(), format!("AUTHENTICATE \"PLAIN\" \"{plain}\"\r\n")],
    ];
    for ((_, name, port), [command, injected]) in SERVICES.into_iter().zip(attacks) {
        // Behind the command in one piece, and behind the answer.
        let mut client = site.client(port);
        let answers = client.send(command.clone() + &injected).rest();
        assert!(!answers.contains("in\r\n"), "{name}: {answers:?}");
        let mut client = site.client(port);
        let answer = client.ask(command.trim_end());
        assert!(answer.contains("OK"), "{name}: {answer}");
        let answers = client.send(&injected).rest();
        assert!(!answers.contains("OK"), "{name}: {answers:?}");
    }
    for backend in &backends {
        assert_eq!(backend.logins(), 0);
    }
    // TLS by the command still works.
    let server = Server::new(ip.parse().unwrap(), "a.example", &site.homing.folder().join("cert.pem"));
    for (service, _, port) in SERVICES {
        let mut client =
            MailClient::connect(&server, port, service, Protection::StartTls, "127.0.0.1".parse().unwrap());
        let answer = client.log_in("alice", "pw");
        assert!(answer.contains("OK"), "{answer}");
        assert_eq!(client.ask("hello"), "echo hello");
    }
}

/// A backend that says the same to everybody, whatever it is told; what it was told is kept.
fn parrot(address: SocketAddr, lines: &'static [&'static str]) -> Arc<Mutex<Vec<u8>>> {
    let listener = TcpListener::bind(address).unwrap();
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let there = Arc::clone(&heard);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let heard = Arc::clone(&there);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                for (n, text) in lines.iter().enumerate() {
                    if n > 0 {
                        let count = stream.read(&mut buffer).unwrap_or(0);
                        heard.lock().unwrap().extend_from_slice(&buffer[..count]);
                    }
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
                let _ = stream.read(&mut buffer);
            });
        }
    });
    heard
}

#[test]
fn a_backend_cannot_speak_inside_tls_before_tls() {
    let ip = "127.41.15.1";
    let site = Site::start(ip, "starttls=any-cert");
    let imap = parrot(
        address(ip, 2143),
        &["* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n", "S OK go\r\nL OK [CAPABILITY IMAP4rev1] in\r\n"],
    );
    let pop3 = parrot(address(ip, 2110), &["+OK x\r\n", "+OK go\r\n+OK\r\n+OK in\r\n"]);
    let sieve =
        parrot(address(ip, 2190), &["\"SASL\" \"PLAIN\"\r\n\"STARTTLS\"\r\nOK\r\n", "OK\r\nOK\r\nOK\r\n"]);
    for ((service, _, port), heard) in SERVICES.into_iter().zip([imap, pop3, sieve]) {
        let mut client = site.client(port);
        let answer = match service {
            Service::Imap => client.ask("a LOGIN alice pw"),
            Service::Pop3 => {
                client.ask("USER alice");
                client.ask("PASS pw")
            }
            Service::Sieve => {
                let message = homing_wire::encode_base64(b"\0alice\0pw");
                client.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
            }
        };
        assert!(["a NO", "-ERR", "NO"].iter().any(|no| answer.starts_with(no)), "{service:?}: {answer}");
        let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
        assert!(!heard.contains("backendpw") && !heard.contains("AUTHENTICATE"), "{service:?}: {heard}");
    }
}

#[test]
fn a_backend_that_lies_before_the_login_forges_nothing() {
    let ip = "127.41.16.1";
    let site = Site::start(ip, "");
    // Answers to commands of the client, a goodbye, line ends inside lines.
    parrot(
        address(ip, 2143),
        &[
            "* OK [CAPABILITY IMAP4rev1 SASL-IR ID] \0\x1b[31m\r\na OK forged\r\n* BYE forged\r\n",
            "L NO [AUTHENTICATIONFAILED] no\ra OK forged\r\nb OK forged\r\n",
        ],
    );
    parrot(address(ip, 2110), &["+OK \x1b[31m\r\n", "+OK\r\n", "-ERR no\r+OK forged\r\n+OK forged\r\n"]);
    parrot(address(ip, 2190), &["\"SASL\" \"PLAIN\"\r\nOK\r\n", "NO {12}\r\nno\r\nOK forged\r\nOK\r\n"]);
    let mut imap = site.client(1143);
    let answer = imap.ask("a LOGIN alice pw");
    assert!(answer.starts_with("a NO ") && !answer.contains('\r'), "{answer:?}");
    assert_eq!(imap.ask("c NOOP"), "c OK NOOP completed.");
    let mut pop3 = site.client(1110);
    pop3.ask("USER alice");
    let answer = pop3.ask("PASS pw");
    assert!(answer.starts_with("-ERR "), "{answer:?}");
    assert!(!answer.contains('\r'), "{answer:?}");
    assert!(pop3.ask("CAPA").starts_with("+OK"));
    let mut sieve = site.client(1190);
    let message = homing_wire::encode_base64(b"\0alice\0pw");
    let answer = sieve.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""));
    assert!(answer.starts_with("NO"), "{answer:?}");
    let log = site.homing.log();
    assert!(!log.contains('\x1b') && !log.contains('\r') && !log.contains("panicked"), "{log}");
}
