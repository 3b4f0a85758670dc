//! A proxy in front of some scripted backends, asked by its own command line.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use homing_login::Service;

use super::{
    client::{Client, PATIENCE},
    fake_auth::FakeAuth,
    fake_backend::{Behaviour, FakeBackend},
    homing::Homing,
};

/// The proxy and its surroundings.
pub struct Site {
    pub homing: Homing,
    pub backends: Vec<FakeBackend>,
    _auth: FakeAuth,
    ip: String,
}

/// What a run of the command line left.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// Of any program.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self::from(output)
    }

    fn from(output: std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Lines of a run that succeeded, with single spaces.
    pub fn rows(&self) -> Vec<String> {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The one document of a run that succeeded.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Site {
    /// Backends `127.44.NET.11` and following.
    pub fn start(net: u8, backends: &[Behaviour], more: &str) -> Self {
        let address = |n: usize| SocketAddr::new(format!("127.44.{net}.{}", 11 + n).parse().unwrap(), 2143);
        let started: Vec<_> = backends
            .iter()
            .enumerate()
            .map(|(n, behaviour)| FakeBackend::start(address(n), Service::Imap, *behaviour))
            .collect();
        let servers: Vec<_> = started.iter().map(|b| b.address().ip()).collect();
        let more = format!("director_user_kick_delay = 0\n{more}");
        Self { backends: started, ..Self::in_front_of(net, &servers, &more) }
    }

    /// In front of backends that others have started, at port 2143.
    pub fn in_front_of(net: u8, servers: &[IpAddr], more: &str) -> Self {
        let ip = format!("127.44.{net}.1");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let auth = FakeAuth::start(&folder.path().join("auth-login"), |_| {
            "proxy\tport=2143\tuser_group=staff\tuser_id=7".to_owned()
        });
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        let configure = |_: &Path| {
            format!(
                "protocols = imap\nlisten = {ip}\nssl = no\ndisable_plaintext_auth = no\n\
                 director_mail_servers = {}\n\
                 service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n}}\n{more}",
                servers.join(" ")
            )
        };
        let homing = Homing::start_in(folder, configure, format!("{ip}:1143").parse().unwrap());
        Self { homing, backends: Vec::new(), _auth: auth, ip }
    }

    /// So many backends that work.
    pub fn good(net: u8, backends: usize) -> Self {
        Self::start(net, &vec![Behaviour::Good; backends], "")
    }

    /// `homing` with these words, the configuration named behind them. `IP0` and so on are the backends.
    pub fn command(&self, words: &str) -> Command {
        let mut command = homing();
        command.args(words.split_whitespace().map(|word| self.with_backends(word)));
        command.arg("-c").arg(self.homing.config());
        command
    }

    fn with_backends(&self, word: &str) -> String {
        let names = (0..self.backends.len()).map(|n| (format!("IP{n}"), self.backend(n).to_string()));
        names.fold(word.to_owned(), |word, (name, ip)| word.replace(&name, &ip))
    }

    /// Runs it.
    pub fn run(&self, words: &str) -> Run {
        Run::of(&mut self.command(words))
    }

    /// Starts it; [`Running`] is ended on drop.
    pub fn spawn(&self, words: &str) -> Running {
        Running::start(self.command(words))
    }

    /// Address of a backend.
    pub fn backend(&self, n: usize) -> IpAddr {
        self.backends[n].address().ip()
    }

    /// A client that is not logged in.
    pub fn connect(&self) -> Client {
        Client::greeted(format!("{}:1143", self.ip).parse().unwrap())
    }

    /// Logs a user in; the session and the number of the backend that got it.
    pub fn log_in(&self, user: &str) -> (Client, usize) {
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

    /// Users in order until so many of them are on one backend, all of them with a session.
    pub fn fill(&self, n: usize, count: usize) -> Vec<(Client, usize)> {
        let (mut sessions, mut there) = (Vec::new(), 0);
        for user in 0.. {
            let session = self.log_in(&format!("user{user}"));
            there += usize::from(session.1 == n);
            sessions.push(session);
            if there == count {
                break;
            }
        }
        sessions
    }
}

/// The program, in a time zone that is the same everywhere.
pub fn homing() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.env("TZ", "UTC");
    command
}

/// A run under way.
pub struct Running {
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Running {
    /// Starts a command; what it says goes to files, which can be read meanwhile.
    pub fn start(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| fs::File::create(folder.path().join(name)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child: Some(child), folder }
    }

    /// What it said so far.
    pub fn said(&self, stream: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(stream)).unwrap()).into_owned()
    }

    /// Waits until it has said something.
    pub fn wait_for(&self, stream: &str, text: &str) {
        wait_until(&format!("{text:?} in {stream}"), || self.said(stream).contains(text));
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Run {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("no end: {:?} {:?}", self.said("out"), self.said("err"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Run { code: code.unwrap_or(-1), out: self.said("out"), err: self.said("err") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for something that happens by itself.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
