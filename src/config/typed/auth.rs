//! Who authenticates: a socket that is named, password databases that Homing can serve itself, or else the
//! socket where a Dovecot auth service has it.

use std::path::{Path, PathBuf};

use super::{View, passdb};
use crate::config::{
    grammar::{Block, Position, Value},
    report::Report,
    schema::{default_of, known},
    settings::{AuthSettings, AuthSource, PassdbSettings},
};

/// The socket for login processes of a Dovecot auth service, in `base_dir`.
const AUTH_SOCKET: &str = "auth-login";

/// Settings of Dovecot's auth service that change who a user is or what proves it. Homing's own databases know only
/// their defaults, so that with others the auth service must do the work.
const DEFAULTS_ONLY: &[&str] = &[
    "auth_anonymous_username",
    "auth_default_realm",
    "auth_policy_server_url",
    "auth_realms",
    "auth_ssl_require_client_cert",
    "auth_ssl_username_from_cert",
    "auth_username_chars",
    "auth_username_format",
    "auth_username_translation",
];

pub(super) fn auth(root: &Block, report: &mut Report) -> AuthSettings {
    let view = View::top(root);
    AuthSettings {
        source: source(root, &view, report),
        master_user_separator: master_user_separator(&view),
        failure_delay_millis: u64::try_from(view.time("auth_failure_delay").as_millis()).unwrap_or(u64::MAX),
    }
}

/// Only its first character counts (spec/director.md 1.2).
pub(super) fn master_user_separator(view: &View<'_>) -> Option<char> {
    view.text("auth_master_user_separator").chars().next()
}

fn source(root: &Block, view: &View<'_>, report: &mut Report) -> AuthSource {
    let named = view.text("login_auth_socket_path");
    if !named.is_empty() {
        for block in root.of_kind("passdb") {
            report.ignored(
                &block.position,
                "passdb: login_auth_socket_path is set, so the auth service has it",
            );
        }
        return AuthSource::Socket(login_socket(view));
    }
    let default = login_socket(view);
    match embedded(root, &default, report) {
        Some(databases) => AuthSource::Embedded(databases),
        None => AuthSource::Socket(default),
    }
}

/// Where a Dovecot auth service answers login processes, whoever answers ours.
pub(super) fn login_socket(view: &View<'_>) -> PathBuf {
    let named = view.text("login_auth_socket_path");
    in_base_dir(view, if named.is_empty() { AUTH_SOCKET } else { &named })
}

fn in_base_dir(view: &View<'_>, path: &str) -> PathBuf {
    Path::new(&view.text("base_dir")).join(path)
}

/// A setting that is not needed by Homing itself, if it has another value than its default.
fn differing<'a>(root: &'a Block, name: &'static str) -> Option<(&'static str, &'a Position)> {
    let setting = root.settings.get(name)?;
    let is_default = match &setting.value {
        Value::Text(text) => default_of(name).is_some_and(|default| default == text),
        Value::File(_) => false,
    };
    (!is_default).then_some((name, &setting.position))
}

/// All the databases, if Homing can serve each of them; why not is reported at the block that is in the way.
fn embedded(root: &Block, socket: &Path, report: &mut Report) -> Option<Vec<PassdbSettings>> {
    let mut databases = Vec::new();
    let mut all = true;
    for block in root.of_kind("passdb") {
        match passdb::passdb(block, report) {
            Ok(database) => databases.extend(database),
            Err(reason) => {
                all = false;
                report
                    .warning(&block.position, format!("passdb: {reason}; logins go to {}", socket.display()));
            }
        }
    }
    if root.of_kind("passdb").next().is_some() {
        for (name, position) in DEFAULTS_ONLY.iter().filter_map(|name| differing(root, name)) {
            all = false;
            let text = format!(
                "{name}: only the auth service can do this, so passdbs are left to it; logins go to {}",
                socket.display()
            );
            report.warning(position, text);
        }
    }
    // Those of others, such as lmtp, are asked for nothing that is served here.
    let served = root.of_kind("protocol").filter(|protocol| known::is_served(&protocol.name));
    let in_protocols = served.flat_map(|protocol| protocol.of_kind("passdb"));
    for block in in_protocols {
        all = false;
        let text = format!(
            "passdb: Homing has the same ones for all protocols and leaves this one to the auth service; logins go to {}",
            socket.display()
        );
        report.warning(&block.position, text);
    }
    (all && root.of_kind("passdb").next().is_some()).then_some(databases)
}
