//! Replays the captured conversations of the real login proxies against Homing. `PLAN.tsv` beside the transcripts
//! says for each: replayed (with which settings), or why not. `DIFFERENCES.tsv` lists the lines of replayed
//! conversations where Homing does something else on purpose, with what it does instead and why.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

mod auth;
mod certificates;
mod normal;
mod player;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use support::homing::Homing;

/// Replays at the same time. They mostly wait.
const PARALLEL: usize = 12;

/// One line of the plan.
struct Planned {
    name: String,
    /// `replay`, or the reason why not.
    action: String,
    /// Settings, one per `;`.
    settings: String,
    /// What the log must say, if it matters.
    log: String,
}

/// One line of the list of differences.
struct Difference {
    name: String,
    /// A line of the transcript.
    recorded: String,
    /// Lines in its place.
    instead: Vec<String>,
    reason: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/login")
}

fn plan() -> Vec<Planned> {
    let text = fs::read_to_string(folder().join("PLAN.tsv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_default();
        Planned { name: next(), action: next(), settings: next(), log: next() }
    };
    text.lines().skip(1).map(row).collect()
}

fn differences() -> Vec<Difference> {
    let text = fs::read_to_string(folder().join("DIFFERENCES.tsv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_default();
        let (name, recorded, instead, reason) = (next(), next(), next(), next());
        let instead = instead.split(" || ").filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Difference { name, recorded, instead, reason }
    };
    text.lines().skip(1).map(row).collect()
}

/// A transcript with the lines that differ on purpose replaced: each row is about the next such line after the
/// one of the row before it.
fn transcript(name: &str, differences: &[Difference]) -> Result<String, String> {
    let text = fs::read_to_string(folder().join(name).with_extension("txt")).map_err(|e| e.to_string())?;
    let mut lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    for difference in differences.iter().filter(|d| d.name == name) {
        let found = lines[at..].iter().position(|line| *line == difference.recorded);
        at += found.ok_or_else(|| format!("{name} has no more line {:?}", difference.recorded))?;
        lines.splice(at..=at, difference.instead.iter().map(String::as_str));
        at += difference.instead.len();
    }
    Ok(lines.join("\n"))
}

#[test]
fn every_difference_has_a_place_and_a_reason() {
    let (plan, differences) = (plan(), differences());
    for difference in &differences {
        assert!(!difference.reason.is_empty(), "{}: no reason", difference.name);
        let replayed = plan.iter().any(|p| p.name == difference.name && p.action == "replay");
        assert!(replayed, "{} is not replayed", difference.name);
        transcript(&difference.name, &differences).unwrap();
    }
}

#[test]
fn every_transcript_is_in_the_plan() {
    let planned: Vec<_> = plan().into_iter().map(|p| p.name).collect();
    let mut missing = Vec::new();
    for entry in fs::read_dir(folder()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".txt")
            && !planned.iter().any(|p| p == name)
        {
            missing.push(name.to_owned());
        }
    }
    assert!(missing.is_empty(), "not in PLAN.tsv: {missing:?}");
    assert!(planned.is_sorted(), "PLAN.tsv is sorted by name");
}

#[test]
fn transcripts_replay() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: replaying needs root, for ports below 1024 on loopback");
        return;
    }
    let only = std::env::var("REPLAY").ok();
    let wanted = |p: &Planned| match &only {
        Some(only) => p.name.contains(only.as_str()),
        None => p.action == "replay",
    };
    let planned: Vec<_> = plan().into_iter().filter(wanted).collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some((number, planned)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    planned.get(number).map(|p| (number, p))
                } {
                    if let Err(error) = replay_as_recorded(number, planned) {
                        failures.lock().unwrap().push(format!("{}: {error}", planned.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("{} transcripts replayed", planned.len());
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), planned.len(), failures.join("\n"));
}

/// In these the auth service comes back while the client speaks, on another connection: the recorded order is one of
/// two, and either is right. It has to be met in one of [`RACE_ATTEMPTS`].
const RACES: [&str; 1] = ["auth-drop-pending"];
const RACE_ATTEMPTS: usize = 3;

fn replay_as_recorded(number: usize, planned: &Planned) -> Result<(), String> {
    let attempts = if RACES.contains(&planned.name.as_str()) { RACE_ATTEMPTS } else { 1 };
    let mut outcome = replay(number, planned);
    for _ in 1..attempts {
        if outcome.is_ok() {
            break;
        }
        outcome = replay(number, planned);
    }
    outcome
}

/// Plays one transcript in a loopback network of its own.
fn replay(number: usize, planned: &Planned) -> Result<(), String> {
    let network = format!("127.{}.{}", 60 + number % 180, 77 + number / 180);
    let text = transcript(&planned.name, &differences())?;
    let steps = script::parse(&text, &network);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let folder = tempfile::tempdir().unwrap();
        write_certificates(folder.path());
        let auth = auth::AuthServer::start(&folder.path().join("auth"), &steps);
        let mut player = player::Player::new(&network, auth, &steps);
        let ready = format!("{network}.1:4190").parse().unwrap();
        let homing = Homing::start_in(folder, |path| configuration(path, &network, &text, planned), ready);
        player.play(&steps).map_err(|error| format!("{error}\n--- log\n{}", homing.log()))?;
        // Clients that are still there leave.
        drop(player);
        if !planned.log.is_empty() {
            homing.wait_for_log(&planned.log);
        }
        Ok(())
    }));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
    })
}

/// What settings can refer to: `cert.pem` and `key.pem` of the proxy, the same of its other names, `ca.pem` and
/// the client's `alice.pem` and `alice.key`.
fn write_certificates(folder: &Path) {
    let made = certificates::certificates();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    for (name, proxy) in certificates::PROXY_NAMES.iter().zip(&made.proxy) {
        write(&format!("{name}.pem"), &proxy.certificate_pem);
        write(&format!("{name}.key"), &proxy.key_pem);
    }
    write("ca.pem", &made.authority.certificate_pem);
    write("alice.pem", &made.client.certificate_pem);
    write("alice.key", &made.client.key_pem);
}

fn configuration(folder: &Path, network: &str, transcript: &str, planned: &Planned) -> String {
    let folder = folder.display();
    let disabled = |line: &str| line.starts_with('S') && line.contains(" LOGINDISABLED");
    let plaintext_disabled = if transcript.lines().any(disabled) { "yes" } else { "no" };
    let settings = planned.settings.replace(';', "\n").replace("127.0.77.", &format!("{network}."));
    let settings = settings.replace("$FOLDER", &folder.to_string());
    format!(
        "listen = {network}.1
protocols = imap pop3 sieve
ssl = yes
ssl_cert = <{folder}/proxy.example.com.pem
ssl_key = <{folder}/proxy.example.com.key
disable_plaintext_auth = {plaintext_disabled}
login_auth_socket_path = {folder}/auth
login_greeting = Dovecot ready.
managesieve_sieve_capability = fileinto reject envelope encoded-character vacation subaddress comparator-i;ascii-numeric relational regex imap4flags copy include variables body enotify environment mailbox date index ihave duplicate mime foreverypart extracttext
managesieve_notify_capability = mailto
auth_verbose = yes
hostname = proxyhost
shutdown_clients = yes
{settings}
"
    )
}
