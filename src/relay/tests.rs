//! Clients and an auth service with hands of their own, and between them the relay with a real director.

use std::path::Path;

use homing_login::UserName;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::*;
use crate::{
    config::settings::{DirectorSettings, SocketFile, SocketRole, SocketSettings},
    director::PlaceRequest,
};

mod login_processes;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("not in time")
}

/// One end of a connection.
struct Peer(BufReader<UnixStream>);

impl Peer {
    async fn connect(path: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    async fn send(&mut self, text: &str) {
        soon(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        soon(self.0.read_until(b'\n', &mut line)).await.unwrap();
        assert!(line.ends_with(b"\n"), "connection ended");
        line.pop();
        String::from_utf8(line).unwrap()
    }

    /// Waits for the end, and returns what comes before it.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

/// Kicks at work at one time.
const KICKS_MAX: usize = 2;

struct Site {
    folder: tempfile::TempDir,
    director: Director,
    auth: UnixListener,
    userdb: UnixListener,
    serving: Option<Serving>,
}

const SOCKETS: [(&str, SocketRole); 6] = [
    ("director", SocketRole::Logins),
    ("director-userdb", SocketRole::Lookups),
    ("director-authreply", SocketRole::Answers),
    ("notify", SocketRole::Refreshes),
    ("proxy-notify", SocketRole::RefreshFifo),
    ("ipc-proxy", SocketRole::LoginProcesses),
];

fn director_settings(mail_servers: &str, separator: Option<char>) -> DirectorSettings {
    DirectorSettings {
        mail_servers: mail_servers.split_whitespace().map(ToOwned::to_owned).collect(),
        servers: Vec::new(),
        username_hash: "%Lu".to_owned(),
        user_expire: Duration::from_secs(900),
        user_kick_delay: Duration::from_secs(2),
        parallel_moves_max: 100,
        flush_socket: String::new(),
        state_dir: None,
        master_user_separator: separator,
    }
}

impl Site {
    async fn start(connections_max: usize, settings: DirectorSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let socket = |(name, role): (&str, _)| {
            let file = SocketFile { path: path(name), mode: 0o600, user: None, group: None };
            SocketSettings { role, file }
        };
        let relay = Relay::bind(&RelaySettings {
            sockets: SOCKETS.into_iter().map(socket).collect(),
            connections_max,
            processes_max: connections_max,
            parallel_kicks_max: KICKS_MAX,
            login_time: Duration::from_secs(30),
            auth_login: path("auth-login"),
            auth_userdb: path("auth-userdb"),
        });
        let director = Director::start(&settings).await.unwrap();
        let serving = Some(relay.unwrap().serve(&director).unwrap());
        let (auth, userdb) = (path("auth-login"), path("auth-userdb"));
        let (auth, userdb) = (UnixListener::bind(auth).unwrap(), UnixListener::bind(userdb).unwrap());
        Self { folder, director, auth, userdb, serving }
    }

    async fn with(mail_servers: &str) -> Self {
        Self::start(100, director_settings(mail_servers, None)).await
    }

    async fn client(&self, name: &str) -> Peer {
        Peer::connect(&self.folder.path().join(name)).await
    }

    async fn accepted(&self) -> Peer {
        Peer(BufReader::new(soon(self.auth.accept()).await.unwrap().0))
    }

    /// A login process and the auth service's end of it.
    async fn login_process(&self) -> (Peer, Peer) {
        let client = self.client("director").await;
        (client, self.accepted().await)
    }
}

/// Rows of the recorded lines, for backends without names.
fn recorded() -> Vec<[String; 3]> {
    let table = include_str!("../../tests/vectors/director_login_lines.tsv");
    let cell = |cell: &str| {
        let cell = cell.replace("\\t", "\t").replace("\\x01", "\x01");
        cell.replace("host=bepool.test\thostip=", "host=")
    };
    let rows = table.lines().skip(1).map(|line| line.split('\t').map(cell).collect::<Vec<_>>());
    rows.map(|row| row.try_into().unwrap()).collect()
}

#[tokio::test]
async fn di_01_di_02_di_03_di_04_all_recorded_lines_come_out_as_recorded() {
    let mut count = 0;
    for separator in [None, Some('*')] {
        let words = "127.0.0.61 127.0.0.62 127.0.0.63 127.0.0.64@blue";
        let site = Site::start(100, director_settings(words, separator)).await;
        let (mut client, mut auth) = site.login_process().await;
        let mut authreply = site.client("director-authreply").await;
        assert_eq!(authreply.line().await, "VERSION\tdirector-authreply-server\t1\t0");
        authreply.send("VERSION\tdirector-authreply-client\t1\t0\n").await;
        for [row, asked, told] in recorded() {
            if row.starts_with('*') != separator.is_some() {
                continue;
            }
            auth.send(&format!("{asked}\n")).await;
            assert_eq!(client.line().await, told);
            authreply.send(&format!("{asked}\n")).await;
            assert_eq!(authreply.line().await, told);
            count += 1;
        }
    }
    assert_eq!(count, 72);
}

#[tokio::test]
async fn what_a_login_process_sends_passes_unread() {
    let site = Site::with("10.1.0.1").await;
    let (mut client, mut auth) = site.login_process().await;
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let (sent, received) = tokio::join!(soon(client.0.write_all(&bytes)), async {
        let mut received = vec![0; bytes.len()];
        soon(auth.0.read_exact(&mut received)).await.unwrap();
        received
    });
    sent.unwrap();
    assert_eq!(received, bytes);
}

#[tokio::test]
async fn di_07_the_end_of_one_side_is_the_end_of_the_other() {
    let site = Site::with("10.1.0.1").await;
    let (mut client, mut auth) = site.login_process().await;
    auth.send("CONT\t1\t\r\nOK\t2\tuser=cut").await;
    drop(auth);
    assert_eq!(client.rest().await, b"CONT\t1\t\r\n", "whole lines arrive, as they are");
    let (client, mut auth) = site.login_process().await;
    drop(client);
    assert_eq!(auth.rest().await, b"");
}

#[tokio::test]
async fn di_07_without_an_auth_service_the_connection_ends_and_later_ones_work() {
    let mut site = Site::with("10.1.0.1").await;
    let path = site.folder.path().join("auth-login");
    std::fs::remove_file(&path).unwrap();
    let mut client = site.client("director").await;
    assert_eq!(client.rest().await, b"");
    site.auth = UnixListener::bind(&path).unwrap();
    let (mut client, mut auth) = site.login_process().await;
    auth.send("DONE\n").await;
    assert_eq!(client.line().await, "DONE");
}

#[tokio::test]
async fn di_06_lookups_go_to_the_userdb() {
    let site = Site::with("127.0.77.2").await;
    let mut client = site.client("director-userdb").await;
    let mut userdb = Peer(BufReader::new(soon(site.userdb.accept()).await.unwrap().0));
    client.send("VERSION\t1\t1\nPASS\t1\talice\tservice=lmtp\n").await;
    assert_eq!(userdb.line().await, "VERSION\t1\t1");
    assert_eq!(userdb.line().await, "PASS\t1\talice\tservice=lmtp");
    userdb
        .send("VERSION\t1\t1\nSPID\t9\nPASS\t1\tuser=alice\tproxy=y\nUSER\t7\talice\t\nNOTFOUND\t2\nLIST\t8\tbob\nDONE\t8\n")
        .await;
    let mut lines = Vec::new();
    for _ in 0..7 {
        lines.push(client.line().await);
    }
    lines.sort_unstable();
    let placed = "PASS\t1\tuser=alice\tproxy=y\tproxy_refresh=450\thost=127.0.77.2";
    let unchanged = ["SPID\t9", "USER\t7\talice\t", "VERSION\t1\t1"];
    assert_eq!(lines[..4], ["DONE\t8", "LIST\t8\tbob", "NOTFOUND\t2", placed]);
    assert_eq!(lines[4..], unchanged);
}

#[tokio::test]
async fn a_line_that_waits_for_a_backend_does_not_hold_up_others() {
    let site = Site::with("10.1.0.1@blue").await;
    let (mut client, mut auth) = site.login_process().await;
    auth.send("OK\t1\tuser=foo\tproxy\nOK\t2\tuser=foo\tproxy\tdirector_tag=blue\nFAIL\t3\n").await;
    let mut lines = [client.line().await, client.line().await];
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["FAIL\t3", "OK\t2\tuser=foo\tproxy\tdirector_tag=blue\tproxy_refresh=450\thost=10.1.0.1"]
    );
    site.director.reload(&director_settings("10.1.0.2", None)).await.unwrap();
    assert_eq!(client.line().await, "OK\t1\tuser=foo\tproxy\tproxy_refresh=450\thost=10.1.0.2");
}

#[tokio::test]
async fn without_a_director_logins_fail_for_now() {
    let site = Site::with("").await;
    let (mut client, mut auth) = site.login_process().await;
    auth.send("OK\t5\tuser=foo\tproxy\tpass=secret\n").await;
    assert_eq!(client.line().await, "FAIL\t5\tcode=temp_fail");
}

#[tokio::test]
async fn a_foreign_login_and_our_own_meet() {
    let site = Site::with("10.1.0.1-10.1.0.3").await;
    let (mut client, mut auth) = site.login_process().await;
    auth.send("OK\t1\tuser=x\tproxy\tdestuser=FOO*master\n").await;
    let placed = client.line().await;
    let user = UserName::from("FOO*master");
    let own = soon(site.director.place(PlaceRequest { user: &user, tag: b"" })).await.unwrap();
    assert!(placed.ends_with(&format!("\thost={}", own.ip())), "{placed}");
    site.director.reload(&director_settings("10.1.0.9", None)).await.unwrap();
    auth.send("OK\t1\tuser=x\tproxy\tdestuser=foo*master\n").await;
    assert!(
        client.line().await.ends_with(&format!("\thost={}", own.ip())),
        "where the user is, not where the ring says"
    );
}

#[tokio::test]
async fn reports_reach_the_director_through_socket_and_fifo() {
    let site = Site::with("10.1.0.1").await;
    let foo = UserName::from("f\too");
    let request = PlaceRequest { user: &foo, tag: b"" };
    site.director.place_foreign(crate::director::ForeignUse::Session, request).await.unwrap();
    for name in ["notify", "proxy-notify"] {
        let before = site.director.foreign_until(&foo).unwrap();
        let path = site.folder.path().join(name);
        // Twice: the fifo outlives its writers.
        for _ in 0..2 {
            if name == "notify" {
                site.client(name).await.send("nobody\nf\x01too\n").await;
            } else {
                let mut fifo = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                std::io::Write::write_all(&mut fifo, b"nobody\nf\x01too\n").unwrap();
            }
            let told = async {
                while site.director.foreign_until(&foo).unwrap() <= before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            soon(told).await;
        }
    }
}

#[tokio::test]
async fn only_so_many_connections_are_served() {
    let site = Site::start(1, director_settings("10.1.0.1", None)).await;
    let (first, mut auth) = site.login_process().await;
    let mut second = site.client("director").await;
    second.send("VERSION\t1\t2\n").await;
    let early = timeout(Duration::from_millis(50), site.auth.accept()).await;
    assert!(early.is_err(), "nobody is connected for the second one");
    drop(first);
    assert_eq!(auth.rest().await, b"");
    assert_eq!(site.accepted().await.line().await, "VERSION\t1\t2", "nothing is lost by waiting");
}

#[tokio::test]
async fn only_so_many_answers_wait() {
    let director = Director::new(&director_settings("10.1.0.1@blue", None)).await.unwrap();
    let desk = Arc::new(Desk::new(director.clone(), Arc::default(), 1, Duration::ZERO));
    let (auth, there) = UnixStream::pair().unwrap();
    let (here, client) = UnixStream::pair().unwrap();
    let (from, _keep) = there.into_split();
    let answers = answers::Answers::new((ended::Side::Auth, from), here, desk::Asker::Other, desk);
    let running = tokio::spawn(answers.run());
    let (mut auth, mut client) = (Peer(BufReader::new(auth)), Peer(BufReader::new(client)));
    auth.send("OK\t1\tuser=foo\tproxy\nOK\t2\tuser=foo\tproxy\n").await;
    assert_eq!(client.line().await, "FAIL\t2\tcode=temp_fail");
    director.reload(&director_settings("10.1.0.1", None)).await.unwrap();
    assert_eq!(client.line().await, "OK\t1\tuser=foo\tproxy\tproxy_refresh=450\thost=10.1.0.1");
    auth.send("OK\t3\tuser=foo\tproxy\n").await;
    assert!(client.line().await.starts_with("OK\t3\t"), "there is room again");
    drop(auth);
    assert!(matches!(soon(running).await.unwrap(), ended::Ended::AuthGone));
}

#[tokio::test]
async fn lines_have_a_limit_and_those_within_it_pass() {
    let site = Site::with("10.1.0.1").await;
    let (mut client, mut auth) = site.login_process().await;
    let longest = format!("CONT\t1\t{}", "x".repeat(16384 - 8));
    auth.send(&format!("{longest}\n")).await;
    assert_eq!(client.line().await, longest);
    auth.send(&format!("{longest}x\n")).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_auth_service() {
    let site = Site::with("10.1.0.1").await;
    let (client, mut auth) = site.login_process().await;
    let line = format!("CONT\t1\t{}\n", "x".repeat(4000));
    let mut sent = 0_usize;
    while timeout(Duration::from_millis(200), auth.0.write_all(line.as_bytes())).await.is_ok() {
        sent += line.len();
        assert!(sent < 16 << 20, "somewhere {sent} bytes are kept");
    }
    drop(client);
    let _ = auth.rest().await;
}

#[tokio::test]
async fn who_does_not_read_for_too_long_is_left() {
    const SHORT: Duration = Duration::from_millis(20);
    let director = Director::new(&director_settings("10.1.0.1", None)).await.unwrap();
    let ((mut auth, from_auth), (to_client, client)) = (tokio::io::duplex(4096), tokio::io::duplex(16));
    let mut answers = answers::Answers::new(
        (ended::Side::Auth, from_auth),
        to_client,
        desk::Asker::Other,
        Arc::new(Desk::new(director, Arc::default(), 1, Duration::ZERO)),
    );
    answers.stall_time = SHORT;
    auth.write_all(b"FAIL\t1\tuser=foo\tcode=temp_fail\n").await.unwrap();
    let ended = soon(answers.run()).await;
    assert!(matches!(ended, ended::Ended::Stalled(ended::Side::Client)), "{ended}");
    drop(client);

    let ((mut client, from_client), (to_auth, _auth)) = (tokio::io::duplex(4096), tokio::io::duplex(16));
    client.write_all(b"AUTH\t1\tPLAIN\tservice=imap\n").await.unwrap();
    let ended = soon(connection::copy(from_client, to_auth, SHORT)).await;
    assert_eq!(ended.to_string(), "the auth service does not read");
}

#[tokio::test]
async fn a_client_that_leaves_answers_unread_is_simply_gone() {
    let (from, client) = UnixStream::pair().unwrap();
    let (to_auth, _auth) = tokio::io::duplex(16);
    let mut here = from;
    here.write_all(b"unread").await.unwrap();
    drop(client);
    let ended = soon(connection::copy(here, to_auth, PATIENCE)).await;
    assert!(ended.is_usual(), "{ended}");
}

#[tokio::test]
async fn authreply_refuses_other_protocols() {
    let site = Site::with("10.1.0.1").await;
    for first in
        ["VERSION\tdirector-authreply-client\t2\t0\n", "VERSION\tauth\t1\t0\n", "OK\t1\n", "VERSION\n"]
    {
        let mut client = site.client("director-authreply").await;
        client.send(first).await;
        assert_eq!(client.rest().await, b"VERSION\tdirector-authreply-server\t1\t0\n", "{first}");
    }
}

#[tokio::test]
async fn the_end_closes_connections_and_removes_the_files() {
    let mut site = Site::with("10.1.0.1").await;
    let (mut client, _auth) = site.login_process().await;
    drop(site.serving.take());
    assert_eq!(client.rest().await, b"");
    for (name, _) in SOCKETS {
        assert!(!site.folder.path().join(name).exists(), "{name}");
    }
}
