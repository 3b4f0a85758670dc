//! One user, one backend, whatever administrators do: clients log in as fast as they can while users are moved and
//! kicked, and backends are flushed, removed, added, taken down and brought up, all at once. The backends write down who
//! is with them.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use homing::director::core::{Naming, UsernameFormat};
use homing_login::Service;
use support::{
    client::PATIENCE,
    fake_auth::FakeAuth,
    homing::Homing,
    ledger::{Ledger, start_backend},
};

const IP: &str = "127.43.20.1";
const BACKENDS: [&str; 3] = ["127.43.20.11", "127.43.20.12", "127.43.20.13"];
const CLIENTS: usize = 60;
const USERS: usize = 12;
/// What each administrator asks.
const REQUESTS: usize = 150;
/// Connections of administrators, each of which asks one thing after the other.
const ADMINISTRATORS: u64 = 3;

fn configuration(folder: &Path) -> String {
    format!(
        "protocols = imap\nlisten = {IP}\nssl = no\ndisable_plaintext_auth = no\n\
         login_auth_socket_path = {}/auth\ndirector_mail_servers = {}\ndirector_user_kick_delay = 500 ms\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n",
        folder.display(),
        BACKENDS.join(" ")
    )
}

/// One session after the other. Being kicked is no failure; being refused is.
fn visit(number: usize, over: &AtomicBool, kicked: &AtomicUsize) {
    for round in (0..).take_while(|_| !over.load(Ordering::SeqCst)) {
        let stream =
            TcpStream::connect_timeout(&SocketAddr::new(IP.parse().unwrap(), 1143), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let mut ask = |text: &str| -> std::io::Result<String> {
            line.clear();
            reader.get_mut().write_all(text.as_bytes())?;
            reader.read_line(&mut line)?;
            Ok(line.clone())
        };
        let user = number % USERS;
        let greeted = ask("").unwrap();
        assert!(greeted.starts_with("* OK"), "{greeted}");
        let answer = ask(&format!("a LOGIN user{user} pw\r\n")).unwrap_or_default();
        if answer.starts_with("a NO [UNAVAILABLE]") {
            // Kicked while logging in, which ends the connection; other failures would not.
            assert!(ask("").unwrap().starts_with("* BYE Disconnected by the server"), "user{user}: {answer}");
            kicked.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        assert!(answer.is_empty() || answer.starts_with("a OK"), "user{user}: {answer}");
        thread::sleep(Duration::from_millis((number * 7 + round * 13) as u64 % 40));
        let echoed = ask("hello\r\n").unwrap_or_default();
        kicked.fetch_add(usize::from(echoed != "echo hello\r\n"), Ordering::SeqCst);
    }
}

/// Asks for anything, over and over; every line is answered. The first backend stays usable, so that every login finds
/// a place.
fn administrate(seed: u64, socket: &Path) {
    let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    reader.get_mut().write_all(b"VERSION\tdirector-doveadm\t1\t0\n").unwrap();
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..REQUESTS {
        let user = format!("user{}", draw(USERS as u64));
        let any = BACKENDS[draw(3) as usize];
        let other = BACKENDS[1 + draw(2) as usize];
        let request = match draw(12) {
            0..=3 => format!("USER-MOVE\t{}\t{any}", naming.hash(user.as_bytes())),
            4 => format!("USER-KICK\t{user}"),
            5 => format!("HOST-RESET-USERS\t{any}\t3"),
            6 => format!("HOST-FLUSH\t{any}"),
            7 => format!("HOST-DOWN\t{other}"),
            8 => format!("HOST-UP\t{other}"),
            9 => format!("HOST-REMOVE\t{other}"),
            _ => format!("HOST-SET\t{other}\t{}", draw(3) * 50),
        };
        reader.get_mut().write_all(format!("{request}\n").as_bytes()).unwrap();
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert!(["OK\n", "NOTFOUND\n", "TRYAGAIN\n"].contains(&line.as_str()), "{request}: {line:?}");
        thread::sleep(Duration::from_millis(30));
    }
    reader.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn no_user_is_on_two_backends_whatever_administrators_do() {
    let ledger = Arc::<Ledger>::default();
    for ip in BACKENDS {
        start_backend(ip.parse().unwrap(), Service::Imap, 2143, &ledger);
    }
    let folder = tempfile::tempdir().unwrap();
    let _auth = FakeAuth::start(&folder.path().join("auth"), |_| "proxy\tport=2143".to_owned());
    let homing = Homing::start_in(folder, configuration, format!("{IP}:1143").parse().unwrap());
    let socket = homing.folder().join("director-admin");
    let (over, kicked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (over, kicked, socket) = (&over, &kicked, &socket);
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || visit(n, over, kicked))).collect();
        let administrators: Vec<_> =
            (1..=ADMINISTRATORS).map(|seed| scope.spawn(move || administrate(seed, socket))).collect();
        let answered = administrators.into_iter().map(|one| one.join().is_ok()).collect::<Vec<_>>();
        over.store(true, Ordering::SeqCst);
        let served = clients.into_iter().map(|one| one.join().is_ok()).collect::<Vec<_>>();
        assert!(answered.iter().all(|ok| *ok), "every request is answered");
        assert!(served.iter().all(|ok| *ok), "no login may be refused");
    });
    let overlaps = ledger.overlaps.lock().unwrap();
    assert!(overlaps.is_empty(), "{} overlaps, e.g. {:?}", overlaps.len(), overlaps.first());
    assert_eq!(ledger.used.lock().unwrap().len(), BACKENDS.len());
    let log = homing.log();
    let moves = log.lines().filter(|line| line.contains(": left ")).count();
    let kicked = kicked.load(Ordering::SeqCst);
    assert!(moves > 10 && kicked > 10, "too little happened: {moves} moves, {kicked} kicks");
    assert!(!log.contains("panicked"));
}
