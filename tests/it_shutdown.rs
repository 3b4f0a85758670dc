//! Stop and reload: who is told what, who is disconnected, who lives on.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use homing_login::Service;
use support::{
    certificate,
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

struct Site {
    homing: Homing,
    imap: FakeBackend,
    _auth: FakeAuth,
    ip: &'static str,
}

impl Site {
    fn start(ip: &'static str, more: impl AsRef<str>) -> Self {
        let at = |port| SocketAddr::new(ip.parse().unwrap(), port);
        let imap = FakeBackend::start(at(2143), Service::Imap, Behaviour::Good);
        FakeBackend::start(at(2110), Service::Pop3, Behaviour::Good);
        FakeBackend::start(at(2190), Service::Sieve, Behaviour::Good);
        let folder = tempfile::tempdir().unwrap();
        certificate::write(folder.path(), &["first.example"]);
        let port = |service: &str| match service {
            "imap" => 2143,
            "pop3" => 2110,
            _ => 2190,
        };
        let auth = FakeAuth::start(&folder.path().join("auth"), move |service| {
            format!("proxy\tport={}", port(service))
        });
        let homing = Homing::start_in(
            folder,
            |path| configuration(path, ip, more.as_ref()),
            format!("{ip}:1190").parse().unwrap(),
        );
        Self { homing, imap, _auth: auth, ip }
    }

    fn client(&self, port: u16) -> Client {
        Client::greeted(format!("{}:{port}", self.ip).parse().unwrap())
    }

    fn logged_in(&self, user: usize) -> Client {
        let mut client = self.client(1143);
        let answer = client.ask(&format!("a LOGIN user{user} pw"));
        assert!(answer.starts_with("a OK"), "{answer}");
        client
    }

    /// Waits until a reload shows.
    fn await_greeting(&self, greeting: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let mut client = Client::connect(format!("{}:1143", self.ip).parse().unwrap());
            if client.line().ends_with(greeting) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "the new configuration is not used");
        }
    }

    fn rewrite(&self, more: impl AsRef<str>) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        fs::write(self.homing.config(), own + &configuration(folder, self.ip, more.as_ref())).unwrap();
    }
}

fn configuration(folder: &Path, ip: &str, more: &str) -> String {
    let folder = folder.display();
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\nssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n\
         disable_plaintext_auth = no\nlogin_auth_socket_path = {folder}/auth\ndirector_mail_servers = {ip}\n\
         service imap-login {{\n client_limit = 10000\n service_count = 0\n process_limit = 1\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 1993\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n{more}\n"
    )
}

/// One more listener for IMAP; sessions outlive reloads.
fn listener(address: &str, port: u16) -> String {
    format!(
        "shutdown_clients = no\nservice imap-login {{\n inet_listener wide {{\n  address = {address}\n  port = {port}\n }}\n}}"
    )
}

#[test]
fn stop_says_goodbye_in_every_protocol_and_ends_sessions() {
    let mut site = Site::start("127.21.0.1", "");
    let (mut imap, mut pop3, mut sieve) = (site.client(1143), site.client(1110), site.client(1190));
    let mut forwarding = site.logged_in(1);
    assert_eq!(forwarding.ask("hello"), "echo hello");
    site.homing.signal("TERM");
    assert_eq!(imap.rest(), "* BYE Shutting down\r\n");
    assert_eq!(pop3.rest(), "-ERR Shutting down\r\n");
    assert_eq!(sieve.rest(), "BYE (TRYLATER) \"Shutting down\"\r\n");
    assert_eq!(forwarding.rest(), "* BYE Shutting down\r\n");
    assert!(site.homing.wait());
    assert_eq!(site.imap.live(), 0);
    assert!(site.homing.log().contains("Disconnected by proxy: Process shutting down"));
}

#[test]
fn sd_07_a_stop_in_the_middle_of_a_sasl_exchange() {
    let mut site = Site::start("127.21.7.1", "");
    let (mut imap, mut pop3, mut sieve) = (site.client(1143), site.client(1110), site.client(1190));
    assert_eq!(imap.ask("a AUTHENTICATE PLAIN"), "+");
    assert_eq!(pop3.ask("AUTH PLAIN"), "+");
    assert_eq!(sieve.ask("AUTHENTICATE \"PLAIN\""), "\"\"");
    site.homing.signal("TERM");
    assert_eq!(imap.rest(), "* BYE Shutting down\r\n");
    assert_eq!(pop3.rest(), "-ERR Shutting down\r\n");
    assert_eq!(sieve.rest(), "BYE (TRYLATER) \"Shutting down\"\r\n");
    assert!(site.homing.wait());
}

#[test]
fn many_sessions_end_together() {
    let mut site = Site::start("127.21.1.1", "");
    let mut clients: Vec<_> = (0..500).map(|n| site.logged_in(n)).collect();
    site.homing.signal("TERM");
    for client in &mut clients {
        client.rest();
    }
    assert!(site.homing.wait());
}

#[test]
fn stop_with_shutdown_clients_no_lets_sessions_end_by_themselves() {
    let mut site = Site::start("127.21.2.1", "shutdown_clients = no");
    let mut forwarding = site.logged_in(1);
    let mut waiting = site.client(1143);
    site.homing.signal("TERM");
    site.homing.wait_for_log("sessions live on");
    assert!(TcpStream::connect((site.ip, 1143)).is_err(), "SD-04: new connections are refused");
    assert_eq!(forwarding.ask("hello"), "echo hello");
    let answer = waiting.ask("a LOGIN user2 pw");
    assert!(answer.starts_with("a OK"), "SD-04: a waiting client can still log in: {answer}");
    drop((forwarding, waiting));
    assert!(site.homing.wait());
}

#[test]
fn reload_with_shutdown_clients_yes_ends_sessions_and_serves_new_ones() {
    let site = Site::start("127.21.3.1", "");
    let (mut waiting, mut forwarding) = (site.client(1143), site.logged_in(1));
    site.rewrite("login_greeting = Second.");
    site.homing.signal("HUP");
    assert_eq!(waiting.rest(), "* BYE Shutting down\r\n", "SD-05");
    forwarding.rest();
    let mut client = Client::connect(format!("{}:1143", site.ip).parse().unwrap());
    assert!(client.line().ends_with("Second."));
}

#[test]
fn reload_with_shutdown_clients_no_keeps_sessions_and_their_backends() {
    let site = Site::start("127.21.4.1", "shutdown_clients = no");
    let mut forwarding = site.logged_in(1);
    let mut waiting = site.client(1143);
    site.rewrite("shutdown_clients = no\nlogin_greeting = Second.");
    site.homing.signal("HUP");
    site.await_greeting("Second.");
    assert_eq!(forwarding.ask("hello"), "echo hello", "SD-06");
    assert!(waiting.ask("a NOOP").starts_with("a OK"), "SD-06");
}

#[test]
fn a_wrong_configuration_is_refused_and_the_old_one_stays() {
    let site = Site::start("127.21.5.1", "");
    let mut forwarding = site.logged_in(1);
    site.rewrite("no_such_setting = 1");
    site.homing.signal("HUP");
    site.homing.wait_for_log("the old configuration stays");
    assert!(site.homing.log().contains("no_such_setting"), "the problem is named");
    assert_eq!(forwarding.ask("hello"), "echo hello");
    site.logged_in(2);
}

#[test]
fn a_listener_can_shrink_to_one_address() {
    let wide = |address| listener(address, 24143);
    let site = Site::start("127.21.20.1", wide("0.0.0.0"));
    let other: SocketAddr = "127.21.20.2:24143".parse().unwrap();
    Client::greeted(other);
    site.rewrite(wide("127.21.20.1"));
    site.homing.signal("HUP");
    let deadline = std::time::Instant::now() + PATIENCE;
    let wait = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(std::time::Instant::now() < deadline, "{}", site.homing.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait(&|| TcpStream::connect(other).is_err());
    wait(&|| TcpStream::connect("127.21.20.1:24143").is_ok());
    Client::greeted("127.21.20.1:24143".parse().unwrap());
}

#[test]
fn a_listener_is_not_given_up_for_an_address_that_does_not_exist() {
    let site = Site::start("127.21.21.1", listener("0.0.0.0", 24144));
    // RFC 5737: no interface has it.
    site.rewrite(listener("192.0.2.1", 24144));
    site.homing.signal("HUP");
    site.homing.wait_for_log("the old configuration stays");
    Client::greeted("127.21.21.1:24144".parse().unwrap());
}

#[test]
fn certificates_are_read_again_without_touching_sessions() {
    let site = Site::start("127.21.6.1", "");
    let mut forwarding = site.logged_in(1);
    assert!(certificate_names(&site).contains("first.example"));
    certificate::write(site.homing.folder(), &["second.example"]);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !certificate_names(&site).contains("second.example") {
        assert!(std::time::Instant::now() < deadline, "the new certificate is not used");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(forwarding.ask("hello"), "echo hello");
}

#[test]
fn a_reload_keeps_the_tickets_that_clients_have() {
    let site = Site::start("127.21.22.1", "shutdown_clients = no");
    let ticket = site.homing.folder().join("ticket");
    let shake = |option: &str| {
        // In TLS 1.2 the ticket is part of the handshake.
        let client = Command::new("openssl")
            .args(["s_client", "-tls1_2", "-connect", &format!("{}:1993", site.ip), option])
            .arg(&ticket)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&client.stdout).into_owned()
    };
    assert!(shake("-sess_out").contains("New, TLSv1.2"));
    site.rewrite("shutdown_clients = no\nlogin_greeting = Second.");
    site.homing.signal("HUP");
    site.await_greeting("Second.");
    let second = shake("-sess_in");
    assert!(second.contains("Reused, TLSv1.2"), "{second}");
}

/// The names in the certificate that port 1993 shows, read by openssl.
fn certificate_names(site: &Site) -> String {
    let connect = format!("{}:1993", site.ip);
    let client = Command::new("openssl")
        .args(["s_client", "-connect", &connect, "-showcerts"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let pem = String::from_utf8_lossy(&client.stdout).into_owned();
    let mut reader = Command::new("openssl")
        .args(["x509", "-noout", "-ext", "subjectAltName"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut reader.stdin.take().unwrap(), pem.as_bytes()).unwrap();
    String::from_utf8_lossy(&reader.wait_with_output().unwrap().stdout).into_owned()
}
