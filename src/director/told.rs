//! Log lines of what the core tells.

use std::net::IpAddr;

use super::core::{Action, Cause, Host, Origin, UserHash};

/// One line per event, with fields for programs (README, "Events"); nothing for what is performed rather than told.
pub(super) fn tell(action: &Action) {
    match action {
        // The rules of this program have no flush program, so none is asked for.
        Action::Kick { .. }
        | Action::Wake { .. }
        | Action::WakeAll
        | Action::RunFlush(_)
        | Action::AbortFlush { .. } => {}
        Action::MoveStarted(m) => {
            let (user, from, to, cause) = (m.user.hash(), m.from, place(m.to), m.cause);
            tracing::info!(
                event = "move_started", user_hash = %user, %from, to, origin = origin(cause), reason = %cause,
                "user hash {user}: leaves {from} for {to}, {cause}; sessions: {}", m.sessions
            );
        }
        Action::MoveEnded(m) => {
            let (user, from, to, cause) = (m.user.hash(), m.from, place(m.to), m.cause);
            tracing::info!(
                event = "move_ended", user_hash = %user, %from, to, origin = origin(cause), reason = %cause,
                "user hash {user}: left {from} for {to}, {cause}"
            );
        }
        Action::Stuck { user, ip, sessions } => {
            let user = user.hash();
            tracing::warn!(
                event = "move_stuck", user_hash = %user, from = %ip, sessions,
                "user hash {user}: sessions on {ip} do not end: {sessions}; logins wait until they have"
            );
        }
        Action::FlushStarted { origin, .. } => {
            tracing::info!(event = "flush_started", %origin, "flush started by {origin}");
        }
        Action::FlushWalked { .. } => tracing::debug!("flush: no more moves to start"),
        Action::FlushEnded { moved, .. } => {
            tracing::info!(event = "flush_ended", users = moved, "flush ended; users moved: {moved}");
        }
        Action::UsersForgotten { ip, users, staying, origin } => tracing::warn!(
            event = "users_forgotten", from = %ip, %origin, users, staying,
            "backend {ip} flushed by force by {origin}; users forgotten: {users}, users whose sessions go on there: {staying}"
        ),
        Action::HostAdded { host, origin } => tracing::info!(
            event = "backend_added", backend = %host.ip, %origin, to = shown(host),
            "backend {} added by {origin}", host.ip
        ),
        Action::HostChanged { before, after, origin } => {
            let (backend, from, to) = (after.ip, shown(before), shown(after));
            tracing::info!(
                event = "backend_changed", %backend, %origin, from, to,
                "backend {backend} changed by {origin}: {from} -> {to}"
            );
        }
        Action::HostDiffers { said, is } => {
            let is = is.as_ref().map_or_else(|| "not there".to_owned(), |is| shown(is));
            tracing::info!(
                event = "backend_differs", backend = %said.ip,
                "backend {} stays as changed while running: {is}; configured: {}",
                said.ip,
                shown(said)
            );
        }
        Action::HostRemoved { ip, users, origin } => {
            tracing::info!(
                event = "backend_removed", backend = %ip, %origin, users,
                "backend {ip} removed by {origin}; users whose sessions go on there: {users}"
            );
        }
    }
}

/// Sessions were told to end without a move. Nothing is said if there was none.
pub(super) fn kicked(user: UserHash, origin: Origin, sessions: u64) {
    if sessions > 0 {
        tracing::info!(
            event = "kicked", user_hash = %user, %origin, sessions,
            "user hash {user}: kicked by {origin}; sessions: {sessions}"
        );
    }
}

/// Who is behind a cause.
fn origin(cause: Cause) -> String {
    match cause {
        Cause::Hashed => "ring".to_owned(),
        Cause::Moved(origin) | Cause::Flushed(origin) | Cause::Mapped(origin) => origin.to_string(),
    }
}

fn place(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "nowhere".to_owned(), |ip| ip.to_string())
}

fn shown(host: &Host) -> String {
    let state = if host.up { "up" } else { "down" };
    let name = host.hostname.as_deref().unwrap_or("-");
    format!("{state}, vhosts {}, tag '{}', name {name}", host.vhosts, homing_wire::printable(&host.tag))
}
