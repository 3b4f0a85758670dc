//! Bytes through the whole program: nothing lost, splice really used, nothing held by idle sessions.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
};

use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

struct Site {
    homing: Homing,
    backend: FakeBackend,
    _auth: FakeAuth,
    ip: &'static str,
}

impl Site {
    fn start(ip: &'static str) -> Self {
        let backend =
            FakeBackend::start(SocketAddr::new(ip.parse().unwrap(), 2143), Service::Imap, Behaviour::Good);
        let folder = tempfile::tempdir().unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth"), |_| "proxy\tport=2143".to_owned());
        let configure = |path: &std::path::Path| {
            format!(
                "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
                 login_auth_socket_path = {}/auth\ndirector_mail_servers = {ip}\n\
                 service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n",
                path.display()
            )
        };
        let homing = Homing::start_in(folder, configure, format!("{ip}:1143").parse().unwrap());
        Self { homing, backend, _auth: auth, ip }
    }

    fn logged_in(&self, user: usize) -> Client {
        let mut client = Client::greeted(format!("{}:1143", self.ip).parse().unwrap());
        assert!(client.ask(&format!("a LOGIN user{user} pw")).starts_with("a OK"));
        client
    }

    /// Descriptors of the process by kind: sockets, pipes.
    fn descriptors(&self) -> (usize, usize) {
        let folder = format!("/proc/{}/fd", self.homing.pid());
        let targets = fs::read_dir(folder).unwrap().flatten().filter_map(|e| fs::read_link(e.path()).ok());
        let targets: Vec<_> = targets.map(|t| t.to_string_lossy().into_owned()).collect();
        let count = |kind: &str| targets.iter().filter(|t| t.starts_with(kind)).count();
        (count("socket:"), count("pipe:"))
    }
}

#[test]
fn idle_sessions_hold_two_sockets_and_no_pipe() {
    let site = Site::start("127.22.0.1");
    drop(site.logged_in(0));
    wait_until(|| site.backend.live() == 0, "the first session has ended");
    let (sockets, pipes) = site.descriptors();
    let clients: Vec<_> = (0..50).map(|n| site.logged_in(n)).collect();
    assert_eq!(site.descriptors(), (sockets + 100, pipes));
    drop(clients);
    wait_until(|| site.descriptors() == (sockets, pipes), "descriptors are back to where they were");
}

#[test]
fn large_transfers_are_spliced_and_complete() {
    let site = Site::start("127.22.1.1");
    let mut client = site.logged_in(1);
    assert_eq!(client.ask("hello"), "echo hello");
    let (trace, output) = strace(site.homing.pid());
    let wanted = 64 << 20;
    client.send(format!("bulk {wanted}\r\n"));
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while received < wanted {
        let count = client.stream().read(&mut buffer).unwrap();
        assert!(count > 0 && buffer[..count].iter().all(|b| *b == b'b'));
        received += count;
    }
    assert_eq!(received, wanted);
    client.send(format!("sink {wanted}\r\n"));
    client.stream().write_all(&vec![b'u'; wanted]).unwrap();
    assert_eq!(client.line(), format!("sunk {wanted}"));
    assert_eq!(client.ask("still here"), "echo still here");
    if let Some(mut trace) = trace {
        let _ = Command::new("kill").args(["-s", "INT", &trace.id().to_string()]).status();
        trace.wait().unwrap();
        let calls = fs::read_to_string(output.path()).unwrap();
        let spliced = calls.lines().filter(|line| line.contains("splice(")).count();
        assert!(spliced > 100, "splice was called {spliced} times");
    }
}

/// Traces splice calls; `None` (said aloud) where tracing is not allowed.
fn strace(pid: u32) -> (Option<std::process::Child>, tempfile::NamedTempFile) {
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("strace")
        .args(["-f", "-e", "trace=splice", "-o"])
        .arg(output.path())
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 256];
    let count = child.stderr.as_mut().unwrap().read(&mut first).unwrap();
    let said = String::from_utf8_lossy(&first[..count]).into_owned();
    if said.contains("attached") {
        return (Some(child), output);
    }
    eprintln!("SKIPPED: strace cannot attach: {said}");
    let _ = child.wait();
    (None, output)
}

#[test]
fn what_the_client_sent_before_closing_arrives() {
    let site = Site::start("127.22.2.1");
    let mut client = site.logged_in(1);
    client.send("one\r\ntwo\r\n");
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "echo one\r\necho two\r\n", "replies in flight arrive, then both sides close");
    wait_until(|| site.backend.live() == 0, "the backend connection is closed");
}

#[test]
fn what_the_backend_sent_before_closing_arrives() {
    let site = Site::start("127.22.3.1");
    let mut client = site.logged_in(1);
    let size = 8 << 20;
    client.send(format!("bulk {size}\r\nbye\r\n"));
    // Nothing is read until the backend has closed on its side.
    wait_until(|| site.backend.logins() == 1, "logged in");
    assert_eq!(client.rest().len(), size);
}

#[test]
fn pipelined_commands_reach_the_backend_once_and_in_order() {
    let site = Site::start("127.22.4.1");
    let mut client = Client::greeted(format!("{}:1143", site.ip).parse().unwrap());
    client.send("a LOGIN user1 pw\r\nfirst\r\nsecond\r\nthi");
    assert!(client.line().starts_with("a OK"));
    assert_eq!((client.line(), client.line()), ("echo first".to_owned(), "echo second".to_owned()));
    assert_eq!(client.ask("rd"), "echo third");
}

fn wait_until(done: impl Fn() -> bool, what: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
