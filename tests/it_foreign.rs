//! Login processes of Dovecot forward sessions beside Homing's own, and the real doveadm moves, lists and kicks users
//! through Homing: all their sessions end, and the next ones meet on one backend. Real Dovecot everywhere; needs root,
//! Dovecot 2.3 with IMAP, and dovecot-submissiond for the second protocol.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use homing_login::Service;
use homing_wire::encode_base64;
use support::{
    client::{Client, PATIENCE},
    dovecot::{self, Dovecot},
    homing::Homing,
    ledger::{Ledger, start_backend},
};

const PASSWORD: &str = "correct-horse";
const IMAP: u16 = 143;
const SUBMISSION: u16 = 587;
const HTTP: u16 = 8080;
const HASH_OF_FOO: u32 = 2_898_073_819;

/// Addresses of one site: 127.46.N.x.
#[derive(Clone, Copy)]
struct Net(u8);

impl Net {
    fn at(self, last: u8) -> IpAddr {
        IpAddr::from([127, 46, self.0, last])
    }

    fn dovecot(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.at(1), port)
    }

    fn homing(self) -> SocketAddr {
        SocketAddr::new(self.at(2), IMAP)
    }
}

struct Site {
    net: Net,
    backends: Vec<(IpAddr, Dovecot)>,
    /// Login processes and auth service.
    dovecot: Dovecot,
    homing: Homing,
}

/// How the login processes of Dovecot share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processes {
    OneEach,
    Shared,
}

fn has_submission() -> bool {
    Path::new("/usr/lib/dovecot/submission-login").exists()
}

fn submission(executable: &str, relay: SocketAddr) -> String {
    if !has_submission() {
        return String::new();
    }
    let (host, port) = (relay.ip(), relay.port());
    format!(
        "protocols = imap submission\nhostname = mail.example\nsubmission_relay_host = {host}\nsubmission_relay_port = {port}\n\
         service submission-login {{\n executable = {executable}\n inet_listener submission {{\n  port = {SUBMISSION}\n }}\n}}\n"
    )
}

/// What stands behind a submission service. Without one Dovecot's ends sessions while they are being handed over, which
/// its login process does not survive.
fn relay(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_mail(stream));
        }
    });
    address
}

fn serve_mail(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"220 relay.example\r\n")?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let answer: &[u8] = if line?.starts_with("QUIT") { b"221 bye\r\n" } else { b"250 relay.example\r\n" };
        stream.write_all(answer)?;
    }
    Ok(())
}

fn backend(ip: IpAddr, mail: &Path) -> Dovecot {
    let settings = format!(
        "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
         login_trusted_networks = 127.0.0.0/8\nmail_location = maildir:~/Maildir\n\
         mail_max_userip_connections = 0\n{}\
         service imap-login {{\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home={}/{ip}/%u\n}}\n",
        submission("submission-login", relay(ip)),
        mail.display()
    );
    Dovecot::configured(&settings, |_| TcpStream::connect((ip, IMAP)).is_ok())
}

/// Any password is right here, and is tried at the backend. One process for each connection, as is the default, or one
/// for all.
fn front(net: Net, processes: Processes) -> Dovecot {
    let service_count = if processes == Processes::Shared { 0 } else { 1 };
    let settings = format!(
        "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\nauth_failure_delay = 0\n{}\
         passdb {{\n driver = static\n args = nopassword=y proxy=y\n}}\n\
         service auth {{\n unix_listener auth-login {{\n  mode = 0666\n }}\n}}\n\
         service ipc {{\n unix_listener login/ipc-proxy {{\n  mode = 0\n }}\n}}\n\
         service doveadm {{\n inet_listener http {{\n  port = {HTTP}\n }}\n}}\ndoveadm_api_key = {PASSWORD}\n\
         service imap-login {{\n executable = imap-login director\n service_count = {service_count}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n",
        submission("submission-login director", SocketAddr::new(net.at(1), 25)),
        ip = net.at(1)
    );
    Dovecot::configured(&settings, |base| UnixStream::connect(base.join("auth-login")).is_ok())
}

fn configuration(net: Net, base: &Path, state: &Path, backends: &[IpAddr]) -> String {
    let backends: Vec<_> = backends.iter().map(ToString::to_string).collect();
    format!(
        "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
         login_auth_socket_path = {base}/auth-login\ndirector_mail_servers = {backends}\n\
         director_user_kick_delay = 1 secs\nservice imap-login {{\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         service director {{\n unix_listener {base}/login/director {{\n  mode = 0666\n }}\n \
         fifo_listener {base}/login/proxy-notify {{\n  mode = 0666\n }}\n}}\n\
         service ipc {{\n unix_listener {base}/login/ipc-proxy {{\n  mode = 0666\n }}\n}}\n\
         director_state_dir = {state}\n",
        ip = net.at(2),
        state = state.display(),
        base = base.display(),
        backends = backends.join(" ")
    )
}

impl Site {
    /// `None`, with a printed reason, where Dovecot cannot run.
    fn start(net: Net, processes: Processes, real_backends: &[u8], others: &[u8]) -> Option<Self> {
        Self::start_with(net, processes, real_backends, others, "")
    }

    fn start_with(
        net: Net,
        processes: Processes,
        real_backends: &[u8],
        others: &[u8],
        more: &str,
    ) -> Option<Self> {
        if let Some(reason) = dovecot::missing() {
            eprintln!("SKIPPED: {reason}; nothing was checked against it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mail = folder.path().join("mail");
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::create_dir(&mail).unwrap();
        for folder in [folder.path(), &mail] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let start = |last: &u8| {
            let ip = net.at(*last);
            let home = mail.join(ip.to_string());
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
            (ip, backend(ip, &mail))
        };
        let backends: Vec<_> = real_backends.iter().map(start).collect();
        let dovecot = front(net, processes);
        let base = dovecot.base_dir();
        let all: Vec<_> = real_backends.iter().chain(others).map(|last| net.at(*last)).collect();
        let homing = Homing::start_in(
            folder,
            |path| configuration(net, &base, &path.join("state"), &all) + more,
            net.homing(),
        );
        Some(Self { net, backends, dovecot, homing })
    }

    fn imap_through_dovecot(&self, user: &str) -> Client {
        imap(self.net.dovecot(IMAP), user)
    }

    fn imap_through_homing(&self, user: &str) -> Client {
        imap(self.net.homing(), user)
    }

    /// `None` without dovecot-submissiond.
    fn submission_through_dovecot(&self, user: &str) -> Option<Client> {
        if !has_submission() {
            eprintln!("SKIPPED: dovecot-submissiond is not installed; submission was not checked");
            return None;
        }
        let mut client = Client::greeted(self.net.dovecot(SUBMISSION));
        client.send("EHLO client.example\r\n");
        while client.line().starts_with("250-") {}
        let plain = encode_base64(format!("\0{user}\0{PASSWORD}").as_bytes());
        let answer = client.ask(&format!("AUTH PLAIN {plain}"));
        assert!(answer.starts_with("235"), "{answer}\n{}", self.dovecot.log());
        Some(client)
    }

    fn doveadm(&self, words: &str) -> String {
        doveadm(&self.dovecot, &self.homing, words)
    }

    /// Logins of a user at each backend, in all protocols.
    fn logins(&self, user: &str) -> Vec<(IpAddr, usize)> {
        let user = format!("user=<{user}>");
        let count = |dovecot: &Dovecot| {
            let log = dovecot.log();
            log.lines().filter(|line| line.contains("-login: Info: Login: ") && line.contains(&user)).count()
        };
        self.backends.iter().map(|(ip, dovecot)| (*ip, count(dovecot))).filter(|(_, n)| *n > 0).collect()
    }

    /// Waits until the one backend that has seen the user has seen so many logins.
    fn home(&self, user: &str, count: usize) -> IpAddr {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.logins(user).as_slice() {
                [(ip, found)] if *found == count => return *ip,
                found => assert!(Instant::now() < deadline && found.len() < 2, "{found:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn doveadm(dovecot: &Dovecot, homing: &Homing, words: &str) -> String {
    let configuration = dovecot.base_dir().with_file_name("dovecot.conf");
    let mut words: Vec<_> = words.split(' ').collect();
    let socket = match words[0] {
        "proxy" => homing.folder().join("ipc"),
        _ => homing.folder().join("director-admin"),
    };
    let socket = socket.display().to_string();
    words.splice(2..2, ["-a", socket.as_str()]);
    let output = Command::new("doveadm").arg("-c").arg(configuration).args(&words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn imap(address: SocketAddr, user: &str) -> Client {
    let mut client = Client::greeted(address);
    client.send(format!("a LOGIN {user} {PASSWORD}\r\n").as_bytes());
    until_logged_in(&mut client);
    client
}

fn until_logged_in(client: &mut Client) {
    loop {
        let line = client.line();
        assert!(!line.starts_with("a NO") && !line.starts_with("* BYE"), "{line}");
        if line.starts_with("a OK") {
            return;
        }
    }
}

/// True if the connection is at its end already.
fn has_ended(client: &Client) -> bool {
    let mut stream = client.stream();
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.read(&mut [0; 512]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn dr_83_dr_46_a_moved_user_leaves_in_all_processes_and_meets_on_the_new_backend() {
    for (net, processes) in [(Net(1), Processes::OneEach), (Net(5), Processes::Shared)] {
        move_somebody(net, processes);
    }
}

fn move_somebody(net: Net, processes: Processes) {
    let Some(site) = Site::start(net, processes, &[11, 12], &[]) else { return };
    let user = "foo";
    let mut sessions = vec![site.imap_through_dovecot(user), site.imap_through_homing(user)];
    sessions.extend(site.submission_through_dovecot(user));
    let home = site.home(user, sessions.len());
    let other = site.backends.iter().map(|(ip, _)| *ip).find(|ip| *ip != home).unwrap();
    site.doveadm(&format!("director move {user} {other}"));
    // The default for director_user_expire is 15 minutes: only the kicks can have let them in.
    let mut next = vec![site.imap_through_dovecot(user)];
    assert!(sessions.iter().all(has_ended), "the old sessions had to end before");
    next.push(site.imap_through_homing(user));
    next.extend(site.submission_through_dovecot(user));
    let expected = |ip| if ip == home { sessions.len() } else { next.len() };
    let deadline = Instant::now() + PATIENCE;
    while site.logins(user).iter().any(|(ip, count)| *count != expected(*ip)) {
        assert!(Instant::now() < deadline, "{:?}", site.logins(user));
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = site.dovecot.log();
    assert!(log.contains("Kicked via director") || log.contains("disconnecting foo"), "{log}");
}

/// The program ends and starts again, and the login process forwards all the while. Only then is the user moved: the
/// next session has to wait until the login process is back at the hub and has ended the old one.
#[test]
fn w07_a_session_of_another_process_outlives_a_restart_and_ends_before_the_next_one_begins() {
    let sites = [
        (Net(17), Processes::OneEach, "TERM", false),
        (Net(18), Processes::Shared, "KILL", false),
        (Net(19), Processes::OneEach, "TERM", true),
    ];
    let threads = sites.map(|(net, processes, signal, is_moving)| {
        std::thread::spawn(move || restart_beside_a_session(net, processes, signal, is_moving))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// `is_moving`: the move has begun before, and nobody could end the session.
fn restart_beside_a_session(net: Net, processes: Processes, signal: &str, is_moving: bool) {
    // Logins have little time at backends, so that soon after a restart none can be under way that began before.
    let more = "login_proxy_timeout = 1 secs\n";
    let Some(mut site) = Site::start_with(net, processes, &[11, 12], &[], more) else { return };
    let user = "foo";
    // Its login process comes back in any case.
    let _other = site.imap_through_dovecot("bar");
    let old = site.imap_through_dovecot(user);
    let home = site.home(user, 1);
    let other = site.backends.iter().map(|(ip, _)| *ip).find(|ip| *ip != home).unwrap();
    let state = site.homing.folder().join("state/director.state");
    let of_user =
        |line: &str, what: &str| line.contains(&format!("user\t{HASH_OF_FOO}\t")) && line.contains(what);
    let written = |what: &str| {
        fs::read_to_string(&state).is_ok_and(|text| text.lines().any(|line| of_user(line, what)))
    };
    let until_written = |what: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !written(what) {
            assert!(Instant::now() < deadline, "{what} is not in {}", state.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until_written("\tsession@");
    let words = format!("director move {user} {other}");
    if is_moving {
        site.dovecot.freeze(|| {
            doveadm(&site.dovecot, &site.homing, &words);
            until_written("moved-operator");
            site.homing.restart(signal, net.homing());
        });
    } else {
        site.homing.restart(signal, net.homing());
        site.doveadm(&words);
    }
    let _next = site.imap_through_homing(user);
    assert!(has_ended(&old), "the old session had to end before\n{}", site.homing.log());
    assert_eq!(site.logins(user).iter().find(|(ip, _)| *ip == home), Some(&(home, 1)));
    assert!(site.homing.log().contains("with sessions of other login processes: 2"));
}

#[test]
fn w25_sessions_of_all_processes_are_in_one_list_and_one_count() {
    let Some(site) = Site::start(Net(2), Processes::OneEach, &[11], &[]) else { return };
    let sessions =
        [site.imap_through_dovecot("foo"), site.imap_through_dovecot("bar"), site.imap_through_homing("foo")];
    let list = loop {
        // A login process comes to the hub a moment after its session has begun.
        let list = site.doveadm("proxy list");
        if list.lines().count() == 1 + sessions.len() {
            break list;
        }
    };
    assert_eq!(list.matches("username").count(), 1, "{list}");
    assert_eq!(list.lines().filter(|line| line.starts_with("foo ")).count(), 2, "{list}");
    assert_eq!(site.doveadm("proxy kick foo"), "2 connections kicked\n");
    assert_eq!(site.doveadm("proxy kick b*"), "1 connections kicked\n");
    for mut session in sessions {
        session.rest();
    }
    // And with the word that goes to the director.
    let mut session = site.imap_through_dovecot("foo");
    while site.doveadm("proxy list").lines().count() == 1 {}
    site.doveadm("director kick foo");
    session.rest();
}

/// A backend that takes its time: the user is moved while the login process waits for it.
#[test]
fn w01_a_login_in_progress_in_another_process_keeps_the_user_from_a_second_backend() {
    let Some(site) = Site::start(Net(3), Processes::OneEach, &[11], &[12]) else { return };
    let slow = TcpListener::bind((site.net.at(12), IMAP)).unwrap();
    site.doveadm(&format!("director move foo {}", site.net.at(12)));
    let mut waiting = Client::greeted(site.net.dovecot(IMAP));
    waiting.send(format!("a LOGIN foo {PASSWORD}\r\n").as_bytes());
    let (mut there, _) = slow.accept().unwrap();
    // Longer than any answer is taken to be on the way.
    std::thread::sleep(Duration::from_secs(2));
    site.doveadm(&format!("director move foo {}", site.net.at(11)));
    // A second login, through Homing: it must wait for the first.
    let mut next = Client::greeted(site.net.homing());
    next.send(format!("a LOGIN foo {PASSWORD}\r\n").as_bytes());
    std::thread::sleep(Duration::from_secs(3));
    assert!(site.logins("foo").is_empty(), "the first login goes on at the old backend");
    // Now that comes about, and its process can be told to end it.
    there.write_all(b"* OK [CAPABILITY IMAP4rev1] slow\r\n").unwrap();
    let mut said = String::new();
    while !said.contains("LOGIN") && !said.contains("AUTHENTICATE") {
        let mut bytes = [0; 512];
        let count = there.read(&mut bytes).unwrap();
        assert!(count > 0, "{said}");
        said = String::from_utf8_lossy(&bytes[..count]).into_owned();
        if said.contains(" CAPABILITY") {
            there.write_all(b"* CAPABILITY IMAP4rev1\r\nC OK done\r\n").unwrap();
        }
    }
    let tag = said.lines().last().unwrap().split(' ').next().unwrap().to_owned();
    there.write_all(format!("{tag} OK [CAPABILITY IMAP4rev1] logged in\r\n").as_bytes()).unwrap();
    waiting.rest();
    until_logged_in(&mut next);
    assert_eq!(site.home("foo", 1), site.net.at(11));
}

impl Site {
    /// A command through the real doveadm's HTTP interface; what it answers.
    fn over_http(&self, command: &str, parameters: &str) -> String {
        let socket = self.homing.folder().join("director-admin");
        let body = format!(r#"[["{command}",{{"socketPath":"{}"{parameters}}},"tag"]]"#, socket.display());
        let key = encode_base64(PASSWORD.as_bytes());
        let request = format!(
            "POST /doveadm/v1 HTTP/1.0\r\nHost: x\r\nAuthorization: X-Dovecot-API {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.net.dovecot(HTTP)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
        answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
    }
}

#[test]
fn dr_92_the_http_interface_of_the_real_doveadm_reaches_the_director() {
    let Some(site) = Site::start(Net(4), Processes::OneEach, &[], &[11, 12]) else { return };
    let done = r#"[["doveadmResponse",[],"tag"]]"#;
    let where_is_foo = || site.over_http("directorStatus", r#","user":"foo""#);
    assert!(where_is_foo().contains(r#""status":"n/a""#));
    assert_eq!(site.over_http("directorMove", r#","user":"foo","host":"127.46.4.11""#), done);
    assert!(where_is_foo().contains(r#""status":"127.46.4.11""#));
    assert_eq!(site.over_http("directorDown", r#","host":"127.46.4.12""#), done);
    assert_eq!(site.over_http("directorUpdate", r#","host":"127.46.4.12","vhostCount":"7""#), done);
    let status = site.over_http("directorStatus", "");
    let first = r#"{"mail server ip":"127.46.4.11","tag":"","vhosts":"100","state":"up","state-changed":"-","users":"1"}"#;
    assert!(status.contains(first), "{status}");
    assert!(status.contains(r#""vhosts":"7","state":"down""#), "{status}");
    assert!(site.over_http("directorDump", "").contains(r#""host":"127.46.4.12","vhost_count":"7""#));
    for (command, parameters) in
        [("directorFlush", r#","host":"127.46.4.11""#), ("directorKick", r#","user":"foo""#)]
    {
        assert_eq!(site.over_http(command, parameters), done, "{command}");
    }
    let unknown = site.over_http("directorRemove", r#","host":"127.46.4.99""#);
    assert!(unknown.contains(r#""exitCode":68"#), "{unknown}");
}

/// How long users come and go while they are moved.
const RUSH: Duration = Duration::from_secs(12);

/// Logs in and stays for a moment; true if that was a session.
fn come_and_go(address: SocketAddr, user: &str, stay: Duration) -> bool {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(format!("a LOGIN {user} {PASSWORD}\r\n").as_bytes()).unwrap();
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let is_in = lines.take_while(|line| !line.starts_with("a NO")).any(|line| line.starts_with("a OK"));
    std::thread::sleep(stay);
    is_in
}

/// Somebody logs in without end, half of the time through Dovecot.
fn rush(net: Net, number: u64, end: Instant) -> [usize; 2] {
    let mut sessions = [0, 0];
    let mut random = number * 7919 + 1;
    while Instant::now() < end {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let through_dovecot = random >> 40 & 1 == 1;
        let address = if through_dovecot { net.dovecot(IMAP) } else { net.homing() };
        let stay = Duration::from_millis(random >> 50 & 2047);
        let user = format!("user{}", number % 3);
        sessions[usize::from(through_dovecot)] += usize::from(come_and_go(address, &user, stay));
    }
    sessions
}

#[test]
fn no_user_is_on_two_backends_while_everybody_is_moved() {
    for (net, processes) in [(Net(6), Processes::OneEach), (Net(7), Processes::Shared)] {
        let Some(site) = Site::start(net, processes, &[], &[11, 12]) else { return };
        let ledger = std::sync::Arc::new(Ledger::slow(Duration::from_millis(1200)));
        for last in [11, 12] {
            start_backend(net.at(last), Service::Imap, IMAP, &ledger);
        }
        let end = Instant::now() + RUSH;
        let users: Vec<_> = (0..9).map(|number| std::thread::spawn(move || rush(net, number, end))).collect();
        let mut moves = 0;
        while Instant::now() < end {
            for number in 0..3 {
                let target = net.at(11 + (moves % 2) as u8);
                let socket = site.homing.folder().join("director-admin");
                let mut doveadm = Command::new("doveadm");
                doveadm.arg("-c").arg(site.dovecot.base_dir().with_file_name("dovecot.conf"));
                doveadm.args(["director", "move", "-a"]).arg(socket);
                // Refused while the move before goes on.
                let _ = doveadm.args([format!("user{number}"), target.to_string()]).output().unwrap();
                moves += 1;
            }
            // Long enough for some to get in.
            std::thread::sleep(Duration::from_secs(2));
        }
        let sessions = users.into_iter().map(|user| user.join().unwrap());
        let [own, foreign] = sessions.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
        println!("{processes:?}: {own} sessions through Homing, {foreign} through Dovecot");
        let overlaps = ledger.overlaps.lock().unwrap();
        assert!(overlaps.is_empty(), "{processes:?}: {overlaps:?}\n{}", site.homing.log());
        let used = ledger.used.lock().unwrap();
        assert!(used.len() == 2 && own + foreign > 0, "{used:?}");
    }
}
