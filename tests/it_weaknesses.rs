//! Weaknesses of the reference's director that a site meets (spec/director.md 10), each against the running program:
//! what would go wrong there is done here, and does not.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use homing::director::core::{Naming, UsernameFormat};
use support::{
    client::{Client, PATIENCE, assert_kicked, assert_login_kicked},
    fake_auth::FakeAuth,
    homing::Homing,
};

/// What happened at the backends, in order: `A has foo` when a password comes, `A took foo` when the user is let in,
/// `A lost foo` when the connection is seen to end.
#[derive(Default)]
struct Story {
    told: Mutex<Vec<String>>,
    /// Backends that are slow: they do not answer a password yet.
    slow: Mutex<Vec<char>>,
    news: Condvar,
}

impl Story {
    fn tell(&self, text: String) {
        self.told.lock().unwrap().push(text);
        self.news.notify_all();
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    /// Waits until something has happened so many times.
    fn wait_for(&self, text: &str, times: usize) {
        let told = self.told.lock().unwrap();
        let is_missing = |told: &mut Vec<String>| told.iter().filter(|line| *line == text).count() < times;
        let (told, waited) = self.news.wait_timeout_while(told, PATIENCE, is_missing).unwrap();
        assert!(!waited.timed_out(), "no {text:?} in {told:?}");
    }

    fn position(&self, text: &str) -> usize {
        let told = self.told();
        told.iter().position(|line| line == text).unwrap_or_else(|| panic!("no {text:?} in {told:?}"))
    }

    fn set_slow(&self, name: char, slow: bool) {
        let mut names = self.slow.lock().unwrap();
        names.retain(|other| *other != name);
        if slow {
            names.push(name);
        }
        self.news.notify_all();
    }

    fn wait_while_slow(&self, name: char) {
        let names = self.slow.lock().unwrap();
        let is_slow = |names: &mut Vec<char>| names.contains(&name);
        drop(self.news.wait_timeout_while(names, PATIENCE, is_slow).unwrap());
    }
}

/// Which login is where.
struct Site {
    homing: Homing,
    story: Arc<Story>,
    net: u8,
    _auth: FakeAuth,
}

const NAMES: [char; 2] = ['A', 'B'];

impl Site {
    /// Backends A and B, of which the file names those in `servers`. `fields` are what the auth service answers by
    /// service, beside the port.
    fn start(
        net: u8,
        servers: &str,
        fields: impl Fn(&str) -> String + Send + Sync + 'static,
        more: &str,
    ) -> Self {
        let story = Arc::<Story>::default();
        for name in NAMES {
            for service in ["imap", "pop3"] {
                listen(name, SocketAddr::new(backend(net, name), port(service) + 1000), &story);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let fields =
            move |service: &str| format!("proxy\tport={}\t{}", port(service) + 1000, fields(service));
        let auth = FakeAuth::start(&folder.path().join("auth"), fields);
        let configure = |folder: &Path| configuration(folder, net, servers, more);
        let homing = Homing::start_in(folder, configure, SocketAddr::new(own(net), port("pop3")));
        Self { homing, story, net, _auth: auth }
    }

    fn connect(&self, service: &str) -> Client {
        Client::greeted(SocketAddr::new(own(self.net), port(service)))
    }

    fn logged_in(&self, user: &str) -> Client {
        let mut client = self.connect("imap");
        let answer = client.ask(&format!("a LOGIN {user} pw"));
        assert!(answer.starts_with("a OK"), "{user}: {answer}");
        client
    }

    fn pop3(&self, user: &str) -> Client {
        let mut client = self.connect("pop3");
        assert!(client.ask(&format!("USER {user}")).starts_with("+OK"));
        client.send("PASS pw\r\n");
        client
    }

    /// Asks on the admin socket.
    fn admin(&self, request: &str) -> String {
        let stream = UnixStream::connect(self.homing.folder().join("director-admin")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        let lines = format!("VERSION\tdirector-doveadm\t1\t0\n{request}\n");
        stream.get_mut().write_all(lines.as_bytes()).unwrap();
        stream.read_line(&mut String::new()).unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn done(&self, request: &str) {
        assert_eq!(self.admin(request), "OK", "{request}");
    }

    fn backend(&self, name: char) -> IpAddr {
        backend(self.net, name)
    }

    fn move_user(&self, user: &str, name: char) {
        self.done(&format!("USER-MOVE\t{}\t{}", hash(user), self.backend(name)));
    }

    /// Takes over another configuration.
    fn reload(&self, servers: &str, more: &str) {
        let folder = self.homing.folder();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", folder.display());
        fs::write(self.homing.config(), own + &configuration(folder, self.net, servers, more)).unwrap();
        self.homing.signal("HUP");
    }
}

fn hash(user: &str) -> u32 {
    let format = UsernameFormat::parse("%Lu").unwrap();
    Naming { format, master_user_separator: Some('*') }.hash(user.as_bytes()).number()
}

fn own(net: u8) -> IpAddr {
    [127, 45, net, 1].into()
}

fn backend(net: u8, name: char) -> IpAddr {
    [127, 45, net, if name == 'A' { 11 } else { 12 }].into()
}

fn port(service: &str) -> u16 {
    if service == "imap" { 1143 } else { 1110 }
}

fn configuration(folder: &Path, net: u8, servers: &str, more: &str) -> String {
    let servers: Vec<_> = servers.chars().map(|name| backend(net, name).to_string()).collect();
    format!(
        "protocols = imap pop3\nlisten = {}\nssl = no\ndisable_plaintext_auth = no\nshutdown_clients = no\n\
         login_auth_socket_path = {}/auth\ndirector_mail_servers = {}\ndirector_user_kick_delay = 2 s\n\
         auth_master_user_separator = *\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n\
         service pop3-login {{\n inet_listener pop3 {{\n  port = 1110\n }}\n}}\n{more}",
        own(net),
        folder.display(),
        servers.join(" ")
    )
}

fn listen(name: char, address: SocketAddr, story: &Arc<Story>) {
    let listener = TcpListener::bind(address).unwrap();
    let story = Arc::clone(story);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let story = Arc::clone(&story);
            let serve = move || {
                let _ = serve(name, stream, &story);
            };
            thread::Builder::new().stack_size(128 * 1024).spawn(serve).unwrap();
        }
    });
}

/// Lets anybody in, as soon as it is not slow, and echoes.
fn serve(name: char, stream: TcpStream, story: &Story) -> std::io::Result<()> {
    let is_imap = stream.local_addr()?.port() == port("imap") + 1000;
    let mut stream = BufReader::new(stream);
    let greeting = if is_imap { "* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+] ready" } else { "+OK ready" };
    stream.get_mut().write_all(format!("{greeting}\r\n").as_bytes())?;
    let (mut user, mut line, mut is_in) = (String::new(), String::new(), false);
    loop {
        line.clear();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            break;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let (answer, is_login) = match words.as_slice() {
            _ if is_in => (format!("echo {}", line.trim_end()), false),
            [tag, "LOGIN", name, ..] => {
                user = name.trim_matches('"').to_owned();
                (format!("{tag} OK [CAPABILITY IMAP4rev1] in"), true)
            }
            ["USER", name] => {
                user = (*name).to_owned();
                ("+OK".to_owned(), false)
            }
            ["PASS", ..] => ("+OK".to_owned(), true),
            [tag, ..] if is_imap => (format!("{tag} OK"), false),
            _ => ("+OK".to_owned(), false),
        };
        if is_login {
            story.tell(format!("{name} has {user}"));
            story.wait_while_slow(name);
            story.tell(format!("{name} took {user}"));
            is_in = true;
        }
        if stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).is_err() {
            break;
        }
    }
    story.tell(format!("{name} lost {user}"));
    Ok(())
}

fn nothing(_: &str) -> String {
    String::new()
}

/// The user is moved while the old backend has the password and has not answered. It answers later, and only when it has
/// seen that nobody is there may the user be anywhere else.
#[test]
fn w01_a_move_during_a_slow_login_waits_for_the_old_backend() {
    // As long as a slow backend is waited for.
    let site = Site::start(1, "A", nothing, "director_user_kick_delay = 5 s\n");
    site.story.set_slow('A', true);
    let mut first = site.connect("imap");
    first.send("a LOGIN foo pw\r\n");
    site.story.wait_for("A has foo", 1);
    site.done(&format!("HOST-SET\t{}", site.backend('B')));
    site.move_user("foo", 'B');
    // Kicked, not forgotten.
    assert_login_kicked(first);
    thread::scope(|scope| {
        let second = scope.spawn(|| site.logged_in("foo"));
        site.homing.wait_for_log("leaves");
        site.story.set_slow('A', false);
        let mut second = second.join().unwrap();
        assert_eq!(second.ask("x"), "echo x");
    });
    let order = ["A took foo", "A lost foo", "B has foo"].map(|text| site.story.position(text));
    assert!(order.is_sorted(), "{:?}", site.story.told());
}

/// The client is kicked while the backend has its password. The user is still there: a login comes to the same backend
/// although it takes no new users any more and its users are to be forgotten.
#[test]
fn w01_a_login_that_is_kicked_counts_until_the_backend_is_done_with_it() {
    let site = Site::start(2, "A", nothing, "director_user_kick_delay = 60 s\n");
    site.story.set_slow('A', true);
    let mut first = site.connect("imap");
    first.send("a LOGIN foo pw\r\n");
    site.story.wait_for("A has foo", 1);
    site.done("USER-KICK\tfoo");
    assert_login_kicked(first);
    site.done(&format!("HOST-SET\t{}", site.backend('B')));
    site.done(&format!("HOST-UPDATE\t{}\t0", site.backend('A')));
    site.done(&format!("HOST-FLUSH\t{}", site.backend('A')));
    let mut second = site.connect("imap");
    second.send("a LOGIN foo pw\r\n");
    site.story.wait_for("A has foo", 2);
    site.story.set_slow('A', false);
    assert!(second.line().starts_with("a OK"));
    site.story.wait_for("A lost foo", 1);
    drop(second);
    site.story.wait_for("A lost foo", 2);
    assert!(!site.story.told().iter().any(|line| line.starts_with('B')), "{:?}", site.story.told());
    // Now nothing is left there. The program may take a moment to hear of it, and then the kick delay passes.
    site.reload("A", "director_user_kick_delay = 1 s\n");
    let deadline = Instant::now() + PATIENCE;
    while !site.story.told().contains(&"B took foo".to_owned()) {
        assert!(Instant::now() < deadline, "{:?}", site.story.told());
        drop(site.logged_in("foo"));
        thread::sleep(Duration::from_millis(20));
    }
}

/// The user is moved to B while A has the password and has not answered, though the client is not there any more. The
/// user counts as being at A until A is done, and only then is at B.
fn moved_while_undecided(site: &Site) {
    // The old delay counts for what is being waited for, the new one behind that.
    site.reload("AB", "director_user_kick_delay = 1 s\n");
    site.homing.wait_for_log(&format!("backend {} added", site.backend('B')));
    site.move_user("foo", 'B');
    site.homing.wait_for_log("sessions: 1");
    thread::scope(|scope| {
        let second = scope.spawn(|| site.logged_in("foo"));
        site.story.set_slow('A', false);
        let mut second = second.join().unwrap();
        assert_eq!(second.ask("x"), "echo x");
    });
    let order = ["A took foo", "A lost foo", "B has foo"].map(|text| site.story.position(text));
    assert!(order.is_sorted(), "{:?}", site.story.told());
}

/// The time for a login is over, and the client is told so at once. The backend has the password and may let the user in
/// all the same.
#[test]
fn w01_a_login_that_timed_out_counts_until_the_backend_is_done_with_it() {
    let more = "director_user_kick_delay = 60 s\nlogin_proxy_timeout = 1 s\n";
    let site = Site::start(12, "A", nothing, more);
    site.story.set_slow('A', true);
    let mut first = site.connect("imap");
    let answer = first.ask("a LOGIN foo pw");
    assert!(answer.starts_with("a NO [UNAVAILABLE]"), "{answer}");
    site.story.wait_for("A has foo", 1);
    moved_while_undecided(&site);
}

/// The client breaks its connection off while the backend has the password. That is noticed while the backend is silent,
/// and the place is given back when the backend is done.
#[test]
fn w01_a_client_that_breaks_off_is_noticed_while_the_backend_has_its_password() {
    let site = Site::start(13, "A", nothing, "director_user_kick_delay = 60 s\n");
    site.story.set_slow('A', true);
    let mut first = TcpStream::connect(SocketAddr::new(own(13), port("imap"))).unwrap();
    // Closing while the greeting has not been read resets the connection.
    assert_eq!(first.peek(&mut [0]).unwrap(), 1);
    first.write_all(b"a LOGIN foo pw\r\nb NOOP\r\n").unwrap();
    site.story.wait_for("A has foo", 1);
    drop(first);
    site.homing.wait_for_log("disconnected");
    moved_while_undecided(&site);
}

/// Two login names of one user, as the auth service says, are moved together.
#[test]
fn w02_users_with_a_destuser_are_moved_with_all_their_names() {
    let site = Site::start(3, "A", |_| "destuser=foo".to_owned(), "");
    let sessions = ["alias", "foo", "Other"].map(|name| site.logged_in(name));
    site.story.wait_for("A took foo", 3);
    site.done(&format!("HOST-SET\t{}", site.backend('B')));
    site.move_user("foo", 'B');
    sessions.into_iter().for_each(assert_kicked);
    drop(["alias", "foo"].map(|name| site.logged_in(name)));
    site.story.wait_for("B took foo", 2);
    let told = site.story.told();
    let last_lost = told.iter().rposition(|line| line == "A lost foo").unwrap();
    assert!(last_lost < site.story.position("B has foo"), "{told:?}");
}

/// A master user's session at a user's mailbox is one of the user's: it holds the mapping and is moved with it.
#[test]
fn w03_a_master_login_is_a_session_of_the_user() {
    let site = Site::start(
        4,
        "A",
        |service| if service == "pop3" { "destuser=foo*admin".to_owned() } else { String::new() },
        "",
    );
    let mut master = site.pop3("foo*admin");
    assert_eq!(master.line(), "+OK");
    site.story.wait_for("A took foo*admin", 1);
    // A place for new users, who would all go to B now. The user is not one, as long as the master is there.
    site.done(&format!("HOST-SET\t{}", site.backend('B')));
    site.done(&format!("HOST-REMOVE\t{}", site.backend('A')));
    drop(site.logged_in("foo"));
    site.story.wait_for("A took foo", 1);
    site.move_user("foo", 'B');
    assert_eq!(master.rest(), "");
    drop(site.logged_in("foo"));
    let order = ["A lost foo*admin", "B has foo"].map(|text| site.story.position(text));
    assert!(order.is_sorted(), "{:?}", site.story.told());
}

/// The users of a backend that is removed, by an administrator or by a reload, stay while they have sessions there.
fn removed(net: u8, remove: impl FnOnce(&Site)) {
    let site = Site::start(net, "A", nothing, "");
    let mut first = site.logged_in("foo");
    remove(&site);
    drop(site.logged_in("bar"));
    site.story.wait_for("B took bar", 1);
    let mut second = site.logged_in("foo");
    site.story.wait_for("A took foo", 2);
    for session in [&mut first, &mut second] {
        assert_eq!(session.ask("x"), "echo x", "nobody is kicked");
    }
    drop((first, second));
    site.story.wait_for("A lost foo", 2);
    // The program may take a moment to hear of it.
    let deadline = Instant::now() + PATIENCE;
    while !site.story.told().contains(&"B took foo".to_owned()) {
        assert!(Instant::now() < deadline, "{:?}", site.story.told());
        drop(site.logged_in("foo"));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn w04_a_removal_leaves_users_with_sessions_where_they_are() {
    removed(5, |site| {
        site.done(&format!("HOST-SET\t{}", site.backend('B')));
        site.done(&format!("HOST-REMOVE\t{}", site.backend('A')));
    });
}

/// `shutdown_clients = no`.
#[test]
fn w04_a_reload_leaves_users_with_sessions_where_they_are() {
    removed(6, |site| {
        site.reload("B", "");
        site.homing.wait_for_log(&format!("backend {} removed", site.backend('A')));
    });
}

/// Replies that the reference's login process does not survive cost a session of their own and no other.
#[test]
fn w05_replies_that_cannot_be_proxied_hurt_no_other_session() {
    let fields = |service: &str| match service {
        "pop3" => format!("host={}\tport=1110", own(7)),
        _ => String::new(),
    };
    let site = Site::start(7, "A", fields, "");
    let mut session = site.logged_in("foo");
    for _ in 0..3 {
        let answer = site.pop3("bar").line();
        assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    }
    let line = site.homing.wait_for_log("Proxying loops to itself");
    assert!(line.contains("<bar>"), "{line}");
    assert_eq!(session.ask("x"), "echo x");
}

/// A POP3 session ends with the program, as others do.
#[test]
fn w06_pop3_sessions_end_when_the_program_stops() {
    let mut site = Site::start(8, "A", nothing, "shutdown_clients = yes\n");
    let mut session = site.pop3("foo");
    assert_eq!(session.line(), "+OK");
    assert_eq!(session.ask("x"), "echo x");
    site.homing.signal("TERM");
    assert_eq!(session.rest(), "");
    assert!(site.homing.wait());
    site.story.wait_for("A lost foo", 1);
}

/// And with a reload that is to end sessions, while the program goes on.
#[test]
fn w06_pop3_sessions_end_with_a_reload_that_says_so() {
    let site = Site::start(9, "A", nothing, "shutdown_clients = yes\n");
    let mut session = site.pop3("foo");
    assert_eq!(session.line(), "+OK");
    site.reload("A", "shutdown_clients = yes\n");
    assert_eq!(session.rest(), "");
    drop(site.logged_in("foo"));
}

/// A login that the director has no backend for is logged with its name.
#[test]
fn w36_a_login_without_backend_is_logged_with_its_name() {
    let site = Site::start(10, "", nothing, "");
    let mut client = site.connect("imap");
    let answer = client.ask("a LOGIN foo pw");
    assert!(answer.starts_with("a NO [UNAVAILABLE]"), "{answer}");
    let line = site.homing.wait_for_log("foo");
    assert!(line.contains("proxy(foo)") || line.contains("user=<foo>"), "{line}");
    drop(client);
    let line = site.homing.wait_for_log("internal failure");
    assert!(line.contains("user=<foo>"), "{line}");
}

/// Fifty sessions leave a backend while others log in: none of those is refused or cut off, and the fifty come to the
/// other backend only when they have left the first.
#[test]
fn a_flush_of_fifty_sessions_disturbs_nobody_else() {
    const MANY: usize = 50;
    let site = Site::start(11, "A", nothing, "director_user_kick_delay = 1 s\n");
    let leaving: Vec<_> = (0..MANY).map(|n| site.logged_in(&format!("leaves{n}"))).collect();
    site.done(&format!("HOST-SET\t{}", site.backend('B')));
    site.done(&format!("HOST-UPDATE\t{}\t0", site.backend('A')));
    let mut staying: Vec<_> = (0..10).map(|n| site.logged_in(&format!("stays{n}"))).collect();
    thread::scope(|scope| {
        let site = &site;
        // Users of B, all over again until the last of A has come.
        let others = scope.spawn(move || {
            let arrived =
                || site.story.told().iter().filter(|line| line.starts_with("B took leaves")).count();
            let (mut logins, deadline) = (0, Instant::now() + 2 * PATIENCE);
            while arrived() < MANY {
                assert!(Instant::now() < deadline, "{} have come", arrived());
                let mut session = site.logged_in(&format!("other{}", logins % 20));
                assert_eq!(session.ask("x"), "echo x");
                logins += 1;
            }
            logins
        });
        site.done(&format!("HOST-RESET-USERS\t{}\t{MANY}", site.backend('A')));
        leaving.into_iter().for_each(assert_kicked);
        let again: Vec<_> =
            (0..MANY).map(|n| scope.spawn(move || site.logged_in(&format!("leaves{n}")))).collect();
        again.into_iter().for_each(|login| assert_eq!(login.join().unwrap().ask("x"), "echo x"));
        assert!(others.join().unwrap() > 0);
    });
    staying.iter_mut().for_each(|session| assert_eq!(session.ask("x"), "echo x"));
    let told = site.story.told();
    for n in 0..MANY {
        let order = ["A lost", "B has"].map(|text| site.story.position(&format!("{text} leaves{n}")));
        assert!(order.is_sorted(), "leaves{n}: {told:?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("A took other")), "{told:?}");
}
