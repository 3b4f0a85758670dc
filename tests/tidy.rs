//! House rules that a machine can check: the arrows between rooms, file and function sizes, file headers,
//! leftovers. See ARCHITECTURE.md for the arrows.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // tests

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest file outside tests, in lines.
const FILE_LINES_MAX: usize = 500;
/// Longest function outside tests, in lines.
const FUNCTION_LINES_MAX: usize = 70;

/// Which rooms of `src/` each room may use. Every room may use `observe` and `config::settings`.
const ARROWS: &[(&str, &[&str])] = &[
    ("admin", &["director", "relay", "session", "sockets"]),
    (
        "app",
        &[
            "admin",
            "auth",
            "backend",
            "config",
            "director",
            "health",
            "lifecycle",
            "listener",
            "metrics",
            "relay",
            "session",
            "tls",
        ],
    ),
    ("auth", &[]),
    ("backend", &["tls", "transport"]),
    ("bench", &[]),
    ("cli", &["app", "bench", "config", "demo"]),
    ("config", &[]),
    ("demo", &["app", "config", "tls"]),
    ("director", &[]),
    ("forwarding", &["transport"]),
    ("health", &["backend", "director"]),
    ("lifecycle", &[]),
    ("listener", &[]),
    ("metrics", &["director", "forwarding", "health", "session", "sockets"]),
    ("observe", &[]),
    ("relay", &["director", "sockets"]),
    ("session", &["auth", "backend", "director", "forwarding", "listener", "tls", "transport"]),
    ("sockets", &[]),
    ("tls", &[]),
    ("transport", &[]),
];

/// Which own crates each crate under `protocols/` may use.
const CRATE_ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("login", &["wire"]),
    ("sasl", &["wire"]),
    ("imap", &["wire", "login", "sasl"]),
    ("pop3", &["wire", "login", "sasl"]),
    ("managesieve", &["wire", "login", "sasl"]),
    ("dovecot-auth", &["wire", "login"]),
    ("doveadm", &["wire"]),
    // For tests only, so no other line has it.
    ("transcripts", &["wire", "login"]),
];

/// What pure crates must not have in their dependencies.
const IMPURE: &[&str] = &["tokio", "rustls", "tracing", "socket2", "rustix", "nix", "getrandom", "jiff"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<(PathBuf, String)> {
    let folders = ["src", "protocols", "tests"];
    let files = folders.iter().flat_map(|f| rust_files(&root().join(f)));
    files.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "tests.rs")))
        || path.file_name().is_some_and(|n| n.to_string_lossy().ends_with("tests.rs"))
}

/// The part of a file before its test module.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let bare = |(path, text): &(PathBuf, String)| {
        let silent = !text.starts_with("//!") && !text.starts_with("#!");
        silent.then(|| format!("{}: no //! header", path.display()))
    };
    report(&sources().iter().filter_map(bare).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_stay_small() {
    let mut problems = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| !is_test(path)) {
        let code = production(text);
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{}: {lines} lines", path.display()));
        }
        for (line, length) in long_functions(code) {
            problems.push(format!("{}:{line}: function of {length} lines", path.display()));
        }
    }
    report(&problems);
}

/// Functions over the limit, found by the closing brace at the indentation of `fn`.
fn long_functions(code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<_> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let words = [
            "fn ",
            "pub fn ",
            "pub(super) fn ",
            "pub(crate) fn ",
            "async fn ",
            "pub async fn ",
            "pub(super) async fn ",
        ];
        if !words.iter().any(|w| text.starts_with(w)) {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - text.len()]);
        if let Some(length) = lines[start..].iter().position(|l| *l == end)
            && length + 1 > FUNCTION_LINES_MAX
        {
            found.push((start + 1, length + 1));
        }
    }
    found
}

#[test]
fn rooms_use_only_what_the_arrows_allow() {
    let mut problems = Vec::new();
    let rooms: Vec<_> = ARROWS.iter().map(|(room, _)| *room).collect();
    for (path, text) in sources() {
        let Ok(inside) = path.strip_prefix(root().join("src")) else { continue };
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else { continue };
        for used in rooms.iter().filter(|used| uses_room(production(&text), used)) {
            let settings_only = *used == "config" && !uses_beyond_settings(production(&text));
            if *used != room && *used != "observe" && !allowed.contains(used) && !settings_only {
                problems.push(format!("{}: {room} must not use {used}", path.display()));
            }
        }
    }
    report(&problems);
}

fn uses_room(code: &str, room: &str) -> bool {
    let code = without_comments(code);
    code.contains(&format!("crate::{room}::")) || grouped_imports(&code).any(|line| starts_path(line, room))
}

fn uses_beyond_settings(code: &str) -> bool {
    let code = without_comments(code);
    let paths = code.split("config::").skip(1);
    let mut grouped = grouped_imports(&code).filter(|line| starts_path(line, "config"));
    paths.into_iter().any(|rest| !rest.starts_with("settings"))
        || grouped.any(|line| !line.contains("config::settings"))
}

/// Lines of `use crate::{ ... }` blocks.
fn grouped_imports(code: &str) -> impl Iterator<Item = &str> {
    code.split("use crate::{").skip(1).filter_map(|rest| rest.split("};").next()).flat_map(str::lines)
}

fn starts_path(line: &str, room: &str) -> bool {
    line.split(['{', ',']).map(str::trim).any(|word| word == room || word.starts_with(&format!("{room}::")))
}

fn without_comments(code: &str) -> String {
    code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_crates_stay_pure() {
    let mut problems = Vec::new();
    for (name, allowed) in CRATE_ARROWS {
        let manifest = fs::read_to_string(root().join("protocols").join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("[dev-dependencies]").next().unwrap_or_default();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let own = dependency.strip_prefix("homing-");
            if own.is_some_and(|own| !allowed.contains(&own)) || IMPURE.contains(&dependency) {
                problems.push(format!("protocols/{name} must not depend on {dependency}"));
            }
        }
    }
    let folders =
        fs::read_dir(root().join("protocols")).unwrap().flatten().filter(|e| e.path().is_dir()).count();
    assert_eq!(folders, CRATE_ARROWS.len(), "every crate under protocols/ needs its arrows here");
    report(&problems);
}

#[test]
fn no_leftovers() {
    let markers = ["TODO", "FIXME", "XXX", "dbg!("].map(str::to_owned);
    let mut problems = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        for (number, line) in text.lines().enumerate() {
            if markers.iter().any(|m| line.contains(m.as_str())) || line.ends_with(' ') {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    report(&problems);
}
