//! A running `homing` process with a configuration of its own; ended on drop.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Generous: the machine may be busy with other tests.
const READY_TIME: Duration = Duration::from_secs(60);

/// A running program and its folder.
pub struct Homing {
    child: Child,
    folder: tempfile::TempDir,
}

impl Homing {
    /// Starts with the configuration that `configure` makes for a fresh folder, and waits until `ready_at`
    /// accepts connections. `log_path` and `base_dir` are set to files in the folder.
    pub fn start(configure: impl FnOnce(&Path) -> String, ready_at: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, configure, ready_at)
    }

    /// The same in a folder that already has files.
    pub fn start_in(
        folder: tempfile::TempDir,
        configure: impl FnOnce(&Path) -> String,
        ready_at: SocketAddr,
    ) -> Self {
        let path = folder.path();
        let own = format!("base_dir = {0}\nlog_path = {0}/log\n", path.display());
        fs::write(path.join("homing.conf"), own + &configure(path)).unwrap();
        let mut homing = Self { child: Self::spawn(path), folder };
        homing.wait_ready(ready_at, 0);
        homing
    }

    fn spawn(folder: &Path) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
        command.args(["run", "-c"]).arg(folder.join("homing.conf"));
        command.stdin(Stdio::null()).spawn().unwrap()
    }

    /// Ends it with a signal by name, and starts it again as it was.
    pub fn restart(&mut self, signal: &str, ready_at: SocketAddr) {
        self.signal(signal);
        self.wait();
        self.start_again(ready_at);
    }

    /// Starts it again, after it has ended.
    pub fn start_again(&mut self, ready_at: SocketAddr) {
        let starts = self.starts();
        self.child = Self::spawn(self.folder.path());
        self.wait_ready(ready_at, starts);
    }

    /// How often it has said that it starts, as far as its log is in its folder.
    fn starts(&self) -> usize {
        self.log().matches("starting up for").count()
    }

    /// Waits until it listens and, where its log is in its folder, knows what signals mean: it listens before.
    fn wait_ready(&mut self, address: SocketAddr, starts_before: usize) {
        let deadline = Instant::now() + READY_TIME;
        let logs_here = fs::read_to_string(self.config()).unwrap().matches("log_path").count() == 1;
        let connects = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        while !connects() || (logs_here && self.starts() <= starts_before) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "homing ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "homing does not listen on {address}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("homing.conf")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log has a line that contains `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + READY_TIME;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no log line with {text:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the process; true for exit status 0.
    pub fn wait(&mut self) -> bool {
        let deadline = Instant::now() + READY_TIME;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "homing does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Homing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of homing:\n{}", self.log());
        }
    }
}
