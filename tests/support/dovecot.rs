//! Real Dovecot instances, each in a folder of its own: mail servers, and an auth service. Ended on drop.
//!
//! Debian's 2.3.19.1 is what they are written for. They need root, as Dovecot does.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use homing_login::Service;

use super::{certificate, client::PATIENCE};

/// Between two looks at something that is awaited.
const STEP: Duration = Duration::from_millis(20);

/// How long an instance may take to end its processes.
const STOP_TIME: Duration = Duration::from_secs(20);

/// Why nothing here can run, if so.
pub fn missing() -> Option<&'static str> {
    let uid = Command::new("id").arg("-u").output().unwrap();
    if uid.stdout.trim_ascii() != b"0" {
        return Some("Dovecot needs root");
    }
    let version = Command::new("dovecot").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"2.3.")) {
        return Some("Dovecot 2.3 is not installed");
    }
    let is_there = |name: &str| Path::new("/usr/lib/dovecot").join(name).exists();
    (!["imap-login", "pop3-login", "managesieve-login"].iter().all(|name| is_there(name)))
        .then_some("a protocol of Dovecot is not installed")
}

/// Ports that are free on every address.
pub fn free_ports<const N: usize>(addresses: &[IpAddr]) -> [u16; N] {
    let mut held: Vec<TcpListener> = Vec::new();
    std::array::from_fn(|_| {
        loop {
            let first = TcpListener::bind((addresses[0], 0)).unwrap();
            let port = first.local_addr().unwrap().port();
            let others: Result<Vec<_>, _> =
                addresses[1..].iter().map(|ip| TcpListener::bind((*ip, port))).collect();
            if let Ok(others) = others {
                held.push(first);
                held.extend(others);
                return port;
            }
        }
    })
}

/// The ports of one server.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    plain: [u16; 3],
    tls: [u16; 3],
}

impl Ports {
    /// Ports that are free on every address.
    pub fn free(addresses: &[IpAddr]) -> Self {
        let [a, b, c, d, e, f] = free_ports(addresses);
        Self { plain: [a, b, c], tls: [d, e, f] }
    }

    /// Without TLS, or with STARTTLS.
    pub fn plain(&self, service: Service) -> u16 {
        self.plain[index(service)]
    }

    /// TLS from the start.
    pub fn tls(&self, service: Service) -> u16 {
        self.tls[index(service)]
    }

    /// True if all of them accept connections.
    pub fn are_open(&self, ip: IpAddr) -> bool {
        let all = self.plain.iter().chain(&self.tls);
        let open = |port: u16| TcpStream::connect_timeout(&SocketAddr::new(ip, port), PATIENCE).is_ok();
        all.copied().all(open)
    }

    /// `service` blocks for Dovecot and for Homing.
    pub fn listeners(&self) -> String {
        [(Service::Imap, "imap"), (Service::Pop3, "pop3"), (Service::Sieve, "sieve")]
            .map(|(service, name)| {
                format!(
                    "service {} {{\n inet_listener {name} {{\n  port = {}\n }}\n \
                     inet_listener {name}s {{\n  port = {}\n  ssl = yes\n }}\n}}\n",
                    service.login_name(),
                    self.plain(service),
                    self.tls(service)
                )
            })
            .concat()
    }
}

fn index(service: Service) -> usize {
    match service {
        Service::Imap => 0,
        Service::Pop3 => 1,
        Service::Sieve => 2,
    }
}

/// A running instance and its folder.
pub struct Dovecot {
    child: Child,
    folder: tempfile::TempDir,
}

impl Dovecot {
    /// A mail server for any user with this password. It believes proxies on loopback, and its greeting is
    /// `backend IP`.
    pub fn backend(ip: IpAddr, ports: &Ports, password: &str) -> Self {
        Self::backend_with(ip, ports, password, "")
    }

    /// The same with more settings.
    pub fn backend_with(ip: IpAddr, ports: &Ports, password: &str, more: &str) -> Self {
        let folder = folder();
        let path = folder.path().display();
        certificate::write(folder.path(), &["backend.example"]);
        let mail = folder.path().join("mail");
        fs::create_dir(&mail).unwrap();
        fs::set_permissions(&mail, fs::Permissions::from_mode(0o777)).unwrap();
        let configuration = format!(
            "protocols = imap pop3 sieve\nlisten = {ip}\nssl = yes\nssl_cert = <{path}/cert.pem\n\
             ssl_key = <{path}/key.pem\nlogin_greeting = backend {ip}\nlogin_trusted_networks = 127.0.0.0/8\n\
             mail_location = maildir:~/Maildir\nmail_max_userip_connections = 0\n\
             passdb {{\n driver = static\n args = password={password}\n}}\n\
             userdb {{\n driver = static\n args = uid=65534 gid=65534 home={path}/mail/%u\n}}\n{}{more}",
            ports.listeners()
        );
        let mut dovecot = Self::start(folder, &configuration);
        dovecot.wait_until(|| ports.are_open(ip));
        dovecot
    }

    /// An auth service only; `users(service)` are the lines of its password file.
    pub fn auth(users: impl Fn(Service) -> String) -> Self {
        let folder = folder();
        for service in [Service::Imap, Service::Pop3, Service::Sieve] {
            let file = folder.path().join(format!("users.{}", service.auth_name()));
            fs::write(&file, users(service)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let configuration = format!(
            "protocols =\nssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\n\
             auth_failure_delay = 0\npassdb {{\n driver = passwd-file\n args = {}/users.%s\n}}\n\
             service auth {{\n unix_listener auth-login {{\n  mode = 0666\n }}\n}}\n\
             service anvil {{\n unix_listener anvil-auth-penalty {{\n  mode = 0\n }}\n}}\n",
            folder.path().display()
        );
        let mut dovecot = Self::start(folder, &configuration);
        let socket = dovecot.auth_socket();
        dovecot.wait_until(|| UnixStream::connect(&socket).is_ok());
        dovecot
    }

    /// Any instance: `settings` are all but its folder, and it is ready once `is_ready` says so about its base_dir.
    pub fn configured(settings: &str, is_ready: impl Fn(&Path) -> bool) -> Self {
        let mut dovecot = Self::start(folder(), settings);
        let base = dovecot.base_dir();
        dovecot.wait_until(|| is_ready(&base));
        dovecot
    }

    /// Where its sockets are.
    pub fn base_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn start(folder: tempfile::TempDir, configuration: &str) -> Self {
        let path = folder.path();
        let own = format!("base_dir = {0}/run\nstate_dir = {0}/run\nlog_path = {0}/log\n", path.display());
        fs::write(path.join("dovecot.conf"), own + configuration).unwrap();
        let child = master(path);
        Self { child, folder }
    }

    /// Kills all its processes at once, as the failure of a machine does. [`Dovecot::restart`] brings it back.
    pub fn kill(&mut self) {
        // A master that stands still has no more children than those that are found.
        let master = self.child.id().to_string();
        signal("STOP", std::slice::from_ref(&master));
        await_state(&master, "Tt");
        let children = self.children();
        signal("KILL", &children);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        children.iter().for_each(|child| await_state(child, "ZX"));
    }

    /// Starts it again where it was, and waits until its ports are open.
    pub fn restart(&mut self, ip: IpAddr, ports: &Ports) {
        self.child = master(self.folder.path());
        self.wait_until(|| ports.are_open(ip));
    }

    /// Keeps the processes that it has now, but for the master, from running meanwhile.
    pub fn freeze(&self, meanwhile: impl FnOnce()) {
        let children = self.children();
        signal("STOP", &children);
        meanwhile();
        signal("CONT", &children);
    }

    fn children(&self) -> Vec<String> {
        let found = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    fn wait_until(&mut self, ready: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "dovecot ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "dovecot is not ready\n{}", self.log());
            std::thread::sleep(STEP);
        }
    }

    /// Where the auth service answers login processes.
    pub fn auth_socket(&self) -> PathBuf {
        self.folder.path().join("run/auth-login")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Log lines of finished logins of a user, for one protocol.
    pub fn logins(&self, service: Service, user: &str) -> Vec<String> {
        let start = format!("{}: Info: Login: user=<{user}>,", service.login_name());
        self.log().lines().filter(|line| line.contains(&start)).map(str::to_owned).collect()
    }

    /// Ends its process of this name; the master starts another one when it is needed.
    pub fn stop_child(&self, name: &str) {
        let parent = self.child.id().to_string();
        let found = Command::new("pgrep").args(["-x", "-P", &parent, name]).output().unwrap();
        let pids = String::from_utf8(found.stdout).unwrap();
        assert!(!pids.is_empty(), "dovecot has no process {name}");
        assert!(Command::new("kill").args(pids.split_whitespace()).status().unwrap().success());
    }

    fn wait_end(&mut self) -> bool {
        let deadline = Instant::now() + STOP_TIME;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(STEP);
        }
        false
    }
}

impl Drop for Dovecot {
    /// The master process ends its children if it is asked; killed, it leaves them alone for a while.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        if !self.wait_end() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of dovecot:\n{}", self.log());
        }
    }
}

fn master(folder: &Path) -> Child {
    let mut command = Command::new("dovecot");
    command.args(["-F", "-c"]).arg(folder.join("dovecot.conf")).stdin(Stdio::null()).spawn().unwrap()
}

/// Processes may have ended meanwhile.
fn signal(name: &str, pids: &[String]) {
    let _ = Command::new("kill").args(["-s", name]).args(pids).stderr(Stdio::null()).status();
}

/// Waits until a process is in one of these states (proc(5)) or is gone.
fn await_state(pid: &str, states: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        if state.is_none_or(|state| states.contains(state)) {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} stays as it is: {stat}");
        std::thread::sleep(STEP);
    }
}

/// Dovecot's unprivileged processes must get into it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
