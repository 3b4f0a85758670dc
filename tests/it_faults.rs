//! Backends and auth services that fail, for each protocol: the client gets the specified text, the connection
//! stays usable, nothing is left behind.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
};

use homing_login::Service;
use support::{
    client::Client,
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];

/// One Homing on an address of its own, and the ports of its three services.
struct Site {
    homing: Homing,
    auth: FakeAuth,
    ip: &'static str,
}

fn port(service: Service) -> u16 {
    match service {
        Service::Imap => 1143,
        Service::Pop3 => 1110,
        Service::Sieve => 1190,
    }
}

impl Site {
    fn start(
        ip: &'static str,
        fields: impl Fn(&str) -> String + Send + Sync + 'static,
        more: &'static str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth"), fields);
        let configure = |path: &std::path::Path| {
            format!(
                "protocols = imap pop3 sieve\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
                 login_auth_socket_path = {}/auth\nhostname = proxyhost\n{more}\n\
                 service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n\
                 service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n}}\n\
                 service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n",
                path.display()
            )
        };
        let homing = Homing::start_in(folder, configure, format!("{ip}:1190").parse().unwrap());
        Self { homing, auth, ip }
    }

    fn client(&self, service: Service) -> Client {
        Client::greeted(format!("{}:{}", self.ip, port(service)).parse().unwrap())
    }
}

/// Logs in as `alice` with password `pw` and returns the answer.
fn log_in(client: &mut Client, service: Service) -> String {
    log_in_with(client, service, "pw")
}

fn log_in_with(client: &mut Client, service: Service, password: &str) -> String {
    match service {
        Service::Imap => client.ask(&format!("a LOGIN alice {password}")),
        Service::Pop3 => {
            assert_eq!(client.ask("USER alice"), "+OK");
            client.ask(&format!("PASS {password}"))
        }
        Service::Sieve => {
            let message = homing_wire::encode_base64(format!("\0alice\0{password}").as_bytes());
            client.ask(&format!("AUTHENTICATE \"PLAIN\" \"{message}\""))
        }
    }
}

fn unavailable(service: Service) -> &'static str {
    match service {
        Service::Imap => "a NO [UNAVAILABLE] Account is temporarily unavailable.",
        Service::Pop3 => "-ERR [SYS/TEMP] Account is temporarily unavailable.",
        Service::Sieve => "NO (TRYLATER) \"Account is temporarily unavailable.\"",
    }
}

fn still_usable(client: &mut Client, service: Service) {
    let answer = match service {
        Service::Imap => client.ask("z NOOP"),
        Service::Pop3 => client.ask("AUTH FOO"),
        Service::Sieve => client.ask("NOOP"),
    };
    let expected = match service {
        Service::Imap => "z OK",
        Service::Pop3 => "-ERR [AUTH] Unsupported",
        Service::Sieve => "OK",
    };
    assert!(answer.starts_with(expected), "{answer}");
}

#[test]
fn a_backend_that_fails_is_a_temporary_failure_in_every_protocol() {
    for (number, behaviour) in [Behaviour::Silent, Behaviour::Garbage, Behaviour::Closing, Behaviour::Endless]
        .into_iter()
        .enumerate()
    {
        let ip: &'static str = ["127.20.0.1", "127.20.1.1", "127.20.2.1", "127.20.3.1"][number];
        let backends: Vec<_> = SERVICES
            .map(|s| FakeBackend::start(SocketAddr::new(ip.parse().unwrap(), 0), s, behaviour))
            .into_iter()
            .collect();
        let ports: Vec<_> = backends.iter().map(|b| b.address().port()).collect();
        let fields = move |service: &str| {
            let at = ["imap", "pop3", "sieve"].iter().position(|s| *s == service).unwrap();
            format!("proxy\thost={ip}\tport={}\tproxy_timeout=2500msecs", ports[at])
        };
        let site = Site::start(ip, fields, "");
        for service in SERVICES {
            let mut client = site.client(service);
            assert_eq!(log_in(&mut client, service), unavailable(service), "{behaviour:?}");
            still_usable(&mut client, service);
        }
        for backend in &backends {
            wait_until(|| backend.live() == 0, "backend connections are closed");
        }
    }
}

#[test]
fn a_refused_connection_is_retried_and_then_a_temporary_failure() {
    let fields = |_: &str| "proxy\thost=127.20.4.9\tport=9\tproxy_refresh=often".to_owned();
    let site = Site::start("127.20.4.1", fields, "");
    for service in SERVICES {
        let mut client = site.client(service);
        assert_eq!(log_in(&mut client, service), unavailable(service));
        still_usable(&mut client, service);
    }
    site.homing.wait_for_log("connect(127.20.4.9, 9) failed: Connection refused (after 3 secs, 3 reconnects");
    site.homing
        .wait_for_log("Error: Auth service returned invalid proxy_refresh value 'often': user=<alice>");
}

#[test]
fn a_client_that_waits_for_the_auth_service_is_not_taken_for_one_that_tries_nothing() {
    let site = Site::start("127.20.8.1", |_| "proxy\thost=127.20.8.9".to_owned(), "");
    drop(site.client(Service::Imap));
    site.auth.stop();
    site.homing.wait_for_log("connect() failed: ");
    let greeting = || {
        let mut client = Client::connect(format!("{}:1143", site.ip).parse().unwrap());
        client.line()
    };
    // The log tells of the first connection that is gone; until the other is, too, clients are greeted.
    let waiting = "* OK Waiting for authentication process to respond..";
    wait_until(|| greeting() == waiting, "both connections to the service are gone");
    site.homing.wait_for_log("(disconnected before auth was ready, waited 1");
    site.homing.wait_for_log("Warning: Auth process not responding, delayed sending initial response");
}

#[test]
fn odd_words_of_a_backend_are_logged_with_the_login() {
    let ip = "127.20.9.1";
    let backend = TcpListener::bind((ip, 0)).unwrap();
    let port = backend.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut stream = BufReader::new(backend.accept().unwrap().0);
        stream.get_mut().write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("L LOGIN"), "{line}");
        stream.get_mut().write_all(b"X OK stray tag\r\nL OK in\r\n").unwrap();
        stream.read_line(&mut line).unwrap()
    });
    let site = Site::start(ip, move |_| format!("proxy\thost={ip}\tport={port}"), "");
    let mut client = site.client(Service::Imap);
    assert!(log_in(&mut client, Service::Imap).starts_with("a OK "));
    drop(client);
    let line = site.homing.wait_for_log("Unexpected input, ignoring: X OK stray tag");
    assert!(line.contains(&format!("imap-login: Error: proxy(alice,{ip}:{port}): ")), "{line}");
    assert!(line.contains("user=<alice>"), "{line}");
    assert_eq!(serving.join().unwrap(), 0);
}

#[test]
fn a_backend_that_refuses_the_password_is_told_as_each_protocol_says() {
    let ip = "127.20.5.1";
    let backends =
        SERVICES.map(|s| FakeBackend::start(SocketAddr::new(ip.parse().unwrap(), 0), s, Behaviour::Refusing));
    let ports = backends.each_ref().map(|b| b.address().port());
    let fields = move |service: &str| {
        let at = ["imap", "pop3", "sieve"].iter().position(|s| *s == service).unwrap();
        format!("proxy\thost={ip}\tport={}", ports[at])
    };
    let site = Site::start(ip, fields, "");
    for (service, expected) in [
        (Service::Imap, "a NO [AUTHENTICATIONFAILED] Authentication failed."),
        (Service::Pop3, "-ERR [AUTH] no"),
        (Service::Sieve, "NO \"Authentication failed.\""),
    ] {
        let mut client = site.client(service);
        assert_eq!(log_in(&mut client, service), expected);
        still_usable(&mut client, service);
    }
    site.homing.wait_for_log("(proxy dest auth failed)");
}

/// AP-14, in the better way: not AUTHENTICATIONFAILED, which makes clients ask for a new password.
#[test]
fn a_lost_auth_service_is_a_temporary_failure_and_comes_back() {
    let ip = "127.20.6.1";
    let backends =
        SERVICES.map(|s| FakeBackend::start(SocketAddr::new(ip.parse().unwrap(), 0), s, Behaviour::Good));
    let ports = backends.each_ref().map(|b| b.address().port());
    let fields = move |service: &str| {
        let at = ["imap", "pop3", "sieve"].iter().position(|s| *s == service).unwrap();
        format!("proxy\thost={ip}\tport={}", ports[at])
    };
    let site = Site::start(ip, fields, "");
    let mut clients = SERVICES.map(|s| (s, site.client(s)));
    site.auth.mute(true);
    let before = site.auth.requests();
    for (service, client) in &mut clients {
        if *service == Service::Pop3 {
            assert_eq!(client.ask("USER alice"), "+OK");
        }
        let message = homing_wire::encode_base64(b"\0alice\0pw");
        match service {
            Service::Imap => client.send("a LOGIN alice pw\r\n"),
            Service::Pop3 => client.send("PASS pw\r\n"),
            Service::Sieve => client.send(format!("AUTHENTICATE \"PLAIN\" \"{message}\"\r\n")),
        };
    }
    wait_until(|| site.auth.requests() == before + 3, "three requests are open");
    site.auth.stop();
    for (service, client) in &mut clients {
        let expected = match service {
            Service::Imap => "a NO [UNAVAILABLE] Temporary authentication failure. [proxyhost:",
            Service::Pop3 => "-ERR [SYS/TEMP] Temporary authentication failure. [proxyhost:",
            Service::Sieve => "NO (TRYLATER) \"Temporary authentication failure. [proxyhost:",
        };
        let answer = client.line();
        assert!(answer.starts_with(expected), "{answer}");
    }
    site.auth.mute(false);
    site.auth.restart();
    for (service, client) in &mut clients {
        let mut answer = log_in(client, *service);
        while answer.starts_with("* OK Waiting") {
            answer = client.line();
        }
        assert!(answer.contains("OK"), "{answer}");
        assert_eq!(client.ask("hello"), "echo hello");
    }
}

#[test]
fn wrong_passwords_do_not_reach_a_backend_and_are_logged_at_once() {
    let site = Site::start("127.20.7.1", |_| "proxy\thost=127.20.7.9".to_owned(), "");
    let mut client = site.client(Service::Imap);
    let answer = log_in_with(&mut client, Service::Imap, "wrong");
    assert_eq!(answer, "a NO [AUTHENTICATIONFAILED] Authentication failed.");
    // The connection is still open: the line must not wait for its end.
    let line = site.homing.wait_for_log("(auth failed, 1 attempts in");
    assert!(line.contains("user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.20.7.1"), "{line}");
    assert!(!site.homing.log().contains("wrong"), "passwords are not for logs");
}

fn wait_until(done: impl Fn() -> bool, what: &str) {
    let deadline = std::time::Instant::now() + support::client::PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
