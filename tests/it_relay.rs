//! Dovecot's own login process and LMTP proxy ask Homing's director, beside Homing's own front-end: whichever way a
//! user comes, there is one backend. Real Dovecot everywhere; needs root and Dovecot 2.3 with IMAP and LMTP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
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
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = uid=65534 gid=65534 home={}/{ip}/%u\n}}\n",
        mail.display()
    );
    Dovecot::configured(&settings, |_| is_open((ip, IMAP).into()) && is_open((ip, LMTP).into()))
}

/// Any password is right here, and is tried at the backend.
fn front(net: Net) -> Dovecot {
    let settings = format!(
        "protocols = imap lmtp\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\nauth_failure_delay = 0\n\
         passdb {{\n driver = static\n args = nopassword=y proxy=y\n}}\n\
         service auth {{\n unix_listener auth-login {{\n  mode = 0666\n }}\n unix_listener auth-userdb {{\n  mode = 0666\n }}\n}}\n\
         service imap-login {{\n executable = imap-login director\n inet_listener imaps {{\n  port = 0\n }}\n}}\n\
         lmtp_proxy = yes\nprotocol lmtp {{\n auth_socket_path = director-userdb\n}}\n\
         service lmtp {{\n inet_listener lmtp {{\n  port = {LMTP}\n }}\n}}\n",
        ip = net.at(1)
    );
    Dovecot::configured(&settings, |base| {
        is_open(net.dovecot(LMTP)) && UnixStream::connect(base.join("auth-login")).is_ok()
    })
}

fn configuration(net: Net, base: &Path, backends: &[IpAddr]) -> String {
    let backends: Vec<_> = backends.iter().map(IpAddr::to_string).collect();
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
