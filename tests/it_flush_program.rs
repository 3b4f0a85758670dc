//! The flush program: the real director and Homing move the same users and use one program, a script behind Dovecot's
//! script service. Needs root, Dovecot 2.3 and its director.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use support::{
    client::PATIENCE,
    dovecot::{self, Dovecot},
    homing::Homing,
};

const BACKENDS: [&str; 2] = ["127.47.0.11", "127.47.0.12"];

/// Longer than the test: a second move is refused unless the program has ended the wait.
const DIRECTOR: &str = "director_mail_servers = 127.47.0.11 127.47.0.12\ndirector_user_kick_delay = 1 hours\n\
    director_flush_socket = unix:/flush\n";

struct Site {
    folder: tempfile::TempDir,
    dovecot: Dovecot,
    homing: Homing,
}

fn missing() -> Option<String> {
    let parts = ["director", "script"].map(|part| Path::new("/usr/lib/dovecot").join(part));
    let missing =
        parts.iter().find(|part| !part.exists()).map(|part| format!("{} is missing", part.display()));
    dovecot::missing().map(ToString::to_string).or(missing)
}

impl Site {
    fn start() -> Option<Self> {
        if let Some(reason) = missing() {
            eprintln!("SKIPPED: {reason}; nothing was compared with it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (script, path) = (folder.path().join("flush.sh"), folder.path().display());
        let text = format!(
            "#!/bin/sh\necho \"$@\" >> {path}/runs\nif [ -e {path}/fails ]; then echo broken; exit 1; fi\n"
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!(
            "protocols =\nlisten = 127.47.0.1\nssl = no\n{DIRECTOR}\
             service director {{\n unix_listener director-authreply {{\n  mode = 0666\n }}\n}}\n\
             service flush {{\n executable = script {}\n user = root\n unix_listener flush {{\n  mode = 0666\n }}\n}}\n",
            script.display()
        );
        let dovecot = Dovecot::configured(&settings, |base| UnixStream::connect(base.join("flush")).is_ok());
        let program = dovecot.base_dir().join("flush");
        let ready = SocketAddr::from(([127, 47, 0, 2], 143));
        let configure = |base: &Path| {
            symlink(&program, base.join("flush")).unwrap();
            format!(
                "protocols = imap\nlisten = {}\nssl = no\nlogin_auth_socket_path = auth-login\n{DIRECTOR}\
                 service imap-login {{\n inet_listener imaps {{\n  port = 0\n }}\n}}\n",
                ready.ip()
            )
        };
        let homing = Homing::start(configure, ready);
        Some(Self { folder, dovecot, homing })
    }

    fn directors(&self) -> [PathBuf; 2] {
        [self.dovecot.base_dir(), self.homing.folder().to_owned()].map(|base| base.join("director-admin"))
    }

    /// Gives the user a mapping in the real director, who has to wait for the delay after a move that makes one.
    fn log_in(&self, user: &str) {
        let mut stream = UnixStream::connect(self.dovecot.base_dir().join("director-authreply")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let line = format!("VERSION\tdirector-authreply-client\t1\t0\nOK\t1\tuser={user}\tproxy\n");
        stream.write_all(line.as_bytes()).unwrap();
        let (mut said, mut bytes) = (String::new(), [0; 512]);
        while !said.contains("\thost=") {
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{said}\n{}", self.dovecot.log());
            said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// The exit code.
    fn move_user(&self, director: &Path, user: &str, backend: &str) -> i32 {
        let mut doveadm = Command::new("doveadm");
        doveadm.arg("-c").arg(self.dovecot.base_dir().with_file_name("dovecot.conf"));
        doveadm.args(["director", "move", "-a"]).arg(director).args([user, backend]);
        doveadm.output().unwrap().status.code().unwrap()
    }

    /// Until a move does not have to wait for the one before.
    fn is_moved(&self, director: &Path, user: &str, backend: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.move_user(director, user, backend) != 0 {
            assert!(Instant::now() < deadline, "{}: it has to wait", director.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn wait_for_runs(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.runs().len() < count {
            assert!(Instant::now() < deadline, "{:?}\n{}", self.runs(), self.dovecot.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn dr_67_both_directors_run_the_program_alike_and_believe_it() {
    let Some(site) = Site::start() else { return };
    site.log_in("foo");
    let mut told = Vec::new();
    for director in site.directors() {
        let before = site.runs().len();
        // Makes the mapping, or finds it: nothing is left behind anywhere, and no program runs.
        for backend in [BACKENDS[0], BACKENDS[1], BACKENDS[0]] {
            site.is_moved(&director, "foo", backend);
        }
        site.wait_for_runs(before + 2);
        fs::write(site.folder.path().join("fails"), "").unwrap();
        site.is_moved(&director, "foo", BACKENDS[1]);
        site.wait_for_runs(before + 3);
        let failed = "Failed to flush user hash 2898073819 in host 127.47.0.12: broken";
        let log = || if told.is_empty() { site.dovecot.log() } else { site.homing.log() };
        let deadline = Instant::now() + PATIENCE;
        while !log().contains(failed) {
            assert!(Instant::now() < deadline, "{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(site.move_user(&director, "foo", BACKENDS[0]), 75, "the delay goes on");
        fs::remove_file(site.folder.path().join("fails")).unwrap();
        told.push(site.runs().split_off(before));
    }
    assert_eq!(told[0], told[1], "the reference's first");
    assert_eq!(told[0][0], "FLUSH 2898073819 127.47.0.11 127.47.0.12 up 100");
}
