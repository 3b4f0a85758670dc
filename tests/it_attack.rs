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
        let folder = tempfile::tempdir().unwrap();
        certificate::write(folder.path(), &["a.example"]);
        let auth = FakeAuth::start(&folder.path().join("auth"), move |service| {
            let port = SERVICES.iter().find(|(_, name, _)| *name == service).unwrap().2;
            format!("proxy\tport={}\t{fields}", port + 1000)
        });
        let configure =
            |f: &Path| configuration(f, ip, &format!("login_auth_socket_path = {}/auth\n", f.display()));
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
