//! The installed doveadm drives the whole program: what administrators see, and what their commands do to users with
//! live sessions. Needs Dovecot 2.3's doveadm.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use homing_login::Service;
use support::{
    client::{Client, PATIENCE, assert_kicked, assert_login_kicked},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

/// A proxy in front of some backends, and doveadm with the proxy's own configuration.
struct Site {
    homing: Homing,
    backends: Vec<FakeBackend>,
    _auth: FakeAuth,
    ip: String,
}

/// What a run of doveadm left.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// Lines with single spaces.
    fn rows(&self) -> Vec<String> {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

impl Site {
    /// Backends `127.43.NET.11` and following.
    fn start(net: u8, backends: &[Behaviour], more: &str) -> Self {
        let ip = format!("127.43.{net}.1");
        let address = |n: usize| SocketAddr::new(format!("127.43.{net}.{}", 11 + n).parse().unwrap(), 2143);
        let started: Vec<_> = backends
            .iter()
            .enumerate()
            .map(|(n, behaviour)| FakeBackend::start(address(n), Service::Imap, *behaviour))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth-login"), |_| {
            "proxy\tport=2143\tuser_group=staff\tuser_id=7".to_owned()
        });
        let servers: Vec<_> = started.iter().map(|b| b.address().ip().to_string()).collect();
        let configure = |_: &Path| {
            format!(
                "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
                 director_mail_servers = {}\n\
                 director_user_kick_delay = 1 secs\n\
                 service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n{more}",
                servers.join(" ")
            )
        };
        let homing = Homing::start_in(folder, configure, format!("{ip}:1143").parse().unwrap());
        Self { homing, backends: started, _auth: auth, ip }
    }

    fn good(net: u8, backends: usize) -> Self {
        Self::start(net, &vec![Behaviour::Good; backends], "")
    }

    fn doveadm(&self, words: &str) -> Run {
        let mut command = Command::new("doveadm");
        command.arg("-c").arg(self.homing.config()).args(words.split_whitespace());
        let output = command.env("TZ", "UTC").env("COLUMNS", "80").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// A run that succeeds and says nothing.
    fn done(&self, words: &str) {
        let run = self.doveadm(words);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", ""), "{words}");
    }

    fn backend(&self, n: usize) -> IpAddr {
        self.backends[n].address().ip()
    }

    fn connect(&self) -> Client {
        Client::greeted(format!("{}:1143", self.ip).parse().unwrap())
    }

    /// Logs a user in; the session and the number of the backend that got it.
    fn log_in(&self, user: &str) -> (Client, usize) {
        let before: Vec<_> = self.backends.iter().map(FakeBackend::logins).collect();
        let mut client = self.connect();
        let answer = client.ask(&format!("a LOGIN {user} pw"));
        assert!(answer.starts_with("a OK"), "{user}: {answer}");
        // The backend counts a login before it echoes.
        assert_eq!(client.ask("hello"), "echo hello");
        let grown: Vec<_> = (0..before.len()).filter(|n| self.backends[*n].logins() > before[*n]).collect();
        let [backend] = grown.as_slice() else { panic!("{user} came to {grown:?}") };
        (client, *backend)
    }

    /// A row of `director status`, without the times.
    fn host(&self, n: usize) -> Vec<String> {
        let ip = self.backend(n).to_string();
        let rows = self.doveadm("-f tab director status").rows();
        assert_eq!(rows[0], "mail server ip tag vhosts state state changed users");
        let out = self.doveadm("-f tab director status").out;
        let row = out.lines().find(|line| line.split('\t').next() == Some(&ip));
        row.unwrap_or_default().split('\t').map(str::to_owned).collect()
    }

    /// The file for `map -f`.
    fn users_file(&self, users: &[&str]) -> String {
        let path = self.homing.folder().join("users");
        fs::write(&path, users.join("\n") + "\n").unwrap();
        path.display().to_string()
    }
}

fn missing() -> bool {
    let version = Command::new("doveadm").arg("-h").output();
    let is_known = Command::new("dovecot").arg("--version").output();
    let missing = version.is_err() || !is_known.is_ok_and(|output| output.stdout.starts_with(b"2.3."));
    if missing {
        eprintln!("SKIPPED: doveadm 2.3 is not installed; nothing was checked with it");
    }
    missing
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_administrators_see() {
    if missing() {
        return;
    }
    let site = Site::good(0, 3);
    assert_eq!(
        site.doveadm("director status").rows(),
        [
            "mail server ip tag vhosts state state changed users",
            "127.43.0.11 100 up - 0",
            "127.43.0.12 100 up - 0",
            "127.43.0.13 100 up - 0"
        ]
    );
    let hashed = site.doveadm("director status foo").rows();
    assert_eq!(hashed[0], "Current: n/a (expires -1)");
    let (_session, n) = site.log_in("foo");
    let ip = site.backend(n).to_string();
    let placed = site.doveadm("director status foo").rows();
    assert!(placed[0].starts_with(&format!("Current: {ip} (expires 20")), "{placed:?}");
    assert_eq!(placed[1..], [format!("Hashed: {ip}"), format!("Initial config: {ip}")]);
    assert_eq!(placed[1..], hashed[1..]);

    assert_eq!(site.doveadm("director map -u foo").rows(), ["2898073819"]);
    let file = site.users_file(&["foo", "bar"]);
    assert_eq!(site.doveadm(&format!("director map -f {file} -h 2898073819")).rows(), ["foo"]);
    let map = site.doveadm(&format!("director map -f {file}")).rows();
    assert!(map[1].starts_with(&format!("foo 2898073819 {ip} 20")), "{map:?}");
    assert_eq!(map.len(), 2);
    assert_eq!(site.doveadm(&format!("director map -f {file} {ip}")).rows(), map);
    let empty = site.backend((n + 1) % 3);
    assert_eq!(site.doveadm(&format!("director map -f {file} {empty}")).rows().len(), 1);

    let ring = site.doveadm("director ring status").rows();
    assert!(ring[1].starts_with("127.0.0.1 0 self never ring synced"), "{ring:?}");
    let json = site.doveadm("-f json director status").out;
    assert!(json.contains(&format!("\"mail server ip\":\"{ip}\"")), "{json}");

    site.done("director add 127.43.0.99@blue 7");
    site.done("director remove 127.43.0.13");
    assert_eq!(
        site.doveadm("director dump").rows(),
        [
            "doveadm director add 127.43.0.11 100",
            "doveadm director add 127.43.0.12 100",
            "doveadm director add 127.43.0.99@blue 7",
            "doveadm director remove 127.43.0.13"
        ]
    );
}

#[test]
fn w32_errors_have_the_references_texts_and_codes() {
    if missing() {
        return;
    }
    let site = Site::good(1, 2);
    site.done("director add -t green 127.43.1.98");
    for (words, code, err) in [
        ("-v director add 127.43.1.98 5", 0, "127.43.1.98: OK\n"),
        ("director add -t red 127.43.1.98", 75, "Error: 127.43.1.98: host tag can't be changed\n"),
        ("director add 127.43.1.98 1001", 75, "Error: 127.43.1.98: vhost count too large\n"),
        ("director up 127.43.1.99", 68, "Error: 127.43.1.99: doesn't exist\n"),
        ("director down 127.43.1.99", 68, "Error: 127.43.1.99: doesn't exist\n"),
        ("director remove 127.43.1.99", 68, "Error: 127.43.1.99: doesn't exist\n"),
        ("-v director down 127.43.1.98", 0, "127.43.1.98: down\n"),
        ("-v director up 127.43.1.98", 0, "127.43.1.98: up\n"),
        ("-v director flush 127.43.1.98", 0, "127.43.1.98: flushed\n"),
        ("-v director flush -F 127.43.1.98", 0, "127.43.1.98: flushed\n"),
        ("-v director flush all", 0, "flushed\n"),
        ("-v director flush --max-parallel 5 all", 0, "flushed\n"),
        ("-v director flush -F all", 0, "flushed\n"),
        ("-v director kick nobody", 0, "User nobody kicked\n"),
        ("-v director move foo 127.43.1.98", 0, "User hash 2898073819 moved to 127.43.1.98\n"),
        ("-v director remove 127.43.1.98", 0, "127.43.1.98: removed\n"),
    ] {
        let run = site.doveadm(words);
        let told = run.err.trim_start_matches("Info: ");
        assert_eq!((run.code, told), (code, err), "{words}");
    }
    for (words, code) in [
        ("director update 127.43.1.99 5", 75),
        ("director flush 127.43.1.99", 68),
        ("director flush -F 127.43.1.99", 68),
        ("director move foo 127.43.1.99", 68),
        ("director ring add 127.43.1.99 9090", 75),
        ("director ring remove 127.43.1.99", 68),
    ] {
        assert_eq!(site.doveadm(words).code, code, "{words}");
    }
}

/// A down backend and one that is full keep their users and get no others.
#[test]
fn down_and_no_vhosts_take_no_new_users() {
    if missing() {
        return;
    }
    let site = Site::good(2, 2);
    for (away, back) in
        [("director down IP", "director up IP"), ("director update IP 0", "director update IP 100")]
    {
        let (session, n) = site.log_in(away.split(' ').nth(1).unwrap());
        let ip = site.backend(n).to_string();
        site.done(&away.replace("IP", &ip));
        for user in 0..20 {
            assert_ne!(site.log_in(&format!("{user}-{}", away.len())).1, n, "after {away}");
        }
        let (second, again) = site.log_in(away.split(' ').nth(1).unwrap());
        assert_eq!(again, n, "the user stays after {away}");
        drop((session, second));
        site.done(&back.replace("IP", &ip));
        let reached = (0..40).any(|user| site.log_in(&format!("{user}+{}", away.len())).1 == n);
        assert!(reached, "after {back}");
    }
    let changed = site.host(0).into_iter().chain(site.host(1)).filter(|cell| cell.starts_with("20")).count();
    assert_eq!(changed, 1, "one backend was down and up");
}

/// The old session ends before the user is anywhere else, and the next login lands on the new backend.
#[test]
fn a_moved_user_is_never_on_two_backends() {
    if missing() {
        return;
    }
    let site = Site::good(3, 2);
    let (session, from) = site.log_in("foo");
    let (other, _) = site.log_in("bar");
    let to = 1 - from;
    site.done(&format!("director move foo {}", site.backend(to)));
    assert_kicked(session);
    let before = site.backends[from].live();
    for _ in 0..3 {
        let (_again, n) = site.log_in("foo");
        assert_eq!(n, to);
        assert!(site.backends[from].live() <= before, "nobody came back");
    }
    let status = site.doveadm("director status foo").rows();
    assert!(status[0].starts_with(&format!("Current: {}", site.backend(to))), "{status:?}");
    assert_eq!(status[1], format!("Hashed: {}", site.backend(from)));
    let line = site.homing.wait_for_log("Kicked via director");
    assert!(line.contains("proxy(foo)") || line.contains("<foo>"), "{line}");
    let mut other = other;
    assert_eq!(other.ask("still"), "echo still");
}

/// Logins while the user is moved to and fro: the backends see one place at a time.
#[test]
fn logins_during_moves_stay_on_one_backend() {
    if missing() {
        return;
    }
    let site = Site::good(4, 2);
    let (_first, mut n) = site.log_in("foo");
    for _ in 0..6 {
        n = 1 - n;
        site.done(&format!("director move foo {}", site.backend(n)));
        let (mut session, there) = site.log_in("foo");
        assert_eq!(there, n);
        assert_eq!(site.backends[1 - n].live(), 0, "nothing is left at the old backend");
        assert_eq!(session.ask("x"), "echo x");
    }
}

#[test]
fn di_09_sp_10_sessions_are_listed_and_kicked() {
    if missing() {
        return;
    }
    let site = Site::good(5, 2);
    let header = "username user_group user_id proto src ip dest ip port";
    assert_eq!(site.doveadm("proxy list").rows(), ["username proto src ip dest ip port"], "nobody is there");
    let (foo, n) = site.log_in("foo");
    let (bar, m) = site.log_in("bar");
    let row = |user: &str, n: usize| format!("{user} staff 7 imap 127.0.0.1 {} 2143", site.backend(n));
    assert_eq!(site.doveadm("proxy list").rows(), [header, &row("bar", m), &row("foo", n)]);
    // By name.
    assert_eq!(site.doveadm("proxy kick nobody").rows(), ["0 connections kicked"]);
    assert_eq!(site.doveadm("proxy kick foo").rows(), ["1 connections kicked"]);
    assert_kicked(foo);
    site.homing.wait_for_log("Kicked by admin");
    // By field, all protocols and users; the count is right.
    let (foo, _) = site.log_in("foo");
    assert_eq!(site.doveadm("proxy kick -f user_group staff").rows(), ["2 connections kicked"]);
    assert_kicked(foo);
    assert_kicked(bar);
    // By backend.
    let (foo, n) = site.log_in("foo");
    assert_eq!(site.doveadm("proxy kick -h 127.43.5.99").rows(), ["0 connections kicked"]);
    assert_eq!(site.doveadm(&format!("proxy kick -h {}", site.backend(n))).rows(), ["1 connections kicked"]);
    assert_kicked(foo);
    // The director's kicks, with wildcards.
    for kick in ["director kick foo", "director kick FO?", "director kick -f user_id 7"] {
        let (foo, there) = site.log_in("foo");
        assert_eq!(there, n, "a kick moves nobody");
        site.done(kick);
        assert_kicked(foo);
    }
    assert_eq!(site.doveadm("proxy kick").code, 64);
}

/// The backend has not answered yet: the session is listed, and a kick is told as a failure that passes.
#[test]
fn sp_10_a_login_in_progress_is_kicked() {
    if missing() {
        return;
    }
    let site = Site::start(6, &[Behaviour::Silent], "");
    let mut client = site.connect();
    client.send("a LOGIN foo pw\r\n");
    wait_until("the login reaches the backend", || site.backends[0].live() == 1);
    let list = site.doveadm("proxy list").rows();
    assert_eq!(list[1..], ["foo staff 7 imap 127.0.0.1 127.43.6.11 2143"]);
    assert_eq!(site.doveadm("proxy kick foo").rows(), ["1 connections kicked"]);
    assert_login_kicked(client);
    wait_until("the backend is let go", || site.backends[0].live() == 0);
    site.homing.wait_for_log("Kicked by admin");
    assert_eq!(site.doveadm("proxy list").rows().len(), 1);
    // By the director's move, too.
    let mut client = site.connect();
    client.send("a LOGIN foo pw\r\n");
    wait_until("the login reaches the backend", || site.backends[0].live() == 1);
    site.done("director add 127.43.6.12");
    site.done("director move foo 127.43.6.12");
    assert_login_kicked(client);
}

#[test]
fn a_flush_moves_users_a_few_at_a_time() {
    if missing() {
        return;
    }
    let site = Site::good(7, 2);
    let users: Vec<_> = (0..12).map(|n| format!("user{n}")).collect();
    let sessions: Vec<_> = users.iter().map(|user| site.log_in(user)).collect();
    let ip = site.backend(0).to_string();
    let there = sessions.iter().filter(|(_, n)| *n == 0).count();
    assert!(there > 1, "the users prove little");
    assert_eq!(site.host(0)[5], there.to_string());
    site.done(&format!("director update {ip} 0"));
    let run = site.doveadm(&format!("-v director flush --max-parallel 1 {ip}"));
    assert_eq!(run.code, 0, "{run:?}");
    for (client, n) in sessions {
        let mut client = client;
        if n == 0 {
            assert_kicked(client);
        } else {
            assert_eq!(client.ask("still"), "echo still");
        }
    }
    for user in &users {
        assert_eq!(site.log_in(user).1, 1, "{user}");
    }
    assert_eq!(site.host(0)[5], "0");
    assert_eq!(site.backends[0].live(), 0, "safe to power off");
}

/// Forgets who has no session, kicks nobody.
#[test]
fn a_forced_flush_kicks_nobody() {
    if missing() {
        return;
    }
    let site = Site::good(8, 2);
    let (mut stays, n) = site.log_in("foo");
    drop(site.log_in("bar"));
    wait_until("the other session ends", || site.doveadm("proxy list").rows().len() == 2);
    site.done("director flush -F all");
    let status = site.doveadm("director status bar").rows();
    assert_eq!(status[0], "Current: n/a (expires -1)");
    assert_eq!(stays.ask("still"), "echo still");
    assert_eq!(site.log_in("foo").1, n, "while the session lives");
}

#[test]
fn the_admin_protocol_over_tcp_and_by_mode() {
    if missing() {
        return;
    }
    let more = "service director {\n unix_listener director-admin {\n  mode = 0660\n }\n \
                inet_listener director-doveadm {\n  port = 9091\n }\n}\n\
                service ipc {\n unix_listener ipc {\n  mode = 0\n }\n}\n";
    let site = Site::start(9, &[Behaviour::Good], more);
    let over_tcp = site.doveadm("director status -a 127.43.9.1:9091").rows();
    assert_eq!(over_tcp, site.doveadm("director status").rows());
    let socket = site.homing.folder().join("director-admin");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert!(!site.homing.folder().join("ipc").exists());
    assert!(site.doveadm("proxy list").err.contains("/ipc) failed"), "no socket");
}

#[test]
fn sockets_come_and_go_with_the_program() {
    if missing() {
        return;
    }
    let mut site = Site::good(10, 1);
    let folder = site.homing.folder().to_owned();
    let sockets = ["director-admin", "ipc"].map(|name| folder.join(name));
    assert!(sockets.iter().all(|socket| socket.exists()));
    // Another program with the same folder serves mail, but leaves the sockets alone.
    let settings = fs::read_to_string(site.homing.config()).unwrap();
    let settings =
        settings.replace("listen = 127.43.10.1", "listen = 127.43.10.2").replace("/log\n", "/log2\n");
    fs::write(folder.join("second.conf"), settings).unwrap();
    let mut second = Command::new(env!("CARGO_BIN_EXE_homing"))
        .args(["run", "-c"])
        .arg(folder.join("second.conf"))
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(folder.join("log2")).unwrap_or_default();
    wait_until("the second one starts", || told().contains("starting up"));
    assert_eq!(told().matches("another program serves it").count(), 2);
    let _ = Command::new("kill").arg(second.id().to_string()).status();
    assert!(second.wait().unwrap().success());
    assert!(sockets.iter().all(|socket| socket.exists()));
    assert_eq!(site.doveadm("director status").code, 0);
    // Killed, it leaves its sockets behind, which a new one replaces; asked to stop, it removes them.
    site.homing.signal("KILL");
    assert!(!site.homing.wait());
    assert!(sockets.iter().all(|socket| socket.exists()));
    let mut third = Command::new(env!("CARGO_BIN_EXE_homing"))
        .args(["run", "-c"])
        .arg(site.homing.config())
        .spawn()
        .unwrap();
    wait_until("the new one answers", || site.doveadm("director status").code == 0);
    let _ = Command::new("kill").arg(third.id().to_string()).status();
    assert!(third.wait().unwrap().success());
    assert!(!sockets.iter().any(|socket| socket.exists()));
}

/// Backends and users changed by hand live through a reload.
#[test]
fn a_reload_keeps_what_administrators_did() {
    if missing() {
        return;
    }
    let site = Site::good(11, 2);
    site.done("director add 127.43.11.50 3");
    site.done("director down 127.43.11.12");
    site.done("director move foo 127.43.11.50");
    let before = site.doveadm("director dump").rows();
    site.homing.signal("HUP");
    site.homing.wait_for_log("the new configuration is in use");
    assert_eq!(site.doveadm("director dump").rows(), before);
    assert_eq!(site.host(1)[3], "down");
    assert!(site.doveadm("director status foo").rows()[0].starts_with("Current: 127.43.11.50"));
}
