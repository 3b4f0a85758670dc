//! Settings of the director.

use std::path::PathBuf;

use super::{View, auth::master_user_separator};
use crate::config::{report::Report, settings::DirectorSettings};

pub(super) fn director(view: &View<'_>, report: &mut Report) -> DirectorSettings {
    let words = |name| view.text(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let servers = words("director_servers");
    if servers.len() > 1 {
        let text =
            "director_servers: this version runs as a single node; the other directors are not contacted";
        report.warning(view.position("director_servers"), text);
    }
    DirectorSettings {
        mail_servers: words("director_mail_servers"),
        servers,
        username_hash: view.text("director_username_hash"),
        user_expire: view.time("director_user_expire"),
        user_kick_delay: view.time("director_user_kick_delay"),
        parallel_moves_max: view.count("director_max_parallel_moves"),
        flush_socket: flush_socket(view, report),
        state_dir: state_dir(view, report),
        master_user_separator: master_user_separator(view),
    }
}

/// Whether it can be written to is seen at a start.
fn state_dir(view: &View<'_>, report: &mut Report) -> Option<PathBuf> {
    let path = PathBuf::from(view.text("director_state_dir"));
    if path.as_os_str().is_empty() {
        return None;
    }
    if !path.is_absolute() {
        report.error(view.position("director_state_dir"), "director_state_dir: must be an absolute path");
    }
    Some(path)
}

/// Paths are below `base_dir`, where the reference's director is locked in.
fn flush_socket(view: &View<'_>, report: &mut Report) -> String {
    let (name, text) = ("director_flush_socket", view.text("director_flush_socket"));
    let mut error = |what: String| report.error(view.position(name), format!("{name}: {what}"));
    let named = ["%i", "%h", "%{ip}", "%{host}", "%%"];
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        rest = rest.get(at..).unwrap_or_default();
        let Some(behind) = named.iter().find_map(|variable| rest.strip_prefix(variable)) else {
            error(format!("'{text}': variables have no modifiers here (%i, %h, %{{ip}}, %{{host}})"));
            return String::new();
        };
        rest = behind;
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let base_dir = view.text("base_dir").replace('%', "%%");
        return format!("unix:{}/{}", base_dir.trim_end_matches('/'), path.trim_start_matches('/'));
    }
    let is_tcp =
        text.strip_prefix("tcp:").and_then(|rest| rest.rsplit_once(':')).is_some_and(|(host, port)| {
            !host.is_empty() && (port.contains('%') || port.parse::<u16>().is_ok_and(|port| port > 0))
        });
    if text.starts_with("exec:") {
        error("programs are not started by this version: let a service with executable = script serve a unix_listener, and name that (unix:PATH)".to_owned());
    } else if !text.is_empty() && !is_tcp {
        error(format!("'{text}' is neither unix:PATH nor tcp:HOST:PORT"));
    }
    if is_tcp { text } else { String::new() }
}
