//! Requests as lines against a director and sessions of this process.

mod own;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use homing_login::{Service, UserName};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream},
    net::UnixStream,
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    config::settings::{
        AdminProtocol, AdminSettings, AdminSocket, DirectorSettings, SocketFile, SocketPlace,
    },
    director::{PlaceRequest, Placement},
    session::SessionLogin,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(mail_servers: &str) -> DirectorSettings {
    DirectorSettings {
        mail_servers: mail_servers.split_whitespace().map(str::to_owned).collect(),
        servers: Vec::new(),
        username_hash: "%Lu".to_owned(),
        user_expire: Duration::from_secs(900),
        user_kick_delay: Duration::ZERO,
        parallel_moves_max: 100,
        flush_socket: String::new(),
        state_dir: None,
        master_user_separator: None,
    }
}

async fn access(mail_servers: &str) -> Access {
    Access {
        director: Director::new(&settings(mail_servers)).await.unwrap(),
        registry: Arc::default(),
        foreign: ForeignSessions::none(),
        own: "127.0.0.1".parse().unwrap(),
        networks: Arc::default(),
        limits: Limits::default(),
        waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        flushes: Arc::default(),
    }
}

/// A client of one connection.
struct Client {
    stream: BufReader<DuplexStream>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Client {
    /// Little fits on the way, so that every list is sent in pieces.
    fn new(protocol: AdminProtocol, access: &Access) -> Self {
        let (ours, theirs) = tokio::io::duplex(100);
        let (wire, access) = (wire::Wire::new(Box::new(theirs), access.limits), access.clone());
        let server = tokio::spawn(async move {
            match protocol {
                AdminProtocol::Director => director::talk(wire, &access).await,
                AdminProtocol::Ipc => ipc::talk(wire, &access).await,
            }
        });
        Self { stream: BufReader::new(ours), server }
    }

    async fn director(access: &Access) -> Self {
        let mut client = Self::new(AdminProtocol::Director, access);
        client.send("VERSION\tdirector-doveadm\t1\t0\n").await;
        assert_eq!(client.line().await, "VERSION\tdirector-doveadm\t1\t0");
        client
    }

    async fn send(&mut self, lines: &str) {
        timeout(PATIENCE, self.stream.get_mut().write_all(lines.as_bytes())).await.unwrap().unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        assert!(line.ends_with('\n'), "the connection ended: {line:?}");
        line.pop();
        line
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\n")).await;
        self.line().await
    }

    /// Rows up to the empty line.
    async fn table(&mut self, line: &str) -> Vec<String> {
        let mut rows = vec![self.ask(line).await];
        while rows.last().is_some_and(|row| !row.is_empty()) {
            rows.push(self.line().await);
        }
        rows.pop();
        rows
    }

    async fn assert_closed(mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

async fn place(access: &Access, user: &str) -> Placement {
    let user = UserName::from(user);
    access.director.place(PlaceRequest { user: &user, tag: b"" }).await.unwrap()
}

#[tokio::test]
async fn changes_are_answered_as_the_reference_does() {
    let access = access("10.1.0.1 10.1.0.2@blue").await;
    let mut client = Client::director(&access).await;
    for (request, answer) in [
        ("HOST-SET\t10.1.0.3", "OK"),
        ("HOST-SET\t10.1.0.3\t50", "OK"),
        ("HOST-SET\t10.1.0.4@green\t7", "OK"),
        ("HOST-SET\t10.1.0.4\t8", "OK"),
        ("HOST-SET\t10.1.0.4@\t7", "OK"),
        ("HOST-SET\t10.1.0.4@red", "host tag can't be changed"),
        ("HOST-SET\t10.1.0.9\t1001", "vhost count too large"),
        ("HOST-UPDATE\t10.1.0.3\t0", "OK"),
        ("HOST-UPDATE\t10.1.0.9\t5", "NOTFOUND"),
        ("HOST-UPDATE\t10.1.0.9\t1001", "vhost count too large"),
        ("HOST-UPDATE\t10.1.0.2@red\t1000", "OK"),
        ("HOST-UPDATE\t10.1.0.9@red\t5", "NOTFOUND"),
        ("HOST-DOWN\t10.1.0.1", "OK"),
        ("HOST-DOWN\t10.1.0.9", "NOTFOUND"),
        ("HOST-UP\t10.1.0.9", "NOTFOUND"),
        ("HOST-REMOVE\t10.1.0.9", "NOTFOUND"),
        ("HOST-FLUSH\t10.1.0.9", "NOTFOUND"),
        ("HOST-RESET-USERS\t10.1.0.9", "NOTFOUND"),
        ("HOST-FLUSH", "OK"),
        ("HOST-RESET-USERS\t\t5", "OK"),
        ("USER-MOVE\tfoo\t10.1.0.9", "NOTFOUND"),
        ("USER-MOVE\tfoo\t10.1.0.3", "OK"),
        ("USER-KICK\tfoo", "OK"),
        ("USER-KICK-ALT\tuser_group\tg\tnowait", "OK"),
        ("USER-KICK-HASH\t5", "OK"),
        ("DIRECTOR-ADD\t10.0.0.9", "this director runs alone"),
        ("DIRECTOR-REMOVE\t10.0.0.9", "NOTFOUND"),
    ] {
        assert_eq!(client.ask(request).await, answer, "{request}");
    }
    let rows = client.table("HOST-LIST").await;
    let [first, rest @ ..] = rows.as_slice() else { panic!("{rows:?}") };
    let changed = first.strip_prefix("10.1.0.1\t100\t0\t\tD\t").unwrap();
    assert!(changed.parse::<u64>().unwrap() > 1_700_000_000);
    assert_eq!(
        rest,
        ["10.1.0.2\t1000\t0\tred\tU\t0", "10.1.0.3\t0\t1\t\tU\t0", "10.1.0.4\t7\t0\tgreen\tU\t0"],
        "W33: a known backend has another tag"
    );
    assert_eq!(client.ask("HOST-REMOVE\t10.1.0.1").await, "OK");
    assert_eq!(client.table("HOST-LIST-REMOVED").await, ["10.1.0.1"]);
    assert_eq!(client.table("DIRECTOR-LIST").await, ["127.0.0.1\t0\tself\t0\tring synced\t0"]);
}

#[tokio::test]
async fn w27_removed_backends_with_names_are_listed() {
    let access = access("localhost 10.1.0.1").await;
    let mut client = Client::director(&access).await;
    let named: Vec<_> = access.director.backends().into_iter().map(|row| row.host.ip).collect();
    let named: Vec<_> = named.into_iter().filter(|ip| ip.is_loopback()).map(|ip| ip.to_string()).collect();
    for ip in &named {
        assert_eq!(client.ask(&format!("HOST-REMOVE\t{ip}")).await, "OK");
    }
    assert!(!named.is_empty());
    assert_eq!(client.table("HOST-LIST-REMOVED").await, named);
}

/// Whatever somebody sends: nothing panics, and the connection ends when the client is done.
#[test]
fn any_input_is_answered_or_ends_the_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let access = runtime.block_on(access("10.1.0.1 10.1.0.2@blue"));
    let words = [
        "HOST-SET\t",
        "HOST-RESET-USERS\t",
        "USER-LOOKUP\t",
        "USER-LIST\t",
        "10.1.0.2",
        "\t1",
        "\n",
        "proxy\t*\tKICK\t",
        "X-EXPLAIN\t",
        "X-PLAN\tHOST-",
        "X-PLAN\tUSER-KICK\t",
        "X-DRAIN\t",
        "X-DRAIN-STOP\t10.1.0.2",
        "X-WAIT\t0\t",
        "move\t5",
        "X-SESSIONS\t*",
    ];
    // What a panic leaves behind is not looked at.
    let shared = std::panic::AssertUnwindSafe((runtime, access));
    bolero::check!().with_type::<Vec<u8>>().for_each(|input| {
        let (runtime, access) = &*shared;
        let mut lines = "VERSION\tdirector-doveadm\t1\t0\n".as_bytes().to_vec();
        for byte in input {
            match words.get(usize::from(*byte)) {
                Some(word) => lines.extend_from_slice(word.as_bytes()),
                None => lines.push(*byte),
            }
        }
        for protocol in [AdminProtocol::Director, AdminProtocol::Ipc] {
            runtime
                .block_on(async {
                    let client = Client::new(protocol, access);
                    let (mut reader, mut writer) = tokio::io::split(client.stream.into_inner());
                    let (mut told, sent) = (Vec::new(), async {
                        // It may be closed before everything is sent.
                        let _ = writer.write_all(&lines).await;
                        let _ = writer.shutdown().await;
                    });
                    let talked = async { tokio::join!(reader.read_to_end(&mut told), sent) };
                    timeout(PATIENCE, talked).await.unwrap().0.unwrap();
                    timeout(PATIENCE, client.server).await.unwrap().unwrap()
                })
                .ok();
        }
    });
}

#[tokio::test]
async fn users_are_found_by_name_and_by_hash() {
    let access = access("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut client = Client::director(&access).await;
    let foo = place(&access, "foo").await;
    let parts = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let found = parts(&client.ask("USER-LOOKUP\tFOO").await);
    assert_eq!(
        (found[0].as_str(), found[2].as_str(), found[3].as_str()),
        ("10.1.0.3", "10.1.0.3", "10.1.0.3")
    );
    assert_eq!(parts(&client.ask("USER-LOOKUP\t2898073819").await), found);
    assert_eq!(client.ask("USER-LOOKUP\tfoo\tnosuchtag").await, "\t0\t\t");
    let rows = client.table("USER-LIST").await;
    assert_eq!(rows, [format!("2898073819\t{}\t10.1.0.3", found[1])]);
    assert_eq!(client.table("USER-LIST\t10.1.0.3").await, rows);
    assert!(client.table("USER-LIST\t10.1.0.1").await.is_empty());
    // A move that waits for the old session.
    assert_eq!(client.ask("USER-MOVE\t2898073819\t10.1.0.1").await, "OK");
    assert_eq!(client.ask("USER-MOVE\tfoo\t10.1.0.2").await, "TRYAGAIN");
    assert!(foo.kicked().is_cancelled());
}

#[tokio::test]
async fn w23_a_number_may_be_a_name() {
    let access = access("10.1.0.1 10.1.0.2 10.1.0.3").await;
    let mut client = Client::director(&access).await;
    let by_hash = client.ask("USER-LOOKUP\t12345").await;
    assert!(by_hash.starts_with("\t0\t"), "nobody: {by_hash}");
    let session = place(&access, "12345").await;
    assert!(client.ask("USER-LOOKUP\t12345").await.starts_with(&session.ip().to_string()));
    let other = if session.ip().to_string() == "10.1.0.1" { "10.1.0.2" } else { "10.1.0.1" };
    // What doveadm sends for that name.
    let hash = access.director.hash(b"12345");
    assert_eq!(client.ask(&format!("USER-MOVE\t{hash}\t{other}")).await, "OK");
    assert!(session.kicked().is_cancelled(), "the user of that name is moved");
}

#[tokio::test]
async fn w26_backends_with_names_are_kicked_by_address_too() {
    let access = access("10.1.0.1").await;
    let mut client = Client::new(AdminProtocol::Ipc, &access);
    // Its backend is known as be2.example.
    let mut named = seat(&access, "b@example.com", "", Some("10.1.0.2:143"));
    let other = seat(&access, "a@example.com", "", Some("10.1.0.1:143"));
    assert_eq!(client.ask("proxy\t*\tKICK-HOST\t10.1.0.2").await, "+1");
    assert_eq!(timeout(PATIENCE, named.stopped()).await.unwrap(), crate::session::Stop::Kicked);
    let again = seat(&access, "c@example.com", "", Some("10.1.0.2:143"));
    assert_eq!(client.ask("proxy\t*\tKICK-HOST\tbe2.example").await, "+1");
    drop((other, again));
}

#[tokio::test]
async fn w29_a_limit_of_nothing_closes_the_connection() {
    let mut client = Client::director(&access("10.1.0.1").await).await;
    client.send("HOST-RESET-USERS\t\t0\nHOST-LIST\n").await;
    client.assert_closed().await;
}

/// The answer to a flush comes when all users have been looked at, and what was asked meanwhile is answered after it.
#[tokio::test]
async fn w21_lines_behind_a_waiting_flush_are_answered() {
    let access = access("10.1.0.1").await;
    let sessions = [place(&access, "foo").await, place(&access, "bar").await];
    let mut client = Client::director(&access).await;
    for request in ["HOST-SET\t10.1.0.2", "HOST-UPDATE\t10.1.0.1\t0"] {
        assert_eq!(client.ask(request).await, "OK");
    }
    client.send("HOST-RESET-USERS\t10.1.0.1\t1\nHOST-UPDATE\t10.1.0.1\t5\nHOST-UPDATE\t10.1.0.9\t5\n").await;
    let mut other = Client::director(&access).await;
    for session in sessions {
        timeout(PATIENCE, session.kicked().cancelled_owned()).await.unwrap();
        let rows = other.table("HOST-LIST").await;
        assert!(rows[0].starts_with("10.1.0.1\t0\t"), "the line behind the flush waits: {rows:?}");
        drop(session);
    }
    let answers = [client.line().await, client.line().await, client.line().await];
    assert_eq!(answers, ["OK", "OK", "NOTFOUND"]);
    assert!(other.table("HOST-LIST").await[0].starts_with("10.1.0.1\t5\t"));
}

#[tokio::test]
async fn only_so_many_requests_wait() {
    let mut access = access("10.1.0.1").await;
    access.waiting = Arc::new(Semaphore::new(0));
    let mut client = Client::director(&access).await;
    assert_eq!(client.ask("HOST-RESET-USERS").await, "TRYAGAIN");
    assert_eq!(client.ask("HOST-DOWN\t10.1.0.1").await, "OK");
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let mut access = access("10.1.0.1").await;
    access.limits.idle = Duration::from_millis(10);
    for protocol in [AdminProtocol::Director, AdminProtocol::Ipc] {
        let client = Client::new(protocol, &access);
        let ended = timeout(PATIENCE, client.server).await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn whoever_does_not_read_is_let_go() {
    let mut access = access("10.1.0.1-10.1.0.250").await;
    access.limits.send = Duration::from_millis(10);
    let mut client = Client::director(&access).await;
    client.send("HOST-LIST\n").await;
    let ended = timeout(PATIENCE, client.server).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_socket_has_only_so_many_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("director-admin");
    let file = SocketFile { path: path.clone(), mode: 0o600, user: None, group: None };
    let socket = AdminSocket { protocol: AdminProtocol::Director, place: SocketPlace::Unix(file) };
    let mut sockets = AdminSockets::bind(&AdminSettings { sockets: vec![socket], networks: Vec::new() });
    let mut access = access("10.1.0.1").await;
    access.limits.connections = 1;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(accept::serve(sockets.listeners.pop().unwrap(), access, stop.clone()));
    let greeting = async |stream: &mut UnixStream| {
        let mut bytes = [0; 8];
        timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap()
    };
    let mut first = UnixStream::connect(&path).await.unwrap();
    assert!(greeting(&mut first).await > 0);
    let mut second = UnixStream::connect(&path).await.unwrap();
    assert_eq!(greeting(&mut second).await, 0, "closed at once");
    drop(first);
    // The place is free a moment later.
    let served = async {
        while greeting(&mut UnixStream::connect(&path).await.unwrap()).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, served).await.unwrap();
    stop.cancel();
    timeout(PATIENCE, serving).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_long_list_is_complete() {
    let access = access("10.1.0.1-10.1.0.9").await;
    for n in 0..3000 {
        drop(place(&access, &format!("user{n}")).await);
    }
    let mut client = Client::director(&access).await;
    let all = client.table("USER-LIST").await;
    assert_eq!(all.len(), 3000);
    let mut some = 0;
    for n in 1..=9 {
        some += client.table(&format!("USER-LIST\t10.1.0.{n}")).await.len();
    }
    assert_eq!(some, 3000);
}

fn seat(access: &Access, user: &str, group: &str, backend: Option<&str>) -> crate::session::Seat {
    let client: SocketAddr = "127.0.0.9:4000".parse().unwrap();
    let mut seat = access.registry.enter(Service::Sieve, client, 1000).unwrap();
    let group = (!group.is_empty()).then(|| (b"user_group".to_vec(), group.as_bytes().to_vec()));
    seat.set_login(Some(SessionLogin {
        user: user.into(),
        destuser: user.into(),
        alternatives: group.into_iter().collect(),
        hostname: backend.is_some_and(|b| b.starts_with("10.1.0.2")).then(|| "be2.example".into()),
        backend: backend.map(|backend| backend.parse().unwrap()),
    }));
    seat
}

#[tokio::test]
async fn w25_one_list_and_right_counts() {
    let access = access("10.1.0.1").await;
    let mut client = Client::new(AdminProtocol::Ipc, &access);
    assert_eq!(client.ask("proxy\t*\tKICK\tnobody").await, "+0");
    let seats = [
        seat(&access, "a@example.com", "", Some("10.1.0.1:143")),
        seat(&access, "b@example.com", "g1", Some("10.1.0.2:143")),
        seat(&access, "c@example.org", "g2", Some("[2001:db8::1]:143")),
        seat(&access, "waits@example.org", "g1", None),
    ];
    client.send("proxy\t*\tLIST-FULL\n").await;
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| line.starts_with(':')) {
        lines.push(client.line().await);
    }
    assert_eq!(
        lines,
        [
            ":username\tuser_group\tservice\tsrc-ip\tdest-ip\tdest-port",
            ":c@example.org\tg2\tsieve\t127.0.0.9\t2001:db8::1\t143",
            ":b@example.com\tg1\tsieve\t127.0.0.9\t10.1.0.2\t143",
            ":a@example.com\t\tsieve\t127.0.0.9\t10.1.0.1\t143",
            "+"
        ]
    );
    for (request, answer) in [
        ("KICK-HOST\t10.1.0.9", "+0"),
        ("KICK-HOST\tBE2.example", "+1"),
        ("KICK-HOST\t10.1.0.2", "+0"),
        ("KICK-HOST\t2001:DB8:0::1", "+1"),
        ("KICK-ALT\tuser_group\tg2", "+0"),
        ("KICK-ALT\tuser_group\tg1\tg3", "+1"),
        ("KICK\tA@example.com\t*@example.org", "+1"),
        ("KICK\t*", "+0"),
        ("KICK-DIRECTOR-HASH\t1", "+0"),
        ("NEW", "-Unknown command"),
    ] {
        assert_eq!(client.ask(&format!("proxy\t*\t{request}")).await, answer, "{request}");
    }
    assert_eq!(client.ask("proxy\t1\tKICK\ta").await, "-Unknown IPC connection id: 1");
    assert_eq!(client.ask(&format!("proxy\t{}\tKICK\tz", std::process::id())).await, "+0");
    drop(seats);
}

#[tokio::test]
async fn w24_kicks_know_wildcards_and_case() {
    let access = access("10.1.0.1").await;
    let mut seats =
        [seat(&access, "Alice@example.com", "", None), seat(&access, "bob@example.org", "", None)];
    let mut client = Client::director(&access).await;
    assert_eq!(client.ask("USER-KICK\talice@*").await, "OK");
    assert_eq!(timeout(PATIENCE, seats[0].stopped()).await.unwrap(), crate::session::Stop::Kicked);
    assert_eq!(access.registry.kick(|_| true), 1, "the other one stayed");
    drop(seats);
}

#[tokio::test]
async fn a_kick_by_hash_spares_a_backend() {
    let access = access("10.1.0.1").await;
    let session = place(&access, "foo").await;
    let mut client = Client::new(AdminProtocol::Ipc, &access);
    assert_eq!(client.ask("proxy\t*\tKICK-DIRECTOR-HASH\t2898073819\t10.1.0.1").await, "+0");
    assert!(!session.kicked().is_cancelled());
    assert_eq!(client.ask("proxy\t*\tKICK-DIRECTOR-HASH\t2898073819\t10.1.0.2").await, "+1");
    assert_eq!(client.ask("proxy\t*\tKICK-DIRECTOR-HASH\t2898073819").await, "+0", "it is ending already");
    assert!(session.kicked().is_cancelled());
}
