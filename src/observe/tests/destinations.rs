//! Files, syslog, levels, loss.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use jiff::tz::TimeZone;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use super::{context, logged, settings};
use crate::{
    config::settings::{LogFormat, LogSettings, LogTarget},
    observe::{
        FailedAttempt, LogError, LoginLog,
        destination::{Destination, LogFile},
        format::LineFormat,
        layer::QueueLayer,
        start::build,
        writer,
    },
};

#[test]
fn rooms_levels_and_libraries() {
    let write = || {
        tracing::info!(target: "homing::director::core", "from the director");
        tracing::warn!(target: "homing::tls", "two\nlines");
        tracing::debug!(target: "homing::tls", "details");
        tracing::info!(target: "rustls::server", "chatter");
        tracing::error!(target: "rustls::server", "trouble");
    };
    let quiet = settings(LogTarget::Stderr);
    assert_eq!(
        logged(&quiet, write),
        ["director: Info: from the director", "master: Warning: two\\x0alines", "master: Error: trouble"]
    );
    let lines = logged(&LogSettings { debug: true, ..quiet }, write);
    assert!(lines.contains(&"master: Debug: details".to_owned()) && lines.len() == 4, "{lines:?}");
}

#[test]
fn json_lines_have_the_parts() {
    let json = LogSettings { format: LogFormat::Json, ..settings(LogTarget::Stderr) };
    let lines = logged(&json, || {
        let log = LoginLog::new(&json);
        log.failed_attempt(&context("al\"<i>ce", "plain"), FailedAttempt::AuthFailed { secs: 0 });
    });
    let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(value["process"], "imap-login");
    assert_eq!(value["user"], "al\"\\x3ci\\x3ece");
    assert_eq!(value["method"], "PLAIN");
    assert_eq!(value["rip"], "127.0.77.100");
    assert_eq!(value["session"], "ZQCyXfFgM6Z/AE1k");
    assert!(
        value["message"].as_str().unwrap().starts_with("Disconnected (auth failed, 1 attempts in 0 secs): ")
    );
}

#[test]
fn a_rotated_file_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
    let (dispatch, handle) =
        build(&settings(LogTarget::File(path.clone())), "dovecot", PathBuf::new()).unwrap();
    let write = |text: &str| tracing::dispatcher::with_default(&dispatch, || tracing::info!("{text}"));
    write("one");
    handle.flush();
    std::fs::rename(&path, &old).unwrap();
    write("two");
    handle.reopen().unwrap();
    write("three");
    drop(handle);
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "master: Info: one\nmaster: Info: two\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "master: Info: three\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    write("after the end: nobody waits");
}

#[test]
fn a_reopen_that_fails_keeps_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub").join("log");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let (dispatch, handle) =
        build(&settings(LogTarget::File(path.clone())), "dovecot", PathBuf::new()).unwrap();
    let moved = dir.path().join("moved");
    std::fs::rename(path.parent().unwrap(), &moved).unwrap();
    assert!(handle.reopen().is_err());
    tracing::dispatcher::with_default(&dispatch, || tracing::info!("still"));
    drop(handle);
    assert_eq!(std::fs::read_to_string(moved.join("log")).unwrap(), "master: Info: still\n");
}

#[test]
fn syslog_gets_datagrams_and_may_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let bind = || {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    };
    let receive = |socket: &UnixDatagram| {
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let daemon = bind();
    let (dispatch, handle) = build(&settings(LogTarget::Syslog), "dovecot", path.clone()).unwrap();
    let write = || {
        tracing::dispatcher::with_default(&dispatch, || {
            let log = LoginLog::new(&settings(LogTarget::Syslog));
            log.failed_attempt(&context("alice", "PLAIN"), FailedAttempt::AuthFailed { secs: 0 });
        });
        handle.flush();
    };
    write();
    let first = receive(&daemon);
    assert!(first.starts_with("<22>"), "{first}");
    assert!(first.contains(" dovecot: imap-login: Disconnected (auth failed, 1 attempts in 0 secs): user="));
    drop(daemon);
    std::fs::remove_file(&path).unwrap();
    let daemon = bind();
    write();
    assert!(receive(&daemon).starts_with("<22>"));
}

#[test]
fn a_full_queue_drops_counts_and_reports() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let lost = Arc::new(AtomicU64::new(0));
    let (queue, records) = mpsc::sync_channel(2);
    let layer = QueueLayer { queue, lost: Arc::clone(&lost) };
    let subscriber = Registry::default().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..5 {
            tracing::info!("line {n}");
        }
    });
    assert_eq!(lost.load(Ordering::Relaxed), 3);
    let format = LineFormat { format: LogFormat::Dovecot, timestamp: String::new(), zone: TimeZone::UTC };
    writer::run(Destination::File(LogFile::open(path.clone()).unwrap(), format), &records, &lost);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains("line 0\nlog: Warning: 3 log lines were lost\n") && text.contains("line 1\n"),
        "{text}"
    );
    assert!(!text.contains("line 2"));
}

#[test]
fn settings_that_cannot_work() {
    let bad = LogSettings { syslog_facility: "post".to_owned(), ..settings(LogTarget::Syslog) };
    assert!(
        matches!(build(&bad, "dovecot", PathBuf::new()), Err(LogError::Facility(name)) if name == "post")
    );
    let bad = settings(LogTarget::File("/nonexistent/log".into()));
    let text = build(&bad, "dovecot", PathBuf::new()).unwrap_err().to_string();
    assert!(text.starts_with("log_path: /nonexistent/log: "), "{text}");
}
