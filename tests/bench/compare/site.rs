//! What stands around the program that is measured: a folder, a certificate, backends, an auth service. It is there once
//! and the same for all programs.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::arguments::Arguments;

/// Where every program listens. Plain ports take STARTTLS, too.
pub const FRONT: &str = "127.0.0.1";
pub const IMAP: u16 = 2143;
pub const IMAPS: u16 = 2993;
pub const POP3: u16 = 2110;
pub const POP3S: u16 = 2995;
pub const SIEVE: u16 = 2190;

/// The backends: several, since a program has as many ports for connections to one as the kernel has in all.
pub const BACKENDS: [&str; 4] = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"];
pub const BACKEND_IMAP: u16 = 3143;
pub const BACKEND_POP3: u16 = 3110;
pub const BACKEND_SIEVE: u16 = 3190;

/// Where nginx asks.
pub const AUTH_HTTP: &str = "127.0.0.1:3080";

/// Dovecot's `base_dir` in its folder; it makes a file `dovecot.conf` there.
pub const DOVECOT_BASE: &str = "run";

/// The surroundings; they are gone when it is dropped.
pub struct Site {
    /// The tools' program.
    pub homing: PathBuf,
    /// Core of the program that is measured.
    pub program_core: String,
    /// Core of the tools.
    pub tools_core: String,
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
    tools: Vec<Child>,
}

impl Site {
    pub fn create(arguments: &Arguments) -> Self {
        let homing = fs::canonicalize(&arguments.homing)
            .unwrap_or_else(|error| panic!("{}: {error}", arguments.homing.display()));
        let folder = arguments.keep.is_none().then(|| tempfile::tempdir().unwrap());
        let path = arguments.keep.clone().or(folder.as_ref().map(|f| f.path().to_owned())).unwrap();
        fs::create_dir_all(&path).unwrap();
        // Programs that become other users look for certificates and sockets here.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut site = Self {
            homing,
            program_core: arguments.program_core.to_string(),
            tools_core: arguments.tools_core.to_string(),
            _folder: folder,
            path: fs::canonicalize(path).unwrap(),
            tools: Vec::new(),
        };
        site.write_certificate();
        site.start_backends();
        site.start_auth();
        site
    }

    /// A folder for a program's files.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// PEM: certificate.
    pub fn cert(&self) -> PathBuf {
        self.path.join("cert.pem")
    }

    /// PEM: key.
    pub fn key(&self) -> PathBuf {
        self.path.join("key.pem")
    }

    /// PEM: both.
    pub fn cert_and_key(&self) -> PathBuf {
        self.path.join("both.pem")
    }

    /// Socket of the auth service.
    pub fn auth(&self) -> PathBuf {
        self.path.join("auth")
    }

    /// One of Homing's tools on the tools' core.
    pub fn tool(&self, words: &[&str]) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.tools_core]).arg(&self.homing).arg("bench").args(words);
        command.stdout(Stdio::piped());
        command
    }

    fn write_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(self.cert(), &cert).unwrap();
        fs::write(self.key(), &key).unwrap();
        fs::write(self.cert_and_key(), cert + &key).unwrap();
    }

    fn start_backends(&mut self) {
        let mut command = self.tool(&["backend"]);
        let ports = [("--imap", BACKEND_IMAP), ("--pop3", BACKEND_POP3), ("--sieve", BACKEND_SIEVE)];
        for (option, port) in ports {
            for host in BACKENDS {
                command.arg(option).arg(format!("{host}:{port}"));
            }
        }
        self.tools.push(ready(command));
    }

    /// Dovecot looks for its auth service in its own folder.
    fn start_auth(&mut self) {
        let mut command = self.tool(&["auth", "--http", AUTH_HTTP]);
        let ports =
            [("--imap-port", BACKEND_IMAP), ("--pop3-port", BACKEND_POP3), ("--sieve-port", BACKEND_SIEVE)];
        for (option, port) in ports {
            command.arg(option).arg(port.to_string());
        }
        command.args(BACKENDS.iter().flat_map(|host| ["--host", host]));
        command.arg("--socket").arg(self.auth());
        self.tools.push(ready(command));
        let folder = self.folder("dovecot").join(DOVECOT_BASE);
        fs::create_dir(&folder).unwrap();
        symlink(self.auth(), folder.join("auth-login")).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for tool in &mut self.tools {
            let _ = tool.kill();
            let _ = tool.wait();
        }
    }
}

/// Starts a tool and waits until it says that it is ready.
fn ready(mut command: Command) -> Child {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "ready"), "{command:?} does not start");
    child
}

/// The last lines of a log.
pub fn tail(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
