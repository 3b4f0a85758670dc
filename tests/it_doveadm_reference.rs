//! The admin protocols against Dovecot itself: the asking side with a real director and a real ipc service, the
//! hub's side with a real login process, and which lines are requests at all. Needs root and Dovecot 2.3.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Shutdown},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
};

use homing_doveadm::{
    UserHash, UserPattern,
    director::{
        Client, ClientEvent, DirectorStatus, HostArgument, Link, Refusal, Reply, Request, Row, Scope,
        UserArgument, Waiting,
    },
    ipc::{self, Answer, Command, LoginProcess, ProcessEvent},
};
use homing_login::Service;
use support::{
    client::{self, PATIENCE},
    dovecot::{self, Dovecot},
    fake_backend::{Behaviour, FakeBackend},
};

/// A director that stands alone.
fn director() -> Option<Dovecot> {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked against it");
        return None;
    }
    let settings = "protocols =\nssl = no\nlisten = 127.40.2.1\n\
                    director_mail_servers = 127.40.2.61 127.40.2.62 127.40.2.64@blue\n\
                    service director {\n unix_listener director-admin {\n  mode = 0600\n }\n}\n";
    Some(Dovecot::configured(settings, |base| connect(&base.join("director-admin")).is_some()))
}

fn connect(socket: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(stream)
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 40, 2, last])
}

/// Asks and listens until all is answered.
fn ask(dovecot: &Dovecot, requests: &[Request]) -> Vec<ClientEvent> {
    let mut stream = connect(&dovecot.base_dir().join("director-admin")).unwrap();
    let (mut client, mut heard) = (Client::default(), Vec::new());
    requests.iter().for_each(|request| client.ask(request).unwrap());
    stream.write_all(&client.poll_transmit().unwrap()).unwrap();
    while client.open_requests() > 0 {
        let bytes = read(&mut stream, client.room());
        assert!(!bytes.is_empty(), "closed after {heard:?}");
        client.received(&bytes);
        heard.extend(std::iter::from_fn(|| client.poll_event()));
    }
    heard
}

fn read(stream: &mut UnixStream, room: usize) -> Vec<u8> {
    let mut bytes = vec![0; room.min(4096)];
    let count = stream.read(&mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

fn replies(heard: Vec<ClientEvent>) -> Vec<Reply> {
    let reply = |event| match event {
        ClientEvent::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    heard.into_iter().map(reply).collect()
}

#[test]
fn the_client_talks_to_a_real_director() {
    let Some(dovecot) = director() else { return };
    let host = |last, tag: Option<&str>| HostArgument { ip: ip(last), tag: tag.map(|tag| tag.into()) };
    let move_to = |last| Request::UserMove { user: UserHash(7).into(), host: ip(last) };
    let heard = ask(
        &dovecot,
        &[
            Request::HostSet { host: host(65, Some("a\tb")), vhosts: Some(5) },
            Request::HostSet { host: host(65, Some("red")), vhosts: None },
            Request::HostUpdate { host: host(61, None), vhosts: 1001 },
            Request::HostUpdate { host: host(99, None), vhosts: 1 },
            Request::HostDown(ip(62)),
            Request::HostRemove(ip(64)),
            move_to(62),
            move_to(99),
            Request::HostResetUsers { scope: Scope::Host(ip(99)), max_parallel: None },
            Request::UserKick { user: UserPattern::new("a\tb"), waiting: Waiting::Refused },
        ],
    );
    let refused = |refusal| Reply::Refused(refusal);
    let expected = [
        Reply::Ok,
        refused(Refusal::TagFixed),
        refused(Refusal::VhostsTooLarge),
        Reply::NotFound,
        Reply::Ok,
        Reply::Ok,
        Reply::Ok,
        Reply::NotFound,
        Reply::NotFound,
        Reply::Ok,
    ];
    assert_eq!(replies(heard), expected);
    the_tables(&dovecot);
}

/// After the changes above.
fn the_tables(dovecot: &Dovecot) {
    let heard = ask(dovecot, &[Request::HostList]);
    let told: Vec<_> = heard.iter().map(host_told).collect();
    assert_eq!(told, ["61  100 0 up", "62  100 1 down", "65 a\tb 5 0 up", "end"]);
    let removed = ask(dovecot, &[Request::HostListRemoved]);
    assert_eq!(removed, [ClientEvent::Row(Row::RemovedHost(ip(64))), ClientEvent::RowsEnd]);

    let users = ask(dovecot, &[Request::UserList(Some(ip(62)))]);
    let [ClientEvent::Row(Row::User(user)), ClientEvent::RowsEnd] = users.as_slice() else {
        panic!("{users:?}")
    };
    assert_eq!((user.hash, user.ip), (UserHash(7), ip(62)));
    let lookup = |user: UserArgument, tag: &str| Request::UserLookup { user, tag: tag.into() };
    let places =
        replies(ask(dovecot, &[lookup(UserHash(7).into(), ""), lookup(UserArgument::named("x"), "no")]));
    let [Reply::Place(known), Reply::Place(nowhere)] = places.as_slice() else { panic!("{places:?}") };
    assert_eq!(known.current, Some((ip(62), user.expires)));
    assert_eq!(known.hashed, Some(ip(61)));
    assert!(known.initial.is_some());
    assert_eq!((nowhere.current, nowhere.hashed, nowhere.initial), (None, None, None));

    let ring = ask(dovecot, &[Request::DirectorList]);
    let [ClientEvent::Row(Row::Director(own)), ClientEvent::RowsEnd] = ring.as_slice() else {
        panic!("{ring:?}")
    };
    assert_eq!((own.member.unwrap().link, &own.status), (Link::OwnNode, &DirectorStatus::RingSynced));
}

fn host_told(event: &ClientEvent) -> String {
    let ClientEvent::Row(Row::Host(row)) = event else { return "end".to_owned() };
    let IpAddr::V4(ip) = row.ip else { panic!("{row:?}") };
    assert_eq!(row.changed > 0, !row.up);
    let (tag, state) = (String::from_utf8_lossy(&row.tag), if row.up { "up" } else { "down" });
    format!("{} {tag} {} {} {state}", ip.octets()[3], row.vhosts, row.users)
}

/// Lines of which the reference says without delay whether they are requests.
const LINES: &[&str] = &[
    "",
    "FOO",
    "host-list",
    "HOST-LIST\tx",
    "HOST-LIST\r",
    "HO\x01ST-LIST",
    "\0HOST-LIST",
    "HOST-LIST-REMOVED\tx",
    "HOST-SET",
    "HOST-SET\t",
    "HOST-SET\tx",
    "HOST-SET\t127.40.2.70@",
    "HOST-SET\t127.40.2.70\tx",
    "HOST-SET\t127.40.2.70\t",
    "HOST-SET\t127.40.2.70\t-1",
    "HOST-SET\t127.40.2.70\t1001",
    "HOST-SET\t127.40.2.70\t4294967296",
    "HOST-SET\t127.40.2.70\t5\tx",
    "HOST-SET\t::1",
    "HOST-SET\t[::1]",
    "HOST-SET\tfe80::1%lo",
    "HOST-SET\t 127.40.2.70",
    "HOST-UPDATE\t127.40.2.61",
    "HOST-UPDATE\t127.40.2.61\tx",
    "HOST-UPDATE\t127.40.2.99\t2000",
    "HOST-UPDATE\t127.40.2.64@red\t5",
    "HOST-UP",
    "HOST-UP\tx",
    "HOST-UP\t127.40.2.61\tx",
    "HOST-UP\t127.40.2.61@blue",
    "HOST-DOWN\t127.40.2.99",
    "HOST-REMOVE",
    "HOST-REMOVE\tx",
    "HOST-REMOVE\t127.40.2.99",
    "HOST-FLUSH",
    "HOST-FLUSH\t",
    "HOST-FLUSH\tx",
    "HOST-FLUSH\t127.40.2.99",
    "HOST-RESET-USERS",
    "HOST-RESET-USERS\t",
    "HOST-RESET-USERS\tx",
    "HOST-RESET-USERS\t\t0",
    "HOST-RESET-USERS\t\tx",
    "HOST-RESET-USERS\t\t",
    "HOST-RESET-USERS\t\t7\tx",
    "HOST-RESET-USERS\t127.40.2.99\t0",
    "USER-LOOKUP",
    "USER-LOOKUP\ta",
    "USER-LOOKUP\ta\tblue\tx",
    "USER-LIST\t",
    "USER-LIST\tx",
    "USER-LIST\t127.40.2.99",
    "USER-MOVE",
    "USER-MOVE\ta",
    "USER-MOVE\ta\tx",
    "USER-MOVE\ta\t127.40.2.99",
    "USER-MOVE\t\t127.40.2.61",
    "USER-MOVE\ta\t127.40.2.61@blue",
    "USER-KICK",
    "USER-KICK\t",
    "USER-KICK\ta\tnowait\tx",
    "USER-KICK-ALT",
    "USER-KICK-ALT\tf",
    "USER-KICK-ALT\tf\tv",
    "USER-KICK-ALT\t\tv\tnowait",
    "DIRECTOR-LIST\tx",
    "DIRECTOR-ADD",
    "DIRECTOR-ADD\tx",
    "DIRECTOR-ADD\t127.40.2.90\t0",
    "DIRECTOR-ADD\t127.40.2.90\tx",
    "DIRECTOR-ADD\t127.40.2.90\t65536",
    "DIRECTOR-ADD\t127.40.2.90\t",
    "DIRECTOR-REMOVE",
    "DIRECTOR-REMOVE\tx",
    "DIRECTOR-REMOVE\t127.40.2.90\t0",
    "DIRECTOR-REMOVE\t127.40.2.90\tx",
];

/// Lines where this crate differs on purpose: half addresses, and words of its own.
const OTHER_LINES: &[&str] = &[
    "HOST-SET\t12345",
    "HOST-SET\t127.40.522",
    "HOST-SET\t127.40.2.010",
    "USER-KICK-HASH\t7",
    "X-EXPLAIN\ta",
];

#[test]
fn the_same_lines_are_requests() {
    let Some(dovecot) = director() else { return };
    let is_request = |line: &str| Request::parse(line.strip_suffix('\r').unwrap_or(line).as_bytes()).is_ok();
    for line in LINES {
        assert_eq!(is_request(line), is_answered(&dovecot, line), "{line:?}");
    }
    for line in OTHER_LINES {
        assert_ne!(is_request(line), is_answered(&dovecot, line), "{line:?}");
    }
}

/// Whether the real director says anything but its greeting.
fn is_answered(dovecot: &Dovecot, line: &str) -> bool {
    let mut stream = connect(&dovecot.base_dir().join("director-admin")).unwrap();
    let version = "VERSION\tdirector-doveadm\t1\t0\n";
    stream.write_all(format!("{version}{line}\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(version.as_bytes()));
    said.len() > version.len()
}

#[test]
fn the_client_talks_to_a_real_ipc_service() {
    let Some(dovecot) = director() else { return };
    let mut stream = connect(&dovecot.base_dir().join("ipc")).unwrap();
    let mut client = ipc::Client::default();
    client.ask(&Command::ListFull).unwrap();
    client.ask(&Command::Kick(vec![UserPattern::new("a")])).unwrap();
    stream.write_all(&client.poll_transmit().unwrap()).unwrap();
    let mut heard = Vec::new();
    while client.open_commands() > 0 {
        client.received(&read(&mut stream, client.room()));
        heard.extend(std::iter::from_fn(|| client.poll_event()));
    }
    let done = || ipc::ClientEvent::Answer(Answer::Done);
    assert_eq!(heard, [done(), done()], "there is no login process");
}

/// A connection of a login process, read as far as needed.
struct Hub {
    stream: UnixStream,
    process: LoginProcess,
}

impl Hub {
    fn event(&mut self) -> ProcessEvent {
        loop {
            if let Some(event) = self.process.poll_event() {
                return event;
            }
            let bytes = read(&mut self.stream, self.process.room());
            assert!(!bytes.is_empty(), "the login process is gone");
            self.process.received(&bytes);
        }
    }

    fn send(&mut self, command: &Command) {
        self.process.send(command).unwrap();
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(bytes) = self.process.poll_transmit() {
            self.stream.write_all(&bytes).unwrap();
        }
    }
}

#[test]
fn the_hub_talks_to_a_real_login_process() {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked against it");
        return;
    }
    let (own, backend) = (ip(2), FakeBackend::start((ip(3), 0).into(), Service::Imap, Behaviour::Good));
    let [port] = dovecot::free_ports(&[own]);
    let dovecot = Dovecot::configured(&proxy_settings(own, port, &backend), |base| {
        base.join("login/login").exists() && std::net::TcpStream::connect((own, port)).is_ok()
    });
    let socket = dovecot.base_dir().join("login/ipc-proxy");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();

    let mut client = client::Client::greeted((own, port).into());
    assert!(client.ask("a LOGIN alice pw").contains("OK"));
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hub = Hub { stream, process: LoginProcess::default() };
    hub.flush();
    let joined = hub.event();
    assert!(matches!(joined, ProcessEvent::Joined(_)), "{joined:?}");

    hub.send(&Command::ListFull);
    let header = hub.event();
    assert!(matches!(&header, ProcessEvent::Header(_, names) if names == &[b"user_group"]), "{header:?}");
    let listed = hub.event();
    let ProcessEvent::Session(_, session) = &listed else { panic!("{listed:?}") };
    let seen = (session.user.as_slice(), session.alternatives[0].as_slice(), session.service.as_slice());
    assert_eq!((seen, session.backend), ((&b"alice"[..], &b"g1"[..], &b"imap"[..]), backend.address()));
    assert!(matches!(hub.event(), ProcessEvent::Answer(_, Answer::Done)));

    hub.send(&Command::KickAlt { field: b"user_group".to_vec(), values: vec![UserPattern::new("g2")] });
    assert!(matches!(hub.event(), ProcessEvent::Answer(_, Answer::Count(0))));
    hub.send(&Command::Kick(vec![UserPattern::new("bob"), UserPattern::new("alice")]));
    assert!(matches!(hub.event(), ProcessEvent::Answer(_, Answer::Count(1))));
    assert_eq!(client.rest(), "");
}

/// IMAP only, everybody goes to the backend, and nobody listens where login processes look for the ipc service.
fn proxy_settings(own: IpAddr, port: u16, backend: &FakeBackend) -> String {
    format!(
        "protocols = imap\nssl = no\ndisable_plaintext_auth = no\nlisten = {own}\n\
         passdb {{\n driver = static\n args = nopassword=y proxy=y host={} port={} user_group=g1\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home=/tmp\n}}\n\
         service ipc {{\n unix_listener login/ipc-proxy {{\n  mode = 0\n }}\n}}\n\
         service imap-login {{\n service_count = 0\n inet_listener imap {{\n  port = {port}\n }}\n}}\n",
        backend.address().ip(),
        backend.address().port()
    )
}
