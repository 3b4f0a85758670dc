//! The same configurations read by Dovecot's own `doveconf` and by Homing have the same values.

use std::{collections::BTreeMap, path::Path, process::Command};

use super::{load, samples};
use crate::config::dump;

/// Values whose defaults depend on how Dovecot was packaged.
const PACKAGED: &[&str] = &["login_greeting", "managesieve_implementation_string"];

/// Path of blocks and name -> value. Blocks without a name are counted.
type Values = BTreeMap<String, String>;

/// Reads the output of either program.
fn values(text: &str) -> Values {
    let mut values = Values::new();
    let mut path: Vec<String> = Vec::new();
    let mut nameless: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line == "}" {
            path.pop();
        } else if let Some(title) = line.strip_suffix('{') {
            let mut title = title.trim().replace('"', "");
            if !title.contains(' ') {
                let count = nameless.entry(format!("{}/{title}", path.join("/"))).or_default();
                *count += 1;
                title = format!("{title} {count}");
            }
            path.push(title);
        } else if let Some((key, value)) = line.split_once(" =") {
            let value = value.trim_start().replace("#hidden_use-P_to_show#", "(hidden)");
            values.insert(format!("{}/{key}", path.join("/")), value);
        }
    }
    values
}

fn doveconf(file: &Path, options: &str) -> Values {
    let output = Command::new("doveconf").arg(options).arg("-c").arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    values(&String::from_utf8(output.stdout).unwrap())
}

fn has_doveconf() -> bool {
    let version = Command::new("doveconf").arg("-n").arg("-c").arg("/dev/null").output();
    match version {
        Ok(output) => String::from_utf8_lossy(&output.stdout).starts_with("# 2.3."),
        Err(_) => false,
    }
}

fn sample_files() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(samples()).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "conf")).collect()
}

#[test]
fn every_sample_loads() {
    assert!(sample_files().len() >= 4);
    for file in sample_files() {
        let outcome = load(&file);
        assert!(outcome.settings.is_some(), "{}", outcome.report);
    }
}

#[test]
fn what_is_set_is_read_as_doveconf_reads_it() {
    if !has_doveconf() {
        return;
    }
    // The configuration that comes with the package, with everything that it includes.
    let packaged = Path::new("/usr/share/dovecot/dovecot.conf");
    for file in sample_files().into_iter().chain(packaged.exists().then(|| packaged.to_owned())) {
        let theirs = doveconf(&file, "-nx");
        let everything = doveconf(&file, "-ax");
        let ours = values(&dump(&load(&file).parsed, false));
        let known = values(&dump(&load(&file).parsed, true));
        for (path, value) in &theirs {
            if known.contains_key(path) && !is_packaged(path, value) {
                assert_eq!(ours.get(path).or(known.get(path)), Some(value), "{}: {path}", file.display());
            }
        }
        assert!(ours.len() > 3, "{ours:?}");
        for (path, value) in &ours {
            let theirs = theirs.get(path).or_else(|| everything.get(path));
            assert!(
                is_packaged(path, value) || theirs == Some(value),
                "{}: {path}: {value} {theirs:?}",
                file.display()
            );
        }
    }
}

/// Differs for reasons that have nothing to do with reading. Certificates are shown by name here, by content there.
fn is_packaged(path: &str, value: &str) -> bool {
    let greets = PACKAGED.iter().any(|name| path.ends_with(name)) && value.contains("ready.");
    greets || value.contains("(Debian)") || ["/ssl_cert", "/ssl_key"].contains(&path)
}

#[test]
fn defaults_are_those_of_doveconf() {
    if !has_doveconf() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.conf");
    std::fs::write(&empty, "").unwrap();
    let theirs = doveconf(&empty, "-a");
    let ours = values(&dump(&load(&empty).parsed, true));
    let own = [
        "/director_admin_networks",
        "/director_state_dir",
        "/kick_farewell",
        "/login_auth_socket_path",
        "/log_format",
        "/metrics_listen",
        "/shutdown_farewell",
    ];
    let is_own = |path: &str| own.contains(&path) || path.starts_with("/health_");
    for (path, value) in ours.iter().filter(|(path, _)| !is_own(path)) {
        let packaged = PACKAGED.iter().any(|name| path.ends_with(name));
        assert!(packaged || theirs.get(path) == Some(value), "{path}: {value:?}, {:?}", theirs.get(path));
    }
    // Every name that Dovecot knows is known here.
    for path in theirs.keys().filter(|path| path.rfind('/') == Some(0)) {
        let name = path.trim_start_matches('/');
        assert!(crate::config::schema::default_of(name).is_some(), "{name}");
    }
}
