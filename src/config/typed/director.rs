//! Settings of the director.

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
        flush_socket: view.text("director_flush_socket"),
        master_user_separator: master_user_separator(view),
    }
}
