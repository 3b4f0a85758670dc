//! The real doveadm against the admin protocols: every recorded run is made again, with a small table behind the
//! server machines, and must end as it did with Dovecot's director. Needs root (for a name space in which the
//! recorded host names exist) and Dovecot 2.3.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

#[path = "support/admin_table.rs"]
mod admin_table;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use admin_table::AdminTable;
use homing_doveadm::{director, ipc};

const RUNS: &str = include_str!("vectors/doveadm_director_transcripts.tsv");

/// The recorded host names; nothing else is a name.
const HOSTS: &str = "127.0.0.62 bepool.test\n127.0.0.63 bepool.test\n";

/// Users that `map -f` knows; doveadm lists those with equal hashes from the last to the first.
const USERS: &str = "foo\nalice@example.com\nALICE@example.com\n";

/// A folder with configuration and sockets, and the table behind them.
struct Site {
    folder: tempfile::TempDir,
    table: Arc<Mutex<AdminTable>>,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("hosts"), HOSTS).unwrap();
        fs::write(path("nsswitch"), "hosts: files\npasswd: files\ngroup: files\n").unwrap();
        fs::write(path("users"), USERS).unwrap();
        let settings = format!(
            "base_dir = {0}\nlog_path = /dev/stderr\nssl = no\nprotocols =\n",
            folder.path().display()
        );
        fs::write(path("dovecot.conf"), settings).unwrap();
        let table = Arc::new(Mutex::new(AdminTable::default()));
        listen(&path("director-admin"), Arc::clone(&table), talk_as_director);
        listen(&path("ipc"), Arc::clone(&table), talk_as_ipc);
        Self { folder, table }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs doveadm with these arguments.
    fn doveadm(&self, arguments: &[String]) -> Output {
        let mut command = in_name_space(self.folder.path());
        command.args(["doveadm", "-c", &self.path("dovecot.conf")]).args(arguments);
        command.env("TZ", "UTC").env("COLUMNS", "80").output().unwrap()
    }
}

/// What follows sees the files of the folder in /etc.
fn in_name_space(folder: &Path) -> Command {
    let script = "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/nsswitch\" /etc/nsswitch.conf && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(folder);
    command
}

fn listen(path: &Path, table: Arc<Mutex<AdminTable>>, talk: fn(UnixStream, &Mutex<AdminTable>)) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let table = Arc::clone(&table);
            thread::spawn(move || talk(stream.unwrap(), &table));
        }
    });
}

/// Until the peer closes or the machine says so. A connection that breaks is the peer's matter.
fn talk_as_director(mut stream: UnixStream, table: &Mutex<AdminTable>) {
    let mut server = director::Server::default();
    loop {
        while let Some(bytes) = server.poll_transmit() {
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
        match server.poll_event() {
            Some(director::ServerEvent::Request(request)) => {
                table.lock().unwrap().answer(&request, &mut server);
            }
            Some(director::ServerEvent::Close(_)) => return,
            None => match read(&mut stream, server.room()) {
                Some(bytes) => server.received(&bytes),
                None => return,
            },
        }
    }
}

fn talk_as_ipc(mut stream: UnixStream, table: &Mutex<AdminTable>) {
    let mut server = ipc::Server::default();
    loop {
        while let Some(bytes) = server.poll_transmit() {
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
        match server.poll_event() {
            Some(ipc::ServerEvent::Command(_, command)) => {
                table.lock().unwrap().answer_ipc(&command, &mut server)
            }
            Some(ipc::ServerEvent::Close(_)) => return,
            None => match read(&mut stream, server.room()) {
                Some(bytes) => server.received(&bytes),
                None => return,
            },
        }
    }
}

fn read(stream: &mut UnixStream, room: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; room.min(4096)];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    bytes.truncate(count);
    Some(bytes)
}

/// Why nothing can run here, if so.
fn missing() -> Option<&'static str> {
    let version = Command::new("dovecot").arg("--version").output();
    let is_known = version.is_ok_and(|output| output.stdout.starts_with(b"2.3."));
    if !is_known || Command::new("doveadm").output().is_err() {
        return Some("doveadm 2.3 is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hosts"), HOSTS).unwrap();
    fs::write(folder.path().join("nsswitch"), "hosts: files\n").unwrap();
    let tried = in_name_space(folder.path()).arg("true").output();
    (!tried.is_ok_and(|output| output.status.success())).then_some("no mount name spaces")
}

/// One recorded run.
struct Run {
    command: &'static str,
    exit_code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn all() -> Vec<Self> {
        let of_cells = |cells: Vec<&'static str>| Self {
            command: cells[0],
            exit_code: cells[1].parse().unwrap(),
            stdout: unescape(cells[4]),
            stderr: unescape(cells[5]),
        };
        RUNS.lines().skip(1).map(|line| of_cells(line.split('\t').collect())).collect()
    }

    /// The words after `doveadm`.
    fn arguments(&self, site: &Site, socket: &str) -> Vec<String> {
        let place = |word: &str| match word {
            "SOCKET" => site.path(socket),
            "USERS_FILE" => site.path("users"),
            word => unescape(word),
        };
        self.command.split(' ').skip(1).map(place).collect()
    }
}

fn unescape(cell: &str) -> String {
    cell.replace("\\t", "\t").replace("\\n", "\n").replace("\\x01", "\x01")
}

#[test]
fn every_recorded_run_ends_the_same() {
    if let Some(reason) = missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked with doveadm");
        return;
    }
    let site = Site::start();
    let runs = Run::all();
    assert_eq!(runs.len(), 79);
    for (number, run) in runs.iter().enumerate() {
        site.table.lock().unwrap().meanwhile(number);
        let socket = if run.command.starts_with("doveadm proxy") { "ipc" } else { "director-admin" };
        let output = site.doveadm(&run.arguments(&site, socket));
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&site.path(socket), "SOCKET");
        let (stdout, stderr) = (told(&output.stdout), told(&output.stderr));
        if run.command == "doveadm proxy list -a SOCKET" {
            one_list(&output, &stdout);
            continue;
        }
        let seen = (output.status.code(), stdout.as_str(), stderr.as_str());
        let recorded = (Some(run.exit_code), run.stdout.as_str(), run.stderr.as_str());
        assert_eq!(seen, recorded, "run {number}: {}", run.command);
    }
}

/// W25: the recorded doveadm aborted here, since every login process sent a header of its own.
fn one_list(output: &Output, stdout: &str) {
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<Vec<_>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["username", "user_group", "user_x", "proto", "src", "ip", "dest", "ip", "port"]);
    assert_eq!(lines[1], ["foo", "imap", "127.0.0.1", "127.0.0.62", "143"]);
    assert_eq!(lines[3], ["alt", "grp1", "y", "imap", "127.0.0.1", "127.0.0.61", "143"]);
    assert_eq!(lines.len(), 4);
}

/// W32: where the reference's exit codes differ, they follow from the reply alone, so no server can change them.
#[test]
fn w32_exit_codes_follow_from_replies() {
    if let Some(reason) = missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked with doveadm");
        return;
    }
    let site = Site::start();
    let exit = |words: &str| {
        let words = words.replace("SOCKET", &site.path("director-admin"));
        let arguments: Vec<_> = words.split(' ').map(str::to_owned).collect();
        site.doveadm(&arguments).status.code()
    };
    for (command, code) in [("update", 75), ("up", 68), ("down", 68), ("remove", 68), ("flush", 68)] {
        let tail = if command == "update" { " 5" } else { "" };
        let words = format!("director {command} -a SOCKET 127.0.0.99{tail}");
        assert_eq!(exit(&words), Some(code), "{words}");
    }
    assert_eq!(exit("director move -a SOCKET foo 127.0.0.99"), Some(68));
    assert_eq!(exit("director kick -a SOCKET busy"), Some(75));
    assert_eq!(exit("director status -a SOCKET foo"), Some(0));
}

/// Requests that reach a server in one piece are all answered (W21): doveadm asks once for each address of a name.
#[test]
fn w21_doveadm_with_several_addresses_gets_all_its_answers() {
    if let Some(reason) = missing() {
        eprintln!("SKIPPED: {reason}; nothing was checked with doveadm");
        return;
    }
    let site = Site::start();
    let many: String = (1..=40).map(|n| format!("127.40.1.{n} many.test\n")).collect();
    fs::write(site.path("hosts"), many).unwrap();
    let words = ["-v", "director", "add", "-a", &site.path("director-admin"), "many.test", "7"];
    let output = site.doveadm(&words.map(str::to_owned));
    assert_eq!(String::from_utf8_lossy(&output.stderr).matches(": OK").count(), 40);
    assert_eq!(output.status.code(), Some(0));
}
