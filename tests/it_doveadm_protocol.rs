//! The real doveadm against the admin protocols: every recorded run is made again, with a small table behind the
//! server machines, and must end as it did with Dovecot's director. Needs root (for a name space in which the
//! recorded host names exist) and Dovecot 2.3.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

#[path = "support/admin_table.rs"]
mod admin_table;
#[path = "support/doveadm_runs.rs"]
mod doveadm_runs;

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
    thread,
};

use admin_table::AdminTable;
use doveadm_runs::{Run, in_name_space, missing};
use homing_doveadm::{director, ipc};

/// A folder with configuration and sockets, and the table behind them.
struct Site {
    folder: tempfile::TempDir,
    table: Arc<Mutex<AdminTable>>,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        doveadm_runs::write_files(folder.path());
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
        let output = site.doveadm(&run.arguments(site.folder.path(), socket));
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
