//! Dovecot's own login process and LMTP proxy ask Homing's director, beside Homing's own front-end: whichever way a
//! user comes, there is one backend. Real Dovecot everywhere; needs root and Dovecot 2.3 with IMAP and LMTP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    fs,
    io::Read,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use homing_login::Service;
use support::{
    client::{Client, PATIENCE},
    dovecot::{self, Dovecot},
    homing::Homing,
};

const PASSWORD: &str = "correct-horse";
const USERS: usize = 20;

/// Ports of the protocols: the addresses are our own, and Dovecot proxies go to these if not told otherwise.
const IMAP: u16 = 143;
const LMTP: u16 = 24;
const DOVEADM: u16 = 24245;

/// Addresses of one site: 127.40.N.x.
#[derive(Clone, Copy)]
struct Net(u8);

impl Net {
    fn at(self, last: u8) -> IpAddr {
        IpAddr::from([127, 40, self.0, last])
    }

    fn dovecot(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.at(1), port)
    }

    fn homing(self) -> SocketAddr {
        SocketAddr::new(self.at(2), IMAP)
    }

    fn backends(self) -> [IpAddr; 2] {
        [self.at(11), self.at(12)]
    }
}

struct Site {
    net: Net,
    backends: Vec<(IpAddr, Dovecot)>,
    /// Login process, LMTP proxy and auth service.
    dovecot: Dovecot,
    homing: Homing,
}

fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

fn backend(ip: IpAddr, mail: &Path) -> Dovecot {
    let settings = format!(
        "protocols = imap lmtp\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
         login_trusted_networks = 127.0.0.0/8\nmail_location = maildir:~/Maildir\n\
         mail_max_userip_connections = 0\n\
         service imap-login {{\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n  port = {LMTP}\n }}\n}}\n\
         service doveadm {{\n inet_listener {{\n  port = {DOVEADM}\n }}\n}}\ndoveadm_password = {PASSWORD}\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home={}/{ip}/%u\n}}\n",
        mail.display()
    );
    Dovecot::configured(&settings, |_| is_open((ip, IMAP).into()) && is_open((ip, LMTP).into()))
}

/// Any password is right here, and is tried at the backend. Domains are tags.
fn front(net: Net) -> Dovecot {
    let settings = format!(
        "protocols = imap lmtp\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\nauth_failure_delay = 0\n\
         passdb {{\n driver = static\n args = nopassword=y proxy=y director_tag=%Ld\n}}\n\
         service auth {{\n unix_listener auth-login {{\n  mode = 0666\n }}\n unix_listener auth-userdb {{\n  mode = 0666\n }}\n}}\n\
         service imap-login {{\n executable = imap-login director\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         lmtp_proxy = yes\nprotocol lmtp {{\n auth_socket_path = director-userdb\n}}\n\
         doveadm_port = {DOVEADM}\ndoveadm_password = {PASSWORD}\n\
         protocol doveadm {{\n auth_socket_path = director-userdb\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n  port = {LMTP}\n }}\n}}\n",
        ip = net.at(1)
    );
    Dovecot::configured(&settings, |base| {
        is_open(net.dovecot(LMTP)) && UnixStream::connect(base.join("auth-login")).is_ok()
    })
}

fn configuration(net: Net, base: &Path, backends: &[IpAddr]) -> String {
    let backends: Vec<_> = backends.iter().map(|ip| format!("{ip}@example.com")).collect();
    format!(
        "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\nshutdown_clients = no\n\
         login_auth_socket_path = {base}/auth-login\ndirector_mail_servers = {backends}\n\
         director_user_expire = 10 secs\nservice imap-login {{\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         service director {{\n unix_listener {base}/login/director {{\n  mode = 0666\n }}\n \
         fifo_listener {base}/login/proxy-notify {{\n  mode = 0666\n }}\n \
         unix_listener {base}/director-userdb {{\n  mode = 0666\n }}\n}}\n",
        ip = net.at(2),
        base = base.display(),
        backends = backends.join(" ")
    )
}

impl Site {
    /// `None`, with a printed reason, where Dovecot cannot run.
    fn start(net: Net) -> Option<Self> {
        let lmtp = Path::new("/usr/lib/dovecot/lmtp");
        let missing = dovecot::missing().or((!lmtp.exists()).then_some("Dovecot has no LMTP server"));
        if let Some(reason) = missing {
            eprintln!("SKIPPED: {reason}; nothing was checked against it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mail = folder.path().join("mail");
        fs::create_dir(&mail).unwrap();
        for folder in [folder.path(), &mail] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let backends = net.backends().map(|ip| {
            let home = mail.join(ip.to_string());
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
            (ip, backend(ip, &mail))
        });
        let dovecot = front(net);
        let base = dovecot.base_dir();
        let homing = Homing::start_in(folder, |_| configuration(net, &base, &net.backends()), net.homing());
        Some(Self { net, backends: backends.into(), dovecot, homing })
    }

    fn reload(&self, backends: &[IpAddr]) {
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", self.homing.folder().display());
        let text = configuration(self.net, &self.dovecot.base_dir(), backends);
        fs::write(self.homing.config(), own + &text).unwrap();
        self.homing.signal("HUP");
    }

    fn through_dovecot(&self, user: &str) -> Client {
        logged_in(self.net.dovecot(IMAP), user)
    }

    fn through_homing(&self, user: &str) -> Client {
        logged_in(self.net.homing(), user)
    }

    fn deliver(&self, user: &str) {
        let mut client = Client::greeted(self.net.dovecot(LMTP));
        client.send("LHLO client.example\r\n");
        while client.line().starts_with("250-") {}
        let mut expect = |line: &str, start: &str| {
            let answer = client.ask(line);
            assert!(answer.starts_with(start), "{line}: {answer}");
        };
        expect("MAIL FROM:<sender@example.com>", "250");
        expect(&format!("RCPT TO:<{user}>"), "250");
        expect("DATA", "354");
        expect("Subject: x\r\n\r\nhello\r\n.", "250");
    }

    /// Subjects of the messages that an administrator finds with the user.
    fn subjects(&self, user: &str) -> String {
        let configuration = self.dovecot.base_dir().with_file_name("dovecot.conf");
        let mut doveadm = Command::new("doveadm");
        doveadm.arg("-c").arg(configuration).args(["fetch", "-u", user, "hdr.subject", "ALL"]);
        let output = doveadm.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Lines in the logs of the backends, one of which must have all `count`.
    fn home(&self, what: &str, user: &str, count: usize) -> IpAddr {
        let lines = |dovecot: &Dovecot| {
            let log = dovecot.log();
            log.lines().filter(|line| line.contains(what) && line.contains(user)).count()
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found: Vec<_> = self.backends.iter().map(|(ip, dovecot)| (*ip, lines(dovecot))).collect();
            let home = found.iter().filter(|(_, lines)| *lines > 0).collect::<Vec<_>>();
            assert!(home.len() < 2, "{user} is on two backends: {found:?}");
            match home.as_slice() {
                [(ip, lines)] if *lines == count => return *ip,
                _ => assert!(Instant::now() < deadline, "{user}: {found:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often a user has logged in at a backend.
    fn logins(&self, ip: IpAddr, user: &str) -> usize {
        let (_, backend) = self.backends.iter().find(|(own, _)| *own == ip).unwrap();
        backend.logins(Service::Imap, user).len()
    }
}

fn logged_in(address: SocketAddr, user: &str) -> Client {
    let mut client = Client::greeted(address);
    client.send(format!("a LOGIN {user} {PASSWORD}\r\n").as_bytes());
    loop {
        let line = client.line();
        assert!(!line.starts_with("a NO") && !line.starts_with("* BYE"), "{user}: {line}");
        if line.starts_with("a OK") {
            return client;
        }
    }
}

#[test]
fn di_01_di_06_whichever_way_a_user_comes_there_is_one_backend() {
    let Some(site) = Site::start(Net(5)) else { return };
    let mut homes = Vec::new();
    for number in 0..USERS {
        let user = format!("user{number}@example.com");
        let _sessions = match number % 3 {
            0 => (site.through_dovecot(&user), site.through_homing(&user)),
            1 => {
                let own = site.through_homing(&user);
                (site.through_dovecot(&user), own)
            }
            _ => {
                site.deliver(&user);
                (site.through_dovecot(&user), site.through_homing(&user))
            }
        };
        if number % 3 < 2 {
            site.deliver(&user);
        }
        let home = site.home("imap-login: Info: Login: ", &format!("<{user}>"), 2);
        assert_eq!(site.home("saved mail to INBOX", &format!("lmtp({user})"), 1), home, "{user}");
        if number < 4 {
            assert_eq!(site.subjects(&user), "hdr.subject: x", "{user}");
        }
        homes.push(home);
    }
    homes.sort_unstable();
    homes.dedup();
    assert_eq!(homes.len(), 2, "users are spread");
}

#[test]
fn di_07_the_auth_service_goes_away_and_comes_back() {
    let Some(site) = Site::start(Net(6)) else { return };
    let session = site.through_dovecot("user1@example.com");
    let mut idle = Client::greeted(site.net.dovecot(IMAP));
    site.dovecot.stop_child("auth");
    site.homing.wait_for_log("auth: Auth server disconnected unexpectedly");
    drop(site.through_dovecot("user2@example.com"));
    drop(site.through_homing("user2@example.com"));
    // A login process that has greeted finds the service again.
    idle.send(format!("a LOGIN user1@example.com {PASSWORD}\r\n").as_bytes());
    while !idle.line().starts_with("a OK") {}
    let _home = site.home("imap-login: Info: Login: ", "<user1@example.com>", 2);
    drop(session);
}

#[test]
fn di_05_a_login_without_backend_fails_for_now_and_the_login_process_says_so() {
    let Some(site) = Site::start(Net(8)) else { return };
    let mut client = Client::greeted(site.net.dovecot(IMAP));
    client.send(format!("a LOGIN user@elsewhere.example {PASSWORD}\r\n"));
    let mut delivery = Client::greeted(site.net.dovecot(LMTP));
    delivery.send("LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<user@elsewhere.example>\r\n");
    while delivery.line().starts_with("250-") {}
    assert!(delivery.line().starts_with("250"));
    let mut answer = client.line();
    while answer.starts_with("* ") {
        answer = client.line();
    }
    assert!(answer.starts_with("a NO [UNAVAILABLE] Temporary authentication failure."), "{answer}");
    let told = "director: Error: director: User user@elsewhere.example host lookup failed: Timeout because no hosts - queued for 30 secs (hash=";
    site.homing.wait_for_log(told);
    let answer = delivery.line();
    assert!(answer.starts_with("451 4.3.0"), "{answer}");
}

/// The session lives longer than `director_user_expire`; only its reports can have kept the user there.
#[test]
fn reports_of_a_real_login_process_keep_the_user_where_the_session_is() {
    let Some(site) = Site::start(Net(7)) else { return };
    let user = "user0@example.com";
    let session = site.through_dovecot(user);
    let home = site.home("imap-login: Info: Login: ", "<user0@example.com>", 1);
    let other = site.net.backends().into_iter().find(|ip| *ip != home).unwrap();
    site.reload(&[other]);
    site.homing.wait_for_log(&format!("backend {home} removed"));
    // Twice the time after which an unreported session is given up; each report counts from its own moment.
    std::thread::sleep(Duration::from_secs(21));
    drop(site.through_homing(user));
    assert_eq!((site.logins(home, user), site.logins(other, user)), (2, 0));
    drop(session);
    let deadline = Instant::now() + PATIENCE;
    while site.logins(other, user) == 0 {
        assert!(Instant::now() < deadline, "still there\n{}", site.homing.log());
        std::thread::sleep(Duration::from_secs(1));
        drop(site.through_homing(user));
    }
}

/// Whose the process is, once it has given up root.
fn uid_after_start(homing: &Homing) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", homing.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
        match line.split_whitespace().nth(2).unwrap().parse().unwrap() {
            0 => assert!(Instant::now() < deadline, "still root"),
            uid => return uid,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Without an auth service a connection ends by itself, once somebody has tried to find it.
fn is_served(socket: &Path) -> bool {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read(&mut [0]).unwrap() == 0
}

/// Starts as root where the tests run as root, and goes on as somebody else.
#[test]
fn sockets_have_their_owner_outlive_no_program_and_are_not_taken_from_one() {
    let sockets = tempfile::tempdir().unwrap();
    fs::set_permissions(sockets.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = fs::metadata(sockets.path()).unwrap().uid() == 0;
    let (login_user, owner) = if is_root { ("nobody", " user = nobody\n") } else { ("", "") };
    let (socket, fifo) = (sockets.path().join("login/director"), sockets.path().join("login/proxy-notify"));
    let ready = SocketAddr::from(([127, 40, 9, 1], 1143));
    let configure = |_: &Path| {
        format!(
            "protocols = imap\nlisten = {}\nssl = no\ndefault_login_user = {login_user}\n\
             service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
             service director {{\n unix_listener {} {{\n mode = 0660\n{owner} }}\n \
             fifo_listener {} {{\n mode = 0622\n{owner} }}\n}}\n",
            ready.ip(),
            socket.display(),
            fifo.display()
        )
    };
    // The second one finds what the first one, killed, has left.
    for _ in 0..2 {
        let homing = Homing::start(configure, ready);
        let nobody = uid_after_start(&homing);
        for (path, mode) in [(&socket, 0o660), (&fifo, 0o622)] {
            let made = fs::metadata(path).unwrap();
            assert_eq!((made.mode() & 0o7777, made.uid()), (mode, nobody), "{}", path.display());
        }
        assert!(is_served(&socket));
    }
    assert!(UnixStream::connect(&socket).is_err() && socket.exists());

    let mut homing = Homing::start(configure, ready);
    let other = tempfile::tempdir().unwrap();
    let text =
        format!("base_dir = {0}\nlog_path = {0}/log\n", other.path().display()) + &configure(other.path());
    fs::write(other.path().join("homing.conf"), text.replace("port = 1143", "port = 1144")).unwrap();
    let mut second = Command::new(env!("CARGO_BIN_EXE_homing"));
    let output = second.args(["run", "-c"]).arg(other.path().join("homing.conf")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("service director: cannot make {}: another program serves it", socket.display());
    assert!(said.contains(&expected), "{said}");
    assert!(is_served(&socket), "by the first one");

    homing.signal("TERM");
    assert!(homing.wait());
    // Without the right to remove files there they stay, and nobody serves them.
    assert_eq!(socket.exists(), is_root);
    assert!(UnixStream::connect(&socket).is_err());
}
