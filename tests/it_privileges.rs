//! Started as root: who the program becomes, and what it can still do then. Skipped for everybody else.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use support::{client::Client, homing::Homing};

const ADDRESS: &str = "127.21.23.1";

fn configuration(folder: &Path) -> String {
    format!(
        "protocols = imap\nlisten = {ADDRESS}\nssl = no\ndefault_login_user = nobody\n\
         login_auth_socket_path = {}/auth\n\
         service imap-login {{\n inet_listener imap {{\n  port = 143\n }}\n}}\n",
        folder.display()
    )
}

#[test]
fn the_log_can_be_rotated_after_root_is_given_up() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let homing = Homing::start(configuration, format!("{ADDRESS}:143").parse().unwrap());
    fs::set_permissions(homing.folder(), fs::Permissions::from_mode(0o711)).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", homing.pid())).unwrap();
    let ids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    let log = homing.folder().join("log");
    let owner = fs::metadata(&log).unwrap();
    assert_ne!(owner.uid(), 0);
    assert_eq!(ids.split_whitespace().nth(1).unwrap(), owner.uid().to_string(), "the log is the user's");
    // As logrotate does with `create`.
    fs::rename(&log, homing.folder().join("log.1")).unwrap();
    fs::write(&log, "").unwrap();
    chown(&log, Some(owner.uid()), Some(owner.gid())).unwrap();
    homing.signal("USR1");
    homing.signal("HUP");
    homing.wait_for_log("SIGHUP received");
    Client::connect(format!("{ADDRESS}:143").parse().unwrap());
}
