//! What the reference sent in recorded conversations must be what this crate sends: every AUTH line bit for
//! bit, and the conversations of `auth-*.txt` step by step.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test program: it reads files, and stops at the first surprise"
)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use homing_dovecot_auth::{AuthClient, ConnectionId, Event, RequestId};
use homing_login::{AuthReply, AuthRequest, ClientIdentity, ForwardField, Secured, Service, TlsFacts};
use homing_wire::{Fields, Secret, SessionId, tab};

/// Files in which the reference sent what this crate leaves out on purpose: garbage as `cert_username`
/// (spec/auth-protocol.md 10.9).
const GARBAGE: &[&str] = &["haproxy-ssl", "haproxy-v2"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/login")
}

/// Lines of one recording: who, which connection, content with escapes undone.
fn load(name: &str) -> Vec<(char, String, Vec<u8>)> {
    let content = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    content.lines().skip(1).filter_map(parse).collect()
}

fn parse(line: &str) -> Option<(char, String, Vec<u8>)> {
    if line.starts_with('#') {
        return Some(('#', String::new(), line.trim_start_matches("# ").into()));
    }
    let (head, text) = line.split_once(": ")?;
    Some((head.chars().next()?, head[1..].to_owned(), repeat(unescape(text))))
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().unwrap() {
            b't' => out.push(b'\t'),
            b'x' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    out
}

/// `x<1000 times>`.
fn repeat(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    let Some((head, tail)) = text.split_once('<') else { return bytes };
    let Some(count) = tail.strip_suffix(" times>").and_then(|n| n.parse::<usize>().ok()) else {
        return bytes;
    };
    let last = head.chars().last().unwrap();
    format!("{head}{}", last.to_string().repeat(count - 1)).into_bytes()
}

/// The request that a recorded AUTH line stands for.
fn request(line: &[u8]) -> Option<AuthRequest> {
    let mut words = line.splitn(4, |b| *b == b'\t').skip(2);
    let mechanism = String::from_utf8(words.next()?.to_vec()).ok()?;
    let fields = Fields::parse(words.next()?);
    let address = |ip: &str, port: &str| {
        let ip = fields.text(ip)?.parse().ok()?;
        Some(std::net::SocketAddr::new(ip, fields.text(port)?.parse().ok()?))
    };
    let service = match fields.value("service")? {
        b"imap" => Service::Imap,
        b"pop3" => Service::Pop3,
        _ => Service::Sieve,
    };
    let (remote, local) = (address("rip", "rport")?, address("lip", "lport")?);
    let session = SessionId::received(fields.value("session")?)?;
    let mut client = ClientIdentity::new(service, remote, local, session);
    client.secured = match fields.value("secured") {
        None => Secured::No,
        Some(b"") => Secured::Yes,
        Some(_) => Secured::Tls,
    };
    let real = |key: &str| fields.text(key);
    client.real_remote.set_ip(real("real_rip").map_or(remote.ip(), |ip| ip.parse().unwrap()));
    client.real_local.set_ip(real("real_lip").map_or(local.ip(), |ip| ip.parse().unwrap()));
    client.real_remote.set_port(real("real_rport").map_or(remote.port(), |port| port.parse().unwrap()));
    client.real_local.set_port(real("real_lport").map_or(local.port(), |port| port.parse().unwrap()));
    client.local_name = fields.text("local_name").map(str::to_owned);
    client.retained_id = fields.text("client_id").unwrap_or_default().to_owned();
    client.forward = fields.value("forward_fields").map(forward).unwrap_or_default();
    let tls = fields.has("valid-client-cert").then(|| TlsFacts {
        valid_client_cert: true,
        cert_username: fields.text("cert_username").map(str::to_owned),
        ..TlsFacts::default()
    });
    let initial_response = fields.value("resp").map(Secret::from);
    Some(AuthRequest { mechanism, initial_response, client, tls })
}

fn forward(list: &[u8]) -> Vec<ForwardField> {
    tab::split(list)
        .filter_map(|item| {
            let at = item.iter().position(|b| *b == b'=')?;
            Some(ForwardField { key: item[..at].to_vec(), value: Some(item[at + 1..].to_vec()) })
        })
        .collect()
}

fn opened(id: u32, mechanism: &str) -> AuthClient {
    let mut client = AuthClient::default();
    client.connected(ConnectionId::new(id).unwrap());
    client.received(b"VERSION\t1\t2\n");
    client.received(format!("MECH\t{mechanism}\nCOOKIE\t0\nDONE\n").as_bytes());
    client
}

fn sent(client: &mut AuthClient) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| client.poll_transmit())
        .flat_map(|s| s.expose().split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .map(|line| line.strip_suffix(b"\n").unwrap().to_vec())
        .collect()
}

/// Without the id, which depends on what came before.
fn without_id(line: &[u8]) -> Vec<u8> {
    let words: Vec<_> = line.splitn(3, |b| *b == b'\t').collect();
    [words[0], b"\t", words.get(2).copied().unwrap_or_default()].concat()
}

#[test]
fn every_recorded_auth_line_is_written_alike() {
    let mut compared = 0;
    for entry in fs::read_dir(folder()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".txt") else { continue };
        for (who, _, line) in load(name) {
            if who != 'L' || !line.starts_with(b"AUTH\t") || name.starts_with("authproto-") {
                continue;
            }
            let garbage = GARBAGE.contains(&name) && line.windows(14).any(|w| w == b"cert_username=");
            // Bare words and LF in forward fields are what 10.7 forbids.
            let loose = name.contains("forward-hardening");
            if garbage || loose {
                continue;
            }
            let request =
                request(&line).unwrap_or_else(|| panic!("{name}: {}", String::from_utf8_lossy(&line)));
            let mut client = opened(1, &request.mechanism);
            client.begin(&request).unwrap();
            let ours = sent(&mut client).pop().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&without_id(&ours)),
                String::from_utf8_lossy(&without_id(&line)),
                "{name}"
            );
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared}");
}

/// One conversation of the reference with an auth service.
struct Replay {
    name: &'static str,
    client: AuthClient,
    /// Open requests by their recorded id; ours count from 1.
    open: BTreeMap<Vec<u8>, RequestId>,
    closed: bool,
    connections: usize,
    compared: usize,
}

impl Replay {
    fn run(name: &'static str) -> usize {
        let mut replay = Self {
            name,
            client: AuthClient::default(),
            open: BTreeMap::new(),
            closed: true,
            connections: 0,
            compared: 0,
        };
        for (who, _, line) in load(name) {
            match who {
                'A' => replay.service_says(&line),
                'L' => replay.reference_says(&line),
                '#' if line.starts_with(b"login process closes the auth socket") => {
                    replay.reference_closes();
                }
                '#' if line.starts_with(b"auth server closes the socket") => replay.client.disconnected(),
                _ => {}
            }
        }
        assert!(replay.compared > 0, "{name}");
        replay.compared
    }

    fn service_says(&mut self, line: &[u8]) {
        if line.starts_with(b"VERSION\t") {
            self.connections += 1;
            self.closed = false;
            self.client.connected(ConnectionId::new(1).unwrap());
            assert_eq!(sent(&mut self.client), [b"VERSION\t1\t2".to_vec(), b"CPID\t1".to_vec()]);
        }
        let line = self.with_our_id(line);
        for piece in [&line[..], b"\n"].concat().chunks(4096) {
            let count = piece.len().min(self.client.room());
            self.client.received(&piece[..count]);
        }
        self.drain();
    }

    fn with_our_id(&self, line: &[u8]) -> Vec<u8> {
        let mut words: Vec<_> = line.split(|b| *b == b'\t').map(<[u8]>::to_vec).collect();
        if let Some(id) = words.get(1).and_then(|id| self.open.get(id)) {
            words[1] = id.to_string().into_bytes();
        }
        words.join(&b'\t')
    }

    fn drain(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Reply(id, AuthReply::Challenge(_)) => {
                    assert!(self.open.values().any(|open| *open == id))
                }
                Event::Reply(id, _) => self.open.retain(|_, open| *open != id),
                Event::Close(_) => self.closed = true,
                Event::Ready(_) | Event::UnknownId(_) => {}
            }
        }
    }

    fn reference_says(&mut self, line: &[u8]) {
        if line.starts_with(b"VERSION\t") || line.starts_with(b"CPID\t") {
            return;
        }
        let id = line.split(|b| *b == b'\t').nth(1).unwrap().to_vec();
        if line.starts_with(b"AUTH\t") {
            self.opened_before();
            let ours = self.client.begin(&request(line).unwrap()).unwrap();
            self.open.insert(id, ours);
        } else if line.starts_with(b"CONT\t") {
            let response = line.splitn(3, |b| *b == b'\t').nth(2).unwrap();
            self.client.respond(self.open[&id], &Secret::from(response));
        } else {
            self.client.cancel(self.open.remove(&id).unwrap());
        }
        let ours = sent(&mut self.client);
        assert_eq!(ours.len(), 1, "{}", self.name);
        assert_eq!(without_id(&ours[0]), without_id(line), "{}", self.name);
        self.compared += 1;
    }

    /// Some recordings begin on a connection that was opened earlier.
    fn opened_before(&mut self) {
        if self.client.mechanisms().is_some() {
            return;
        }
        self.client.connected(ConnectionId::new(1).unwrap());
        let mechanisms =
            ["PLAIN", "LOGIN", "SCRAM-SHA-256", "XOAUTH2", "EXTERNAL", "X-NEW", "ANONYMOUS", "OAUTHBEARER"];
        let list: String = mechanisms.iter().map(|name| format!("MECH\t{name}\n")).collect();
        self.client.received(format!("VERSION\t1\t2\n{list}COOKIE\t0\nDONE\n").as_bytes());
        drop(sent(&mut self.client));
        self.closed = false;
    }

    /// Where the reference closes, so must we; with the requests lost.
    fn reference_closes(&mut self) {
        if self.connections > 0 {
            assert!(self.closed, "{}", self.name);
            assert!(self.open.is_empty(), "{}", self.name);
        }
    }
}

#[test]
fn recorded_conversations_are_held_alike() {
    let names = [
        "auth-bad-lines",
        "auth-drop-pending",
        "auth-mech-list",
        "director-login",
        "director-pass-through",
        "imap-anonymous",
        "imap-auth-cont",
        "imap-auth-disconnect",
        "imap-authfail",
        "imap-disconnect-states",
        "imap-external",
        "imap-scram",
        "imap-xoauth2-fail",
        "pop3-auth-cont",
        "pop3-scram",
        "sieve-auth-cont",
        "sieve-scram",
        "v21-imap-xoauth2-fail",
    ];
    let compared: usize = names.into_iter().map(Replay::run).sum();
    assert!(compared >= 60, "{compared}");
}

/// The openings of real servers are understood.
#[test]
fn recorded_openings_are_understood() {
    for name in ["authproto-handshake", "authproto-cont", "authproto-requests", "auth-slow-handshake"] {
        let mut client = AuthClient::default();
        let mut ready = 0;
        for (_, _, line) in load(name).into_iter().filter(|(who, ..)| *who == 'A') {
            if line.starts_with(b"VERSION\t") {
                client.connected(ConnectionId::new(1).unwrap());
            }
            client.received(&[&line[..], b"\n"].concat());
            while let Some(event) = client.poll_event() {
                assert!(!matches!(event, Event::Close(_)), "{name}: {event:?}");
                if let Event::Ready(mechanisms) = event {
                    assert!(mechanisms.len() >= 4, "{name}");
                    ready += 1;
                }
            }
        }
        assert!(ready > 0, "{name}");
    }
}
