//! The log read by fail2ban's own filter for Dovecot, as distributions ship it: every failed attempt is counted
//! once and with the right address, and nothing else is counted. The same lines are held against the pattern of
//! CrowdSec's parser (users.md 6.1). Needs `fail2ban-regex`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test from end to end

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use homing::{
    config::settings::{LogFormat, LogSettings, LogTarget},
    observe::{
        Extra, FailedAttempt, LoginContext, LoginLog, ProxyDestination, ProxyEnd, ProxyFailure, ProxyReason,
        TlsState,
    },
};
use homing_login::{ClientIdentity, CloseReason, Note, Service};
use homing_wire::SessionId;

const FILTER: &str = "/etc/fail2ban/filter.d/dovecot.conf";
const NAMES: [&str; 8] = [
    "alice",
    "a@b.c",
    "",
    "a>, rip=1.2.3.4",
    "a>, method=PLAIN, rip=1.2.3.4, lip=1.2.3.4, session=<x>",
    "x\r\nNov 24 08:00:00 mx dovecot: imap-login: Disconnected (auth failed, 1 attempts in 0 secs): rip=1.2.3.4",
    "jürgen\u{2028}\u{85}\0\x1b[31m",
    "x,1.2.3.4): unknown user",
];
const SERVICES: [Service; 3] = [Service::Imap, Service::Pop3, Service::Sieve];

fn settings(path: &Path) -> LogSettings {
    let elements = "user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}>";
    LogSettings {
        target: LogTarget::File(path.to_owned()),
        syslog_facility: "mail".to_owned(),
        format: LogFormat::Dovecot,
        timestamp: "%b %d %H:%M:%S ".to_owned(),
        elements: elements.split(' ').map(str::to_owned).collect(),
        line: "%$: %s".to_owned(),
        auth_verbose: true,
        debug: false,
    }
}

/// Contexts of hostile and ordinary clients; each has an address of its own.
fn contexts() -> Vec<LoginContext> {
    let long = "é".repeat(3000);
    let names = NAMES.iter().copied().chain([long.as_str()]);
    let mut contexts = Vec::new();
    for (n, name) in names.enumerate() {
        for (s, service) in SERVICES.into_iter().enumerate() {
            let remote = match s {
                2 => format!("[2001:db8::{n}:{s}]:4711"),
                _ => format!("198.51.100.{}:4711", n * 3 + s),
            };
            let remote = remote.parse().unwrap();
            let session = SessionId::generate(n as u64, remote);
            let client = ClientIdentity::new(service, remote, "192.0.2.1:143".parse().unwrap(), session);
            let tls = [TlsState::None, TlsState::Secured, TlsState::Up(Some("Connection closed".into()))];
            contexts.push(LoginContext {
                user: name.into(),
                mechanism: ["PLAIN", "scram sha, rip=1.2.3.4", ""][n % 3].to_owned(),
                tls: tls[n % 3].clone(),
                ..LoginContext::of(&client)
            });
        }
    }
    contexts
}

fn write_hits(log: &LoginLog, context: &LoginContext) {
    log.failed_attempt(context, FailedAttempt::AuthFailed { secs: 2 });
    log.failed_attempt(context, FailedAttempt::DisallowedPlaintext);
    log.failed_attempt(context, FailedAttempt::ProxyDestAuthFailed);
}

fn write_misses(log: &LoginLog, context: &LoginContext) {
    let extras = [
        Extra::Reported { attempts: 3, secs: 9 },
        Extra::AuthTempFail,
        Extra::PasswordExpired,
        Extra::UserDisabled,
        Extra::InternalFailure { successes: 1 },
        Extra::AuthServiceLost,
        Extra::NoAttempts { secs: 0 },
        Extra::UnsupportedMechanism,
        Extra::AuthorizationFailed { attempts: 1, secs: 0 },
    ];
    for extra in extras {
        log.disconnected(context, CloseReason::Logout, None, extra);
        let hostile = Some("x (auth failed, 1 attempts in 0 secs): user=<>, rip=1.2.3.4");
        log.disconnected(context, CloseReason::ConnectionClosed, hostile, extra);
    }
    let trusted = LoginContext { trusted: true, ..context.clone() };
    write_hits(log, &trusted);
    let hostile = "Disconnected (auth failed, 1 attempts in 0 secs): user=<x>, rip=1.2.3.4, lip=1.2.3.4";
    log.note(context, &Note::ClientId(hostile.to_owned()));
    log.note(context, &Note::PlaintextRefused);
    log.note(context, &Note::UnsupportedMechanism(hostile.to_owned()));
    log.proxy_impossible(context, &context.user, hostile);
    let to = ProxyDestination {
        user: context.user.clone(),
        address: "192.0.2.9:143".parse().unwrap(),
        host: Some(hostile.to_owned()),
        source: None,
        destuser: Some(hostile.into()),
        master: None,
    };
    log.proxy_started(context, &to, std::time::Duration::ZERO, 0, None);
    log.proxy_login_failed(context, &to, hostile);
    log.proxy_failed(context, &to, &ProxyFailure::HostDown);
    log.proxy_failed(context, &to, &ProxyFailure::Remote(hostile));
    log.proxy_ended(context, &to, &ProxyEnd::Proxy(ProxyReason::KickedViaDirector));
}

/// Addresses that the filter finds, one per matching line, in order.
fn banned(dir: &Path, lines: &[String], filter: &str) -> Vec<IpAddr> {
    let path = dir.join("lines");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let output = Command::new("fail2ban-regex").args(["-o", "ip"]).arg(&path).arg(filter).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().parse().unwrap_or_else(|_| panic!("{line}"))).collect()
}

/// As rsyslog writes what the syslog destination sends.
fn through_syslog(line: &str) -> String {
    let (stamp, rest) = line.split_at("Nov 24 08:00:00 ".len());
    format!("{stamp}mx1 dovecot: {}", rest.replacen(": Info: ", ": ", 1))
}

/// CrowdSec's `%{WORD}-login: %{DATA:msg}: user=<%{DATA}>.*, rip=%{IP}, lip=%{IP}` where the message has
/// words of a failure: the address it would take.
fn crowdsec(line: &str) -> Option<IpAddr> {
    let (_, rest) = line.split_once("-login: ")?;
    let (message, rest) = rest.split_once(": user=<")?;
    let words = ["auth failed", "Password mismatch", "unknown user"];
    if !words.iter().any(|words| message.contains(words)) {
        return None;
    }
    // `.*` is greedy, so the last pair counts.
    let (_, rest) = rest.split_once('>')?.1.rsplit_once(", rip=")?;
    let (ip, rest) = rest.split_once(", lip=")?;
    rest.split([',', ' ']).next()?.parse::<IpAddr>().ok()?;
    ip.parse().ok()
}

fn read(path: &PathBuf) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_failed_attempt_counts_once_and_nothing_else() {
    if !Path::new(FILTER).exists() || Command::new("fail2ban-regex").arg("--version").output().is_err() {
        eprintln!("SKIPPED: fail2ban is not installed; the log contract was NOT checked");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let settings = settings(&path);
    let handle = homing::observe::start(&settings, "dovecot").unwrap();
    let (log, contexts) = (LoginLog::new(&settings), contexts());

    contexts.iter().for_each(|context| write_hits(&log, context));
    handle.flush();
    let hits = read(&path);
    let addresses: Vec<IpAddr> = contexts.iter().flat_map(|c| [c.remote.ip(); 3]).collect();
    assert_eq!(hits.len(), addresses.len());
    assert_eq!(banned(dir.path(), &hits, FILTER), addresses, "as a file");
    let syslog: Vec<String> = hits.iter().map(|line| through_syslog(line)).collect();
    assert_eq!(banned(dir.path(), &syslog, FILTER), addresses, "through syslog");
    // The first of three per context; CrowdSec does not know the other two.
    for (line, address) in hits.iter().zip(&addresses).step_by(3) {
        assert_eq!(crowdsec(line), Some(*address), "{line}");
    }

    contexts.iter().for_each(|context| write_misses(&log, context));
    drop(handle);
    let misses = read(&path).split_off(hits.len());
    assert!(misses.len() >= contexts.len() * 30, "{}", misses.len());
    assert_eq!(banned(dir.path(), &misses, FILTER), Vec::<IpAddr>::new(), "as a file");
    let syslog: Vec<String> = misses.iter().map(|line| through_syslog(line)).collect();
    assert_eq!(banned(dir.path(), &syslog, FILTER), Vec::<IpAddr>::new(), "through syslog");
    let aggressive = format!("{FILTER}[mode=aggressive]");
    let (last, others): (Vec<_>, Vec<_>) =
        misses.iter().cloned().partition(|line| line.contains(" failed attempts already reported"));
    assert!(!banned(dir.path(), &others, &aggressive).is_empty(), "connections without attempts");
    assert_eq!(banned(dir.path(), &last, &aggressive), Vec::<IpAddr>::new(), "not even in aggressive mode");
    for line in &misses {
        let found = crowdsec(line);
        assert_ne!(found, Some("1.2.3.4".parse().unwrap()), "{line}");
    }
}
