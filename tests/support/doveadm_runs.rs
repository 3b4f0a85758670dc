//! Recorded runs of doveadm against Dovecot's director, and the surroundings in which they can be made again: a name
//! space in which the recorded host names exist, and nothing else is a name.

use std::{fs, path::Path, process::Command};

const RUNS: &str = include_str!("../vectors/doveadm_director_transcripts.tsv");

/// The recorded host names; nothing else is a name.
const HOSTS: &str = "127.0.0.62 bepool.test\n127.0.0.63 bepool.test\n";

/// Users that `map -f` knows; doveadm lists those with equal hashes from the last to the first.
const USERS: &str = "foo\nalice@example.com\nALICE@example.com\n";

/// Writes what runs need into a folder.
pub fn write_files(folder: &Path) {
    fs::write(folder.join("hosts"), HOSTS).unwrap();
    fs::write(folder.join("nsswitch"), "hosts: files\npasswd: files\ngroup: files\n").unwrap();
    fs::write(folder.join("users"), USERS).unwrap();
}

/// What follows sees the files of the folder in /etc.
pub fn in_name_space(folder: &Path) -> Command {
    let script = "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/nsswitch\" /etc/nsswitch.conf && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(folder);
    command
}

/// Why nothing can run here, if so.
pub fn missing() -> Option<&'static str> {
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
pub struct Run {
    pub command: &'static str,
    pub exit_code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn all() -> Vec<Self> {
        let of_cells = |cells: Vec<&'static str>| Self {
            command: cells[0],
            exit_code: cells[1].parse().unwrap(),
            stdout: unescape(cells[4]),
            stderr: unescape(cells[5]),
        };
        RUNS.lines().skip(1).map(|line| of_cells(line.split('\t').collect())).collect()
    }

    /// The words after `doveadm`.
    pub fn arguments(&self, folder: &Path, socket: &str) -> Vec<String> {
        let place = |word: &str| match word {
            "SOCKET" => folder.join(socket).display().to_string(),
            "USERS_FILE" => folder.join("users").display().to_string(),
            word => unescape(word),
        };
        self.command.split(' ').skip(1).map(place).collect()
    }
}

fn unescape(cell: &str) -> String {
    cell.replace("\\t", "\t").replace("\\n", "\n").replace("\\x01", "\x01")
}
