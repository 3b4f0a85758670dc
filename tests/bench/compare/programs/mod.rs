//! The programs that are compared: which are there, what each can do, how each is started.

mod dovecot;
mod haproxy;
mod homing;
mod nginx;
mod perdition;
mod relay;

use std::{
    fs::File,
    io::Read,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    arguments::Arguments,
    machine::said,
    measurement::Kind,
    processes::Processes,
    site::{FRONT, IMAP, IMAPS, POP3, POP3S, SIEVE, Site, tail},
};

/// The program that ratios are told against.
pub const REFERENCE: &str = "dovecot";

/// Programs whose processes become other users.
const NEED_ROOT: [&str; 3] = [REFERENCE, "nginx", "perdition"];

/// How long a program may take to listen.
const START_TIME: Duration = Duration::from_secs(30);

/// How clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Pop3,
    Sieve,
}

/// Whether it is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// Full handshakes.
    Full,
    /// Resumed sessions.
    Resumed,
}

/// What a measurement's clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub protocol: Protocol,
    pub tls: Tls,
}

impl Way {
    /// The port for it. ManageSieve has no port for TLS; its clients say STARTTLS.
    pub fn port(self) -> u16 {
        match (self.protocol, self.tls) {
            (Protocol::Imap, Tls::Off) => IMAP,
            (Protocol::Imap, _) => IMAPS,
            (Protocol::Pop3, Tls::Off) => POP3,
            (Protocol::Pop3, _) => POP3S,
            (Protocol::Sieve, _) => SIEVE,
        }
    }

    /// What the loader is told about it.
    pub fn options(self) -> Vec<String> {
        let protocol = match self.protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Sieve => "sieve",
        };
        let tls = match (self.protocol, self.tls) {
            (_, Tls::Off) => "off",
            (Protocol::Sieve, _) => "starttls",
            _ => "implicit",
        };
        let mut options = vec!["--to".to_owned(), format!("{FRONT}:{}", self.port())];
        options.extend(["--protocol", protocol, "--tls", tls].map(str::to_owned));
        options.extend((self.tls == Tls::Resumed).then(|| "--resume".to_owned()));
        options
    }
}

/// What a program can do, and how it is started.
pub trait Peer {
    /// Whether clients can speak like that.
    fn can(&self, way: Way) -> bool;
    /// How many sessions at once can be asked of it.
    fn sessions_max(&self) -> usize {
        usize::MAX
    }
    /// Whether its sessions end when it is told to end.
    fn ends_sessions(&self) -> bool {
        true
    }
    /// Writes what it needs into the folder and says how to start it in the foreground.
    fn command(&self, site: &Site, folder: &Path, way: Way) -> Command;
}

/// A program by name.
pub struct Program {
    pub name: String,
    pub version: String,
    peer: Box<dyn Peer>,
}

impl Program {
    /// Whether it can take part.
    pub fn can(&self, way: Way, kind: Kind) -> bool {
        let ends = self.peer.ends_sessions() || !matches!(kind, Kind::Shutdown { .. });
        self.peer.can(way) && kind.sessions() <= self.peer.sessions_max() && ends
    }

    /// Starts it on its core and waits until it listens.
    pub fn start(&self, site: &Site, way: Way) -> Result<Processes, String> {
        let folder = site.folder(&self.name);
        let what = self.peer.command(site, &folder, way);
        let log = folder.join("output");
        let mut command = Command::new("taskset");
        command.args(["-c", &site.program_core]).arg(what.get_program()).args(what.get_args());
        let output = File::create(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(Stdio::from(output));
        let mut processes = Processes::start(command);
        let deadline = Instant::now() + START_TIME;
        while !greets(way) {
            if !processes.alive() || Instant::now() > deadline {
                processes.stop();
                return Err(format!("does not start: {} {}", tail(&log), tail(&folder.join("log"))));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(processes)
    }
}

/// Whether somebody accepts and, where there is no TLS, greets.
fn greets(way: Way) -> bool {
    let Ok(mut stream) = TcpStream::connect((FRONT, way.port())) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let silent = way.tls != Tls::Off && way.protocol != Protocol::Sieve;
    silent || stream.read(&mut [0; 1]).is_ok_and(|count| count == 1)
}

/// The programs that are installed and wanted. What is missing is told.
pub fn find(arguments: &Arguments, site: &Site) -> Vec<Program> {
    let mut programs = Vec::new();
    let mut add = |name: &str, version: String, hint: &str, peer: Box<dyn Peer>| {
        if !arguments.programs.is_empty() && !arguments.programs.iter().any(|wanted| wanted == name) {
            return;
        }
        if NEED_ROOT.contains(&name) && std::env::var("BENCH_UID").is_ok_and(|id| id != "0") {
            eprintln!("LEFT OUT: {name} needs root, to become other users");
            return;
        }
        if version.is_empty() {
            eprintln!("LEFT OUT: {name} is not installed ({hint})");
            return;
        }
        eprintln!("{name}: {version}");
        programs.push(Program { name: name.to_owned(), version, peer });
    };
    let version_of = |path: &Path| said(&path.display().to_string(), &["--version"]);
    add(
        REFERENCE,
        said("dovecot", &["--version"]),
        "Debian: dovecot-imapd dovecot-pop3d dovecot-managesieved, 2.3",
        Box::new(dovecot::Dovecot),
    );
    add("nginx", nginx::version(), "Debian: nginx libnginx-mod-mail", Box::new(nginx::Nginx));
    add("perdition", perdition::version(), "Debian: perdition", Box::new(perdition::Perdition));
    add("haproxy", said("haproxy", &["-v"]), "Debian: haproxy", Box::new(haproxy::Haproxy));
    add("floor", "a bare relay".to_owned(), "", Box::new(relay::Relay));
    for also in &arguments.also {
        let (name, file) = also.split_once('=').expect("--also NAME=FILE");
        let peer = homing::Homing(PathBuf::from(file));
        add(name, version_of(&peer.0), "no such file", Box::new(peer));
    }
    add("homing", version_of(&site.homing), "", Box::new(homing::Homing(site.homing.clone())));
    programs
}
