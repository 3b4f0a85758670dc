//! Real Dovecot on both sides: two mail servers as backends, one auth service, Homing with its director between
//! them. Needs root and Dovecot 2.3 with its IMAP, POP3 and ManageSieve servers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use homing_login::Service;
use support::{
    certificate,
    client::PATIENCE,
    dovecot::{self, Dovecot, Ports},
    homing::Homing,
    mail_client::{MailClient, Protection, Server},
};

const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];
const PROTECTIONS: [Protection; 3] = [Protection::Plain, Protection::StartTls, Protection::Tls];

const IP: &str = "127.26.0.1";
const BACKENDS: [&str; 2] = ["127.26.0.11", "127.26.0.12"];
const CLIENT: &str = "127.26.0.77";
const NAME: &str = "proxy.example";
const PASSWORD: &str = "correct-horse";

/// Users of each kind.
const USERS: usize = 20;

/// How Homing is to reach the backend; users are named after it.
const KINDS: [(&str, Protection); 3] =
    [("plain", Protection::Plain), ("starttls", Protection::StartTls), ("tls", Protection::Tls)];

/// Tries at a backend that may stall.
const STALLS_MAX: usize = 4;

/// True where the real backend may read a command and never answer it: managesieve-login 2.3.19.1 over TLS, about once
/// in fifty logins on a busy machine, whoever the client is (measured with a script of a few lines).
fn stalls(service: Service, user: &str) -> bool {
    service == Service::Sieve && !user.starts_with("plain")
}

/// Everything that runs. Shared by the tests that run at the same time, ended with the last of them.
struct Site {
    homing: Homing,
    server: Server,
    ports: Ports,
    backends: HashMap<&'static str, Dovecot>,
    _auth: Dovecot,
}

static SITE: Mutex<Weak<Site>> = Mutex::new(Weak::new());

/// `None`, with a printed reason, where Dovecot cannot run.
fn site() -> Option<Arc<Site>> {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked against it");
        return None;
    }
    let mut shared = SITE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(Site::start());
    *shared = Arc::downgrade(&started);
    Some(started)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Lines of the auth service's password file: the host is left to the director.
fn users(service: Service, ports: &Ports) -> String {
    let mut lines = String::new();
    for (kind, protection) in KINDS {
        let (port, field) = match protection {
            Protection::Plain => (ports.plain(service), ""),
            Protection::StartTls => (ports.plain(service), " starttls=any-cert"),
            Protection::Tls => (ports.tls(service), " ssl=any-cert"),
        };
        for number in 0..USERS {
            lines += &format!("{kind}{number}:{{PLAIN}}{PASSWORD}::::::proxy=y port={port}{field}\n");
        }
    }
    lines
}

impl Site {
    fn start() -> Self {
        let backend_ports = Ports::free(&BACKENDS.map(ip));
        let backends =
            BACKENDS.map(|name| (name, Dovecot::backend(ip(name), &backend_ports, PASSWORD))).into();
        let auth = Dovecot::auth(|service| users(service, &backend_ports));
        let ports = Ports::free(&[ip(IP)]);
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        certificate::write(folder.path(), &[NAME]);
        let server = Server::new(ip(IP), NAME, &folder.path().join("cert.pem"));
        let configure = |path: &std::path::Path| {
            format!(
                "protocols = imap pop3 sieve\nlisten = {IP}\nssl = yes\nssl_cert = <{0}/cert.pem\n\
                 ssl_key = <{0}/key.pem\ndisable_plaintext_auth = no\nlogin_auth_socket_path = {1}\n\
                 director_mail_servers = {2}\n{3}",
                path.display(),
                auth.auth_socket().display(),
                BACKENDS.join(" "),
                ports.listeners()
            )
        };
        let ready = (ip(IP), ports.plain(Service::Sieve)).into();
        let homing = Homing::start_in(folder, configure, ready);
        let deadline = Instant::now() + PATIENCE;
        while !ports.are_open(ip(IP)) {
            assert!(Instant::now() < deadline, "not every port is open\n{}", homing.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { homing, server, ports, backends, _auth: auth }
    }

    fn client(&self, service: Service, protection: Protection) -> MailClient {
        let port = match protection {
            Protection::Tls => self.ports.tls(service),
            Protection::Plain | Protection::StartTls => self.ports.plain(service),
        };
        MailClient::connect(&self.server, port, service, protection, ip(CLIENT))
    }

    fn logged_in(&self, service: Service, protection: Protection, user: &str) -> MailClient {
        for _ in 0..STALLS_MAX {
            let mut client = self.client(service, protection);
            let answer = client.log_in(user, PASSWORD);
            if stalls(service, user) && answer.starts_with("NO (TRYLATER)") {
                continue;
            }
            assert!(answer.starts_with(accepted(service)), "{service:?} {protection:?} {user}: {answer}");
            return client;
        }
        panic!("{service:?} {protection:?} {user}: the backend stalled {STALLS_MAX} times");
    }

    /// The backend and its log lines of `count` logins, of which it must have all.
    fn logins(&self, service: Service, user: &str, count: usize) -> (&'static str, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: Vec<_> = self
                .backends
                .iter()
                .map(|(name, backend)| (*name, backend.logins(service, user)))
                .filter(|(_, lines)| !lines.is_empty())
                .collect();
            assert!(found.len() < 2, "{user} is on two backends: {found:?}");
            match found.into_iter().next() {
                Some((name, lines)) if lines.len() == count => return (name, lines),
                found => assert!(Instant::now() < deadline, "{service:?} {user}: {found:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn accepted(service: Service) -> &'static str {
    match service {
        Service::Imap => "a OK ",
        Service::Pop3 => "+OK",
        Service::Sieve => "OK",
    }
}

/// The value of a `key=` element in a log line.
fn element<'a>(line: &'a str, key: &str) -> &'a str {
    let start = format!(", {key}=");
    let value = line.split_once(&start).unwrap_or_else(|| panic!("no {key} in {line:?}")).1;
    value.split(", ").next().unwrap()
}

#[test]
fn a_user_lands_on_one_backend_whatever_protocol_and_protection() {
    let Some(site) = site() else { return };
    let mut chosen = Vec::new();
    for service in SERVICES {
        for protection in PROTECTIONS {
            // One after the other: so the first session has ended, and the director still remembers.
            drop(site.logged_in(service, protection, "plain0"));
        }
        chosen.push(site.logins(service, "plain0", PROTECTIONS.len()).0);
    }
    assert!(chosen.iter().all(|backend| *backend == chosen[0]), "{chosen:?}");
}

#[test]
fn sessions_of_one_user_share_a_backend_while_they_last() {
    let Some(site) = site() else { return };
    let sessions: Vec<_> =
        SERVICES.map(|service| site.logged_in(service, Protection::Plain, "plain1")).into();
    let chosen = SERVICES.map(|service| site.logins(service, "plain1", 1).0);
    assert!(chosen.iter().all(|backend| *backend == chosen[0]), "{chosen:?}");
    drop(sessions);
}

#[test]
fn users_are_spread_over_the_backends() {
    let Some(site) = site() else { return };
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for number in 0..USERS {
        // Users that no other test counts the logins of.
        let user = format!("starttls{number}");
        drop(site.logged_in(Service::Pop3, Protection::Plain, &user));
        *counts.entry(site.logins(Service::Pop3, &user, 1).0).or_default() += 1;
    }
    assert_eq!(counts.len(), BACKENDS.len(), "{counts:?}");
}

#[test]
fn backends_are_reached_as_the_auth_reply_says() {
    let Some(site) = site() else { return };
    for (kind, protection) in KINDS {
        for service in [Service::Imap, Service::Sieve] {
            let user = format!("{kind}2");
            drop(site.logged_in(service, Protection::Plain, &user));
            let (_, lines) = site.logins(service, &user, 1);
            // Dovecot calls a trusted connection without TLS `secured`.
            let expected = if protection == Protection::Plain { ", secured, " } else { ", TLS, " };
            assert!(lines[0].contains(expected), "{service:?} {user}: {lines:?}");
        }
    }
    drop(site.logged_in(Service::Pop3, Protection::Tls, "tls3"));
    assert!(site.logins(Service::Pop3, "tls3", 1).1[0].contains(", TLS, "));
}

#[test]
fn wrong_passwords_get_dovecots_words_and_the_connection_stays() {
    let Some(site) = site() else { return };
    for (service, expected) in [
        (Service::Imap, "a NO [AUTHENTICATIONFAILED] Authentication failed."),
        (Service::Pop3, "-ERR [AUTH] Authentication failed."),
        (Service::Sieve, "NO \"Authentication failed.\""),
    ] {
        let mut client = site.client(service, Protection::StartTls);
        assert_eq!(client.log_in("plain4", "wrong"), expected, "{service:?}");
        assert_eq!(client.log_in("nobody", PASSWORD), expected, "{service:?}");
        assert!(client.log_in("plain4", PASSWORD).starts_with(accepted(service)), "{service:?}");
        site.logins(service, "plain4", 1);
    }
}

#[test]
fn a_large_message_arrives_as_it_was_sent() {
    let Some(site) = site() else { return };
    let message = message(5 << 20);
    for (protection, user) in [(Protection::Plain, "plain5"), (Protection::Tls, "tls5")] {
        let mut client = site.logged_in(Service::Imap, protection, user);
        let consent = client.ask(&format!("b APPEND INBOX {{{}}}", message.len()));
        assert!(consent.starts_with("+ "), "{consent}");
        client.send(&message).send("\r\n");
        let done = client.until("b ");
        assert!(done.starts_with("b OK "), "{done}");
        client.send("c SELECT INBOX\r\n").until("c OK ");
        let head = client.ask("d FETCH 1 BODY.PEEK[]");
        assert_eq!(head, format!("* 1 FETCH (BODY[] {{{}}}", message.len()));
        // Not `assert_eq`: nobody wants to read 5 MiB.
        assert!(client.bytes(message.len()) == message, "{protection:?}: the message has changed");
        assert_eq!(client.line(), ")");
        client.until("d OK ");
    }
}

/// A message of a little over `size` bytes; no two of its lines are the same.
fn message(size: usize) -> Vec<u8> {
    let mut message = b"From: a@example.org\r\nSubject: large\r\n\r\n".to_vec();
    let mut number: u64 = 0;
    while message.len() < size {
        number += 1;
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        message.extend_from_slice(format!("{number} {noise:016x} {}\r\n", "x".repeat(50)).as_bytes());
    }
    message
}

#[test]
fn idle_is_told_about_new_mail() {
    let Some(site) = site() else { return };
    let mut idle = site.logged_in(Service::Imap, Protection::Tls, "plain6");
    idle.send("b SELECT INBOX\r\n").until("b OK ");
    let consent = idle.ask("c IDLE");
    assert!(consent.starts_with("+ "), "{consent}");
    let mut other = site.logged_in(Service::Imap, Protection::Plain, "plain6");
    assert!(other.ask("b APPEND INBOX {15}").starts_with("+ "));
    other.send("Subject: x\r\n\r\nx\r\n").until("b OK ");
    assert_eq!(idle.until("* 1 EXISTS"), "* 1 EXISTS");
    idle.send("DONE\r\n").until("c OK ");
}

#[test]
fn commands_behind_the_login_reach_the_backend() {
    let Some(site) = site() else { return };
    let mut client = site.client(Service::Imap, Protection::StartTls);
    client.send(format!("a LOGIN plain7 {PASSWORD}\r\nb SELECT INBOX\r\nc LOGOUT\r\n"));
    for start in ["a OK ", "b OK ", "* BYE ", "c OK "] {
        client.until(start);
    }
}

#[test]
fn backends_see_the_client_itself() {
    let Some(site) = site() else { return };
    for service in SERVICES {
        drop(site.logged_in(service, Protection::Plain, "plain8"));
        let (_, lines) = site.logins(service, "plain8", 1);
        assert_eq!(element(&lines[0], "rip"), CLIENT, "{service:?}: {lines:?}");
        // ID tells the address that the client connected to; XCLIENT has no word for it.
        if service == Service::Imap {
            assert_eq!(element(&lines[0], "lip"), IP, "{lines:?}");
        }
        let session = element(&lines[0], "session");
        let ours = site.homing.wait_for_log(&format!("session={session}"));
        assert!(ours.contains("user=<plain8>"), "{ours}");
    }
}
