//! `homing bench`: its loader, backends and auth service against Homing. Every count is right; how long it took is
//! nobody's business here.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use support::{certificate, homing::Homing};

/// One of the tools, ended on drop.
struct Tool {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Tool {
    fn start(arguments: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_homing"))
            .arg("bench")
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// A server, after it has said that it is ready.
    fn server(arguments: &str) -> Self {
        let mut tool = Self::start(arguments);
        while tool.line() != "ready" {}
        tool
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the tool has ended");
        line.trim_end().to_owned()
    }

    /// The next step of a loader, which must be this one.
    fn step(&mut self, event: &str) -> Value {
        let facts: Value = serde_json::from_str(&self.line()).unwrap();
        assert_eq!(facts["event"], event, "{facts}");
        facts
    }

    /// Opens the gate.
    fn go(&mut self) {
        self.input.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// The loader has ended, and says that all went well.
    fn ended_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two backends, an auth service, and Homing between them and the loader.
struct Site {
    homing: Homing,
    ip: &'static str,
    _backend: Tool,
    _auth: Tool,
}

impl Site {
    fn start(net: &'static str, ip: &'static str) -> Self {
        let mut backend = "backend".to_owned();
        for host in [11, 12] {
            backend +=
                &format!(" --imap {net}.{host}:3143 --pop3 {net}.{host}:3110 --sieve {net}.{host}:3190");
        }
        let folder = tempfile::tempdir().unwrap();
        certificate::write(folder.path(), &["localhost"]);
        let auth = format!(
            "auth --socket {}/auth --imap-port 3143 --pop3-port 3110 --sieve-port 3190",
            folder.path().display()
        );
        let (backend, auth) = (Tool::server(&backend), Tool::server(&auth));
        let homing = Homing::start_in(
            folder,
            |path| configuration(path, net, ip),
            format!("{ip}:1143").parse().unwrap(),
        );
        Self { homing, ip, _backend: backend, _auth: auth }
    }

    fn load(&self, port: u16, arguments: &str) -> Tool {
        Tool::start(&format!("load --json --to {}:{port} {arguments}", self.ip))
    }

    /// One step of a loader that has no others.
    fn measure(&self, port: u16, arguments: &str, event: &str) -> Value {
        let mut loader = self.load(port, arguments);
        let facts = loader.step(event);
        loader.ended_well();
        facts
    }
}

fn configuration(folder: &Path, net: &str, ip: &str) -> String {
    format!(
        "protocols = imap pop3 sieve\nlisten = {ip}\ndisable_plaintext_auth = no\n\
         ssl = yes\nssl_cert = <{0}/cert.pem\nssl_key = <{0}/key.pem\n\
         login_auth_socket_path = {0}/auth\ndirector_mail_servers = {net}.11 {net}.12\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 1993\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n inet_listener pop3s {{\n  port = 1995\n }}\n}}\n\
         service managesieve-login {{\n inet_listener sieve {{\n  port = 1190\n }}\n}}\n",
        folder.display()
    )
}

fn number(facts: &Value, key: &str) -> u64 {
    facts[key].as_u64().unwrap_or_else(|| panic!("{key} in {facts}"))
}

#[test]
fn logins_are_counted_in_every_protocol_plain_and_over_tls() {
    let site = Site::start("127.44.0", "127.44.0.1");
    let ways = [
        (1143, "--protocol imap"),
        (1143, "--protocol imap --tls starttls"),
        (1993, "--protocol imap --tls implicit"),
        (1110, "--protocol pop3"),
        (1110, "--protocol pop3 --tls starttls"),
        (1995, "--protocol pop3 --tls implicit"),
        (1190, "--protocol sieve"),
        (1190, "--protocol sieve --tls starttls"),
    ];
    for (port, way) in ways {
        let facts = site.measure(port, &format!("{way} --users 7 login --count 30"), "login");
        assert_eq!((number(&facts, "done"), number(&facts, "resumed")), (30, 0), "{way}");
    }
    assert_eq!(
        site.homing.log().matches(": Started proxying to ").count(),
        30 * ways.len(),
        "Homing saw them, too"
    );
}

#[test]
fn an_abandoned_socket_is_no_obstacle_and_one_in_use_is() {
    let folder = tempfile::tempdir().unwrap();
    let auth = format!("auth --socket {}/auth", folder.path().display());
    drop(Tool::server(&auth));
    let _second = Tool::server(&auth);
    assert!(!Tool::start(&auth).child.wait().unwrap().success());
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(!Tool::start(&format!("auth --socket {}", file.display())).child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn tickets_are_used_when_asked_for() {
    let site = Site::start("127.44.1", "127.44.1.1");
    let way = "--tls implicit --resume --concurrency 1 login --count 10";
    assert_eq!(number(&site.measure(1993, way, "login"), "resumed"), 9);
}

#[test]
fn bytes_and_round_trips_are_all_there() {
    let site = Site::start("127.44.2", "127.44.2.1");
    for (port, tls) in [(1143, "off"), (1993, "implicit")] {
        for work in [
            "bulk --direction down --sessions 3 --bytes 1000001",
            "bulk --direction up --sessions 3 --bytes 1000001",
            "echo --sessions 3 --rounds 50",
        ] {
            let mut loader = site.load(port, &format!("--tls {tls} --gate {work}"));
            assert_eq!(number(&loader.step("ready"), "done"), 3);
            loader.go();
            assert_eq!(number(&loader.step("work"), "sessions"), 3, "{tls} {work}");
            loader.ended_well();
        }
    }
    let facts = site.measure(1143, "mixed --sessions 10 --bytes 100000", "mixed");
    // Ten idle ones, a line sender and four transfers; twenty logins beside them.
    assert_eq!((number(&facts, "sessions"), number(&facts, "done")), (15, 35));
}

#[test]
fn a_storm_brings_everybody_back() {
    let site = Site::start("127.44.3", "127.44.3.1");
    let mut loader = site.load(1993, "--tls implicit storm --sessions 40");
    let facts = loader.step("storm");
    assert_eq!((number(&facts, "dropped"), number(&facts, "done")), (40, 40));
    assert_eq!(number(&facts, "missing"), 0);
    loader.ended_well();
}

#[test]
fn a_shutdown_is_seen_by_everybody() {
    let mut site = Site::start("127.44.4", "127.44.4.1");
    let mut loader = site.load(1143, "hold --sessions 40");
    assert_eq!(number(&loader.step("held"), "sessions"), 40);
    site.homing.signal("TERM");
    assert_eq!(number(&loader.step("closed"), "left"), 0);
    loader.ended_well();
    assert!(site.homing.wait());
}

#[test]
fn failures_are_counted_and_reported() {
    let site = Site::start("127.44.5", "127.44.5.1");
    // Nobody speaks TLS there.
    let mut loader = site.load(1143, "--tls implicit login --count 5");
    let facts = loader.step("login");
    assert_eq!((number(&facts, "done"), number(&facts, "failed")), (0, 5));
    assert!(
        facts["reasons"].as_object().unwrap().keys().all(|reason| reason.starts_with("tls: ")),
        "{facts}"
    );
    assert!(!loader.child.wait().unwrap().success());
}
