//! `homing demo` as a child process. Its ports are fixed, so all tests of a binary share one; the last visitor stops
//! it with SIGTERM.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use super::client::Client;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

struct Running {
    child: Child,
    folder: tempfile::TempDir,
    instructions: String,
    visitors: usize,
}

/// Keeps the demo running.
pub struct Demo {
    instructions: String,
}

impl Demo {
    /// Starts the demo unless it runs, and waits until it has told what to do.
    pub fn visit() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_with(Running::start);
        running.visitors += 1;
        Self { instructions: running.instructions.clone() }
    }

    /// What it printed.
    pub fn instructions(&self) -> &str {
        &self.instructions
    }

    /// The folder with `cert.pem`, told in the instructions.
    pub fn folder(&self) -> &str {
        let line = self.instructions.lines().find_map(|l| l.strip_prefix("Configuration of this demo: "));
        line.and_then(|path| path.rsplit_once('/')).unwrap().0
    }

    /// The backend of a user, asked by hand.
    pub fn home_of(&self, user: &str, password: &str) -> String {
        let mut client = Client::greeted("127.0.0.1:1110".parse().unwrap());
        assert_eq!(client.ask(&format!("USER {user}")), "+OK");
        backends_in(&client.ask(&format!("PASS {password}"))).pop().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(demo) = running.as_mut() else { return };
        demo.visitors -= 1;
        if std::thread::panicking() {
            eprintln!("--- log of the demo:\n{}", demo.log());
        }
        if demo.visitors > 0 {
            return;
        }
        let stopped = running.take().is_some_and(Running::stop);
        assert!(stopped || std::thread::panicking(), "the demo did not end well");
    }
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_homing"))
            .arg("demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, folder, instructions: String::new(), visitors: 0 };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        while !running.instructions.contains("Ctrl-C stops") {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => running.instructions += &format!("{line}\n"),
                Err(error) => {
                    let _ = running.child.kill();
                    panic!("{error}: the demo said only {:?}\n{}", running.instructions, running.log());
                }
            }
        }
        running
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// True if the process ends by itself with status 0.
    fn stop(mut self) -> bool {
        let _ = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

/// The addresses named as `backend ADDRESS` or `backend-ADDRESS` in a client's output, in order.
pub fn backends_in(text: &str) -> Vec<String> {
    let address = |tail: &str| {
        let end = tail.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tail.len());
        tail[..end].trim_end_matches('.').to_owned()
    };
    let tails = text.split("backend").skip(1).filter_map(|tail| tail.strip_prefix([' ', '-']));
    tails.map(address).filter(|a| a.starts_with("127.")).collect()
}

/// What a program said, both streams together; ended after a minute.
pub struct Said {
    /// Standard output and standard error.
    pub text: String,
    /// Exit status; 124 if it had to be ended.
    pub status: Option<i32>,
}

/// Runs a shell script in a folder of its own, with `input` as its standard input.
pub fn shell(script: &str, input: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    fs::write(&file, input).unwrap();
    let output: Output = Command::new("timeout")
        .args(["60", "sh", "-c", script])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(fs::File::open(file).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Said { text, status: output.status.code() }
}

/// True if the program can be started; otherwise says that a test is skipped.
pub fn installed(program: &str) -> bool {
    let found = shell(&format!("command -v {program}"), "").status == Some(0);
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}
