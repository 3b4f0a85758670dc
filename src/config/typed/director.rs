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
    warn_of_idle(view, report);
    DirectorSettings {
        mail_servers: words("director_mail_servers"),
        servers,
        username_hash: view.text("director_username_hash"),
        user_expire: view.time("director_user_expire"),
        user_kick_delay: view.time("director_user_kick_delay"),
        parallel_moves_max: view.count("director_max_parallel_moves"),
        parallel_kicks_max: view.count("director_max_parallel_kicks"),
        flush_socket: view.text("director_flush_socket"),
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

/// Settings that are understood but have no effect: an administrator may count on them.
fn warn_of_idle(view: &View<'_>, report: &mut Report) {
    for (name, why) in [
        ("director_flush_socket", "the flush program is not run by this version"),
        ("director_max_parallel_kicks", "sessions are inside this program, and all of a user's end at once"),
    ] {
        if view.is_set(name) {
            report.warning(view.position(name), format!("{name}: has no effect: {why}"));
        }
    }
}
