//! Starts that fail: the reason is on standard error and in the log, and the exit status tells.

#![allow(clippy::unwrap_used, clippy::panic)] // a test from end to end

mod support;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use support::certificate;

/// Runs the program with `more` behind settings that would do, until it gives up.
fn start(folder: &Path, more: &str) -> (Output, String) {
    let path = folder.display();
    let configuration = format!(
        "base_dir = {path}\nlog_path = {path}/log\nprotocols = imap\nlisten = 127.28.0.1\nssl = yes\n\
         ssl_cert = <{path}/cert.pem\nssl_key = <{path}/key.pem\nlogin_auth_socket_path = {path}/auth\n\
         service imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n{more}\n"
    );
    fs::write(folder.join("homing.conf"), configuration).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_homing"))
        .args(["run", "-c"])
        .arg(folder.join("homing.conf"))
        .output()
        .unwrap();
    (output, fs::read_to_string(folder.join("log")).unwrap_or_default())
}

#[test]
fn a_taken_address_is_named() {
    let folder = tempfile::tempdir().unwrap();
    certificate::write(folder.path(), &["a.example"]);
    let _taken = TcpListener::bind("127.28.0.1:1143").unwrap();
    let (output, log) = start(folder.path(), "");
    let expected = "inet_listener imap: cannot listen on 127.28.0.1:1143: Address already in use";
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(expected) && log.contains(expected), "{said}\n{log}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_unusable_key_is_named() {
    let folder = tempfile::tempdir().unwrap();
    certificate::write(folder.path(), &["a.example"]);
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    let more = "service imap-login {\n inet_listener imap {\n  port = 1144\n }\n}";
    let (output, log) = start(folder.path(), more);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("key.pem") && log.contains("key.pem"), "{said}\n{log}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_wrong_configuration_is_refused_with_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    certificate::write(folder.path(), &["a.example"]);
    let (output, log) = start(folder.path(), "no_such_setting = 1\nlogin_proxy_timeout = soon");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no_such_setting") && said.contains("login_proxy_timeout"), "{said}");
    assert!(log.is_empty(), "{log}");
    assert_eq!(output.status.code(), Some(78), "EX_CONFIG");
}
