//! A thousand hostile connections: memory stays bounded, and a real user is served beside them.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use homing_login::Service;
use support::{
    certificate,
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

const IP: &str = "127.23.0.1";
const ATTACKERS: usize = 1000;
/// Generous for a debug build; an unbounded buffer per attacker would exceed it by far.
const GROWTH_KIB_MAX: u64 = 200 * 1024;

#[test]
fn a_thousand_attackers_and_one_user() {
    let backend = FakeBackend::start(address(2143), Service::Imap, Behaviour::Good);
    let folder = tempfile::tempdir().unwrap();
    certificate::write(folder.path(), &["a.example"]);
    let auth = FakeAuth::start(&folder.path().join("auth"), |_| "proxy\tport=2143".to_owned());
    let homing = Homing::start_in(folder, configuration, address(1143));
    assert_served();
    let before = memory_kib(homing.pid());
    let attackers: Vec<_> = (0..ATTACKERS).map(attacker).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| attack(&attackers, &stop));
        for _ in 0..20 {
            assert_served();
        }
        let growth = memory_kib(homing.pid()).saturating_sub(before);
        stop.store(true, Ordering::SeqCst);
        assert!(growth < GROWTH_KIB_MAX, "memory grew by {growth} KiB");
    });
    drop(attackers);
    let deadline = std::time::Instant::now() + PATIENCE;
    while sockets(homing.pid()) > 20 {
        assert!(std::time::Instant::now() < deadline, "{} sockets are left", sockets(homing.pid()));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_served();
    drop((auth, backend));
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IP.parse().unwrap(), port)
}

fn configuration(folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "protocols = imap pop3 sieve\nlisten = {IP}\nssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n\
         disable_plaintext_auth = no\nlogin_auth_socket_path = {folder}/auth\ndirector_mail_servers = {IP}\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 1993\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n inet_listener pop3s {{\n  port = 1995\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n"
    )
}

/// Logs in and exchanges a line.
fn assert_served() {
    let mut client = Client::greeted(address(1143));
    let answer = client.ask("a LOGIN alice pw");
    assert!(answer.starts_with("a OK"), "{answer}");
    assert_eq!(client.ask("hello"), "echo hello");
}

struct Attacker {
    stream: TcpStream,
    /// Sent again and again.
    bytes: Vec<u8>,
}

fn attacker(number: usize) -> Attacker {
    let ports = [1143, 1110, 1190, 1993];
    let stream = TcpStream::connect(address(ports[number / 6 % ports.len()])).unwrap();
    stream.set_nonblocking(true).unwrap();
    let bytes: Vec<u8> = match number % 6 {
        // One byte at a time.
        0 => b"a".to_vec(),
        // A line without end.
        1 => vec![b'x'; 4096],
        // Literals without end.
        2 => b"a LOGIN {1000+}\r\n".iter().copied().chain(vec![b'l'; 1000]).collect(),
        // Junk.
        3 => (0..=255).collect(),
        // A TLS record that never fits.
        4 => [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 1024]].concat(),
        // Parentheses without end.
        _ => [&b"a ID "[..], &[b'('; 2048]].concat(),
    };
    Attacker { stream, bytes }
}

fn attack(attackers: &[Attacker], stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        for attacker in attackers {
            // Closed or full connections are what the defence is for.
            let _ = (&attacker.stream).write(&attacker.bytes);
        }
    }
}

fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn sockets(pid: u32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let links = entries.filter_map(|e| fs::read_link(e.path()).ok());
    links.filter(|l| l.to_string_lossy().starts_with("socket:")).count()
}
