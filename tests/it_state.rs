//! What survives a restart of the whole program, by whatever signal, and a site that is taken over from Dovecot's
//! director with every user where they are. The last needs root and Dovecot 2.3.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use homing_doveadm::{
    UserHash,
    director::{Client as Admin, ClientEvent, HostArgument, Reply, Request, UserArgument},
};
use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    dovecot::{self, Dovecot},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

const PORT: u16 = 1143;

/// Three backends, and a proxy that writes its state down.
struct Site {
    net: u8,
    homing: Homing,
    backends: Vec<FakeBackend>,
    _auth: FakeAuth,
}

fn at(net: u8, last: u8) -> IpAddr {
    IpAddr::from([127, 45, net, last])
}

fn configuration(net: u8, folder: &Path, more: &str) -> String {
    format!(
        "protocols = imap\nlisten = {}\nssl = no\ndisable_plaintext_auth = no\n\
         director_mail_servers = {}-{}\ndirector_state_dir = {}/state\n\
         service imap-login {{\n inet_listener imap {{\n  port = {PORT}\n }}\n}}\n{more}",
        at(net, 1),
        at(net, 11),
        at(net, 13),
        folder.display()
    )
}

impl Site {
    fn start(net: u8, more: &str) -> Self {
        let backend = |n: u8| {
            FakeBackend::start(SocketAddr::new(at(net, 11 + n), 2143), Service::Imap, Behaviour::Good)
        };
        let backends = (0..4).map(backend).collect();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth-login"), |_| "proxy\tport=2143".to_owned());
        let homing =
            Homing::start_in(folder, |path| configuration(net, path, more), (at(net, 1), PORT).into());
        Self { net, homing, backends, _auth: auth }
    }

    fn address(&self) -> SocketAddr {
        (at(self.net, 1), PORT).into()
    }

    fn restart(&mut self, signal: &str) {
        let address = self.address();
        self.homing.restart(signal, address);
    }

    fn state(&self) -> PathBuf {
        self.homing.folder().join("state/director.state")
    }

    /// Runs `homing director` with these words; exit status and both streams.
    fn director(&self, words: &str, input: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
        command.arg("director").args(words.split_whitespace()).arg("-c").arg(self.homing.config());
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn done(&self, words: &str) -> String {
        let (code, out, err) = self.director(words, "");
        assert_eq!((code, err.as_str()), (0, ""), "{words}: {out}");
        out
    }

    /// Logs in; the session and which backend it came to.
    fn log_in(&self, user: &str) -> (Client, u8) {
        let before: Vec<_> = self.backends.iter().map(FakeBackend::logins).collect();
        let mut client = Client::greeted(self.address());
        let answer = client.ask(&format!("a LOGIN {user} pw"));
        assert!(answer.starts_with("a OK"), "{user}: {answer}");
        assert_eq!(client.ask("hello"), "echo hello");
        let place = (0..before.len()).find(|n| self.backends[*n].logins() > before[*n]);
        (client, 11 + place.unwrap() as u8)
    }

    /// Lines of a dump that begin with a word, without what changes by itself.
    fn dump(&self, word: &str) -> Vec<String> {
        let text = self.done("dump");
        let lines = text.lines().filter(|line| line.starts_with(word));
        let kept = |line: &str| {
            let fields: Vec<_> = line.split('\t').filter(|field| !field.starts_with("expires=")).collect();
            fields.join("\t")
        };
        lines.map(kept).collect()
    }

    /// Every user moved to where nobody's hash counts, a backend down, one added, one removed, one of another weight.
    fn change(&self) {
        for n in 0..30 {
            self.done(&format!("move user{n} {}", at(self.net, 11 + n % 3)));
        }
        self.done(&format!("add {}@blue 7", at(self.net, 14)));
        self.done(&format!("down {}", at(self.net, 11)));
        self.done(&format!("update {} 50", at(self.net, 12)));
    }

    fn check(&self, users: &[String], hosts: &[String]) {
        assert_eq!(self.dump("user"), users);
        assert_eq!(self.dump("host"), hosts);
        for n in [0, 1, 2, 17] {
            assert_eq!(self.log_in(&format!("user{n}")).1, 11 + n % 3, "user{n}");
        }
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn w07_a_stop_and_a_start_lose_nothing() {
    let mut site = Site::start(1, "");
    site.change();
    let (users, hosts) = (site.dump("user"), site.dump("host"));
    assert_eq!((users.len(), hosts.len()), (30, 4));
    assert!(hosts[0].contains("\tdown\tchanged="), "{hosts:?}");
    site.restart("TERM");
    site.homing.wait_for_log("state of the last run taken over; users: 30, of them being moved: 0");
    site.check(&users, &hosts);
}

#[test]
fn w07_a_kill_loses_nothing_that_is_a_moment_old() {
    let mut site = Site::start(2, "director_user_kick_delay = 1 hours\n");
    site.change();
    let (_session, place) = site.log_in("somebody");
    let to = if place == 12 { 13 } else { 12 };
    site.done(&format!("move somebody {}", at(2, to)));
    let (users, hosts) = (site.dump("user"), site.dump("host"));
    // The last change is in the file, and so is what was before it.
    wait_until("the move is written", || {
        let state = fs::read_to_string(site.state()).unwrap_or_default();
        state.lines().any(|line| line.contains(&format!("moved-operator\t{}", at(2, place))))
            && state.ends_with(" commit\n")
    });
    site.restart("KILL");
    site.check(&users, &hosts);
    let moving = site.dump("user").into_iter().filter(|line| line.contains("\tto=")).count();
    assert_eq!(moving, 1, "the move goes on, and its delay is waited for");
}

#[test]
fn w07_a_damaged_file_is_kept_and_not_used() {
    let mut site = Site::start(3, "");
    site.change();
    site.homing.signal("TERM");
    site.homing.wait();
    let mut state = fs::read(site.state()).unwrap();
    let middle = state.len() / 2;
    state[middle] ^= 0x40;
    fs::write(site.state(), &state).unwrap();
    let address = site.address();
    site.homing.start_again(address);
    let line = site.homing.wait_for_log("is damaged at line");
    assert!(line.contains("kept as") && line.contains("users and backends start anew"), "{line}");
    let kept = site.homing.folder().join("state/director.state.refused-1");
    assert_eq!(fs::read(kept).unwrap(), state, "as it was");
    assert_eq!(site.dump("user"), Vec::<String>::new());
    site.log_in("user1");
}

#[test]
fn w07_two_in_one_folder_are_one_too_many() {
    let site = Site::start(4, "");
    let folder = tempfile::tempdir().unwrap();
    let own = format!("base_dir = {0}\nlog_path = {0}/log\nauth_socket_path = x\n", folder.path().display());
    let config = folder.path().join("homing.conf");
    let other = configuration(4, site.homing.folder(), "").replace(&format!("port = {PORT}"), "port = 1144");
    fs::write(&config, own + &other).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_homing")).args(["run", "-c"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another Homing uses this folder"), "{said}");
    let checked =
        Command::new(env!("CARGO_BIN_EXE_homing")).args(["check", "-c"]).arg(&config).output().unwrap();
    assert!(checked.status.success(), "a check takes no lock: {checked:?}");
    let bad = fs::read_to_string(&config).unwrap().replace("/state\n", "/nowhere\n");
    fs::write(&config, bad).unwrap();
    let checked =
        Command::new(env!("CARGO_BIN_EXE_homing")).args(["check", "-c"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.code() == Some(78) && said.contains("/nowhere: No such file"), "{said}");
}

#[test]
fn w07_a_dump_is_loaded_elsewhere() {
    let site = Site::start(5, "");
    site.change();
    site.done(&format!("remove {}", at(5, 13)));
    let dump = site.done("dump");
    let users = site.dump("user");
    // Another one with another configuration, and with a user at work.
    let other = Site::start(6, "");
    let dump = dump.replace("127.45.5.", "127.45.6.");
    let (_session, place) = other.log_in("user0");
    let (code, out, _) = other.director("load --dry-run", &dump);
    assert_eq!((code, out.contains("nothing is done")), (75, true), "{out}");
    assert_eq!(other.dump("user").len(), 1, "nothing was done");
    let (code, out, err) = other.director("load", &dump);
    assert_eq!(code, 75, "{out}{err}");
    assert!(out.starts_with("backends: 0 added, 2 changed, 1 removed; users: "), "{out}");
    assert!(err.contains(&format!("backend {} is not known here; --add-hosts adds it", at(6, 14))), "{err}");
    assert_eq!(other.log_in("user0").1, place, "nobody with a session is taken away");
    let is_told = err.contains(&format!(": User has sessions on {}", at(6, place)));
    assert_eq!(is_told, place != 11, "{err}");
    let places = |lines: &[String]| -> BTreeMap<String, u8> {
        let place = |line: &String| {
            let fields: Vec<_> = line.split('\t').collect();
            (fields[1].to_owned(), fields[2].rsplit('.').next().unwrap().parse().unwrap())
        };
        lines.iter().map(place).collect()
    };
    let (here, there) = (places(&users), places(&other.dump("user")));
    let differing = here.iter().filter(|(user, place)| there.get(*user) != Some(place)).count();
    assert_eq!(differing, usize::from(is_told), "{here:?} {there:?}");
    let (code, out, err) = other.director("load", "alice 127.45.6.11\nwhat is this\n");
    assert_eq!((code, out.as_str()), (65, ""), "{err}");
    assert!(err.contains("line 2 is not understood: what is this\nnothing is loaded"), "{err}");
}

/// Asks Dovecot's director.
fn ask(socket: &Path, requests: &[Request]) -> Vec<Reply> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = Vec::new();
    let mut admin = Admin::default();
    for request in requests {
        admin.ask(request).unwrap();
        stream.write_all(&admin.poll_transmit().unwrap()).unwrap();
        while admin.open_requests() > 0 {
            let mut bytes = vec![0; admin.room().min(4096)];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "closed after {replies:?}");
            admin.received(&bytes[..count]);
            while let Some(event) = admin.poll_event() {
                let ClientEvent::Reply(reply) = event else { panic!("{event:?}") };
                replies.push(reply);
            }
        }
    }
    replies
}

/// 200 users, half of them where their hash says, the others moved away; and backends that are not as configured.
fn dovecot(net: u8, users: &[String]) -> (Dovecot, BTreeMap<String, IpAddr>) {
    let settings = format!(
        "protocols =\nssl = no\nlisten = {}\ndirector_mail_servers = {}-{}\ndirector_user_kick_delay = 0\n\
         service director {{\n unix_listener director-admin {{\n  mode = 0600\n }}\n}}\n",
        at(net, 9),
        at(net, 11),
        at(net, 13)
    );
    let socket = |base: &Path| base.join("director-admin");
    let dovecot = Dovecot::configured(&settings, |base| UnixStream::connect(socket(base)).is_ok());
    let socket = socket(&dovecot.base_dir());
    let host = HostArgument { ip: at(net, 14), tag: None };
    let changes = [
        Request::HostSet { host, vhosts: Some(50) },
        Request::HostRemove(at(net, 13)),
        Request::HostUpdate { host: HostArgument { ip: at(net, 12), tag: None }, vhosts: 10 },
    ];
    assert_eq!(ask(&socket, &changes), [Reply::Ok, Reply::Ok, Reply::Ok]);
    let lookup =
        |user: &String| Request::UserLookup { user: UserArgument::named(user.as_str()), tag: Vec::new() };
    let places = ask(&socket, &users.iter().map(lookup).collect::<Vec<_>>());
    let hashes = users.iter().map(|user| hash_of(user));
    let mut expected = BTreeMap::new();
    let mut moves = Vec::new();
    for (n, ((user, hash), place)) in users.iter().zip(hashes).zip(places).enumerate() {
        let Reply::Place(place) = place else { panic!("{place:?}") };
        let hashed = place.hashed.unwrap();
        let mut others = [14, 12, 11].map(|last| at(net, last)).into_iter().filter(|ip| *ip != hashed);
        let host = if n % 2 == 0 { hashed } else { others.next().unwrap() };
        moves.push(Request::UserMove { user: hash.into(), host });
        expected.insert(user.clone(), host);
    }
    assert!(ask(&socket, &moves).iter().all(|reply| *reply == Reply::Ok));
    (dovecot, expected)
}

/// As doveadm tells, which needs no director for it.
fn hash_of(user: &str) -> UserHash {
    use homing::director::core::{Naming, UsernameFormat};
    let format = UsernameFormat::parse("%Lu").unwrap();
    UserHash(Naming { format, master_user_separator: None }.hash(user.as_bytes()).number())
}

fn doveadm(dovecot: &Dovecot, words: &[&str]) -> String {
    let output =
        Command::new("doveadm").args(words).arg("-a").arg(dovecot.base_dir().join("director-admin")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn w07_a_site_of_dovecot_is_taken_over_with_every_user_where_they_are() {
    if let Some(reason) = dovecot::missing() {
        eprintln!("SKIPPED: {reason}; nothing was taken over");
        return;
    }
    let users: Vec<_> = (0..200).map(|n| format!("user{n}@example.test")).collect();
    let (dovecot, expected) = dovecot(7, &users);
    let site = Site::start(7, "");
    let names = site.homing.folder().join("users");
    fs::write(&names, users.join("\n") + "\n").unwrap();
    let dump = doveadm(&dovecot, &["director", "dump"]);
    let map = doveadm(&dovecot, &["director", "map", "-f", &names.display().to_string()]);
    // What our own dump of Dovecot's director says comes to the same.
    let socket = dovecot.base_dir().join("director-admin");
    let theirs = site.done(&format!("dump -a {}", socket.display()));
    let (code, out, err) = site.director("load --add-hosts", &dump);
    assert_eq!((code, err.as_str()), (0, ""), "{dump}");
    assert_eq!(
        out,
        "backends: 1 added, 1 changed, 1 removed; users: 0 loaded, 0 there already; problems: 0\n"
    );
    let (code, out, err) = site.director("load", &map);
    assert_eq!((code, err.as_str()), (0, ""), "{map}");
    assert!(out.contains("users: 200 loaded, 0 there already; problems: 0"), "{out}");
    let (code, out, err) = site.director("load", &theirs);
    assert_eq!((code, err.as_str()), (0, ""), "{theirs}");
    assert!(out.contains("users: 0 loaded, 200 there already; problems: 0"), "{out}");
    for (user, ip) in &expected {
        let (mut session, last) = site.log_in(user);
        assert_eq!(at(7, last), *ip, "{user}");
        session.send("bye\r\n");
    }
}
