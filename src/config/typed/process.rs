//! Settings of the process.

use std::path::PathBuf;

use super::View;
use crate::config::{report::Report, settings::ProcessSettings};

pub(super) fn process(view: &View<'_>, report: &mut Report) -> ProcessSettings {
    let base_dir = PathBuf::from(view.text("base_dir"));
    if !base_dir.is_absolute() {
        report.error(view.position("base_dir"), "base_dir: must be an absolute path");
    }
    ProcessSettings {
        base_dir,
        instance_name: view.text("instance_name"),
        hostname: hostname(view.text("hostname")),
        shutdown_clients: view.flag("shutdown_clients"),
        shutdown_farewell: view.flag("shutdown_farewell"),
        kick_farewell: view.flag("kick_farewell"),
        login_user: login_user(view),
    }
}

/// Only a user that the configuration names: the reference's default may not exist here, or may not be able
/// to reach the auth socket.
fn login_user(view: &View<'_>) -> Option<String> {
    let user = view.text("default_login_user");
    (view.is_set("default_login_user") && !user.is_empty()).then_some(user)
}

fn hostname(set: String) -> String {
    if !set.is_empty() {
        return set;
    }
    let system = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let system = system.trim();
    if system.is_empty() { "localhost".to_owned() } else { system.to_owned() }
}
