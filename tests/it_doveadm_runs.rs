//! The recorded runs of doveadm against the whole program: it must be told what Dovecot's director told it. Needs root
//! (for a name space in which the recorded host names exist) and Dovecot 2.3.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

#[path = "support/doveadm_runs.rs"]
mod doveadm_runs;
mod support;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use doveadm_runs::{Run, in_name_space, missing};
use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    dovecot::free_ports,
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

/// Runs that differ on purpose: there is no ring yet, so nothing can be added to it.
const RING_RUNS: [usize; 3] = [75, 76, 77];

/// The sessions of the recording: foo, alice and alt, who leave at different times.
struct Site {
    homing: Homing,
    client_port: u16,
    sessions: Vec<Client>,
    _auth: FakeAuth,
}

impl Site {
    fn start() -> Self {
        let ips = [61, 62, 63].map(|last| IpAddr::from([127, 0, 0, last]));
        let [backend_port, client_port] = free_ports(&ips);
        for ip in ips {
            FakeBackend::start(SocketAddr::new(ip, backend_port), Service::Imap, Behaviour::Good);
        }
        let folder = tempfile::tempdir().unwrap();
        doveadm_runs::write_files(folder.path());
        let auth = FakeAuth::start(&folder.path().join("auth-login"), move |_| {
            format!("proxy\tport={backend_port}")
        });
        let configure = |_: &Path| {
            format!(
                "protocols = imap\nlisten = 127.0.0.61\nssl = no\ndisable_plaintext_auth = no\n\
                 director_mail_servers = 127.0.0.61 127.0.0.62 127.0.0.63 127.0.0.64@blue\n\
                 director_user_kick_delay = 5 secs\n\
                 service imap-login {{\n inet_listener imap {{\n  port = {client_port}\n }}\n}}\n"
            )
        };
        let homing = Homing::start_in(folder, configure, ([127, 0, 0, 61], client_port).into());
        Self { homing, client_port, sessions: Vec::new(), _auth: auth }
    }

    /// What happened before this run.
    fn meanwhile(&mut self, run: usize) {
        match run {
            8 => {
                for user in ["foo", "alice@example.com", "alt"] {
                    let mut client = Client::greeted(([127, 0, 0, 61], self.client_port).into());
                    assert!(client.ask(&format!("a LOGIN {user} pw")).starts_with("a OK"));
                    self.sessions.push(client);
                }
            }
            18 => {
                self.sessions.truncate(2);
                self.wait_for_sessions(2);
            }
            22 => self.wait_for_sessions(1),
            51 | 60 => {
                self.sessions.clear();
                self.wait_for_sessions(0);
                self.wait_for_moves();
            }
            _ => {}
        }
    }

    fn wait_for_sessions(&self, count: usize) {
        let words = ["proxy", "list", "-a", &self.path("ipc")].map(str::to_owned);
        wait_until("sessions end", || {
            self.doveadm(&words).stdout.iter().filter(|b| **b == b'\n').count() == count + 1
        });
    }

    fn wait_for_moves(&self) {
        let count = |log: &str, text: &str| log.lines().filter(|line| line.contains(text)).count();
        wait_until("moves end", || {
            let log = self.homing.log();
            count(&log, ": leaves ") == count(&log, ": left ")
        });
    }

    fn path(&self, name: &str) -> String {
        self.homing.folder().join(name).display().to_string()
    }

    fn doveadm(&self, arguments: &[String]) -> std::process::Output {
        let mut command = in_name_space(self.homing.folder());
        command.arg("doveadm").arg("-c").arg(self.homing.config()).args(arguments);
        command.env("TZ", "UTC").env("COLUMNS", "80").output().unwrap()
    }
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The time of the recording and that of this run look the same.
fn without_times(text: &str) -> String {
    let digits: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let mut out = text.to_owned();
    for (at, found) in digits.match_indices("0000-00-00 00:00:00") {
        out.replace_range(at..at + found.len(), found);
    }
    out
}

#[test]
fn every_recorded_run_ends_the_same_with_the_whole_program() {
    if let Some(reason) = missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked with doveadm");
        return;
    }
    let mut site = Site::start();
    let runs = Run::all();
    assert_eq!(runs.len(), 79);
    for (number, run) in runs.iter().enumerate().filter(|(number, _)| !RING_RUNS.contains(number)) {
        site.meanwhile(number);
        let socket = if run.command.starts_with("doveadm proxy") { "ipc" } else { "director-admin" };
        let output = site.doveadm(&run.arguments(site.homing.folder(), socket));
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&site.path(socket), "SOCKET");
        let (stdout, stderr) = (told(&output.stdout), told(&output.stderr));
        if run.command == "doveadm proxy list -a SOCKET" {
            // W25: the recorded doveadm aborted here.
            assert_eq!((output.status.code(), stdout.lines().count()), (Some(0), 4), "{stdout}");
            continue;
        }
        let seen = (output.status.code(), without_times(&stdout), stderr);
        let recorded = (Some(run.exit_code), without_times(&run.stdout), run.stderr.clone());
        assert_eq!(seen, recorded, "run {number}: {}", run.command);
    }
}
