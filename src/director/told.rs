//! Log lines of what the core tells.

use std::net::IpAddr;

use super::core::{Action, DrainState, Host};

/// One line per event; nothing for what is performed rather than told.
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
            tracing::info!("user hash {user}: leaves {from} for {to}, {cause}; sessions: {}", m.sessions);
        }
        Action::MoveEnded(m) => {
            let (user, from, to, cause) = (m.user.hash(), m.from, place(m.to), m.cause);
            tracing::info!("user hash {user}: left {from} for {to}, {cause}");
        }
        Action::Stuck { user, ip, sessions } => {
            let user = user.hash();
            tracing::warn!(
                "user hash {user}: sessions on {ip} do not end: {sessions}; logins wait until they have"
            );
        }
        Action::UserKicked { user, ip, sessions, origin } => {
            let user = user.hash();
            tracing::info!("user hash {user}: kicked by {origin} on {ip}; sessions: {sessions}");
        }
        Action::UserMapped { user, ip, cause } => {
            tracing::info!("user hash {}: {cause} to {ip}, without a mapping before", user.hash());
        }
        Action::DrainStarted { ip, origin } => tracing::info!("backend {ip} is being drained by {origin}"),
        Action::DrainChanged { ip, state } => drain(*ip, *state),
        Action::FlushStarted { origin, .. } => tracing::info!("flush started by {origin}"),
        Action::FlushWalked { .. } => tracing::debug!("flush: no more moves to start"),
        Action::FlushEnded { moved, .. } => tracing::info!("flush ended; users moved: {moved}"),
        Action::UsersForgotten { ip, users, staying, origin } => tracing::warn!(
            "backend {ip} flushed by force by {origin}; users forgotten: {users}, users whose sessions go on there: {staying}"
        ),
        Action::HostAdded { host, origin } => tracing::info!("backend {} added by {origin}", host.ip),
        Action::HostChanged { before, after, origin } => {
            tracing::info!("backend {} changed by {origin}: {} -> {}", after.ip, shown(before), shown(after));
        }
        Action::HostDiffers { said, is } => {
            let is = is.as_ref().map_or_else(|| "not there".to_owned(), |is| shown(is));
            tracing::info!(
                "backend {} stays as changed while running: {is}; configured: {}",
                said.ip,
                shown(said)
            );
        }
        Action::HostRemoved { ip, users, origin } => {
            tracing::info!("backend {ip} removed by {origin}; users whose sessions go on there: {users}");
        }
    }
}

fn drain(ip: IpAddr, state: DrainState) {
    match state {
        DrainState::Moving => tracing::info!("drain of {ip}: users are being moved"),
        DrainState::Waiting { .. } => {
            tracing::info!("drain of {ip}: waits for sessions that are in the middle of something");
        }
        DrainState::Blocked => {
            tracing::warn!("drain of {ip}: waits, since no other backend with the tag is usable");
        }
        DrainState::Safe => tracing::info!("drain of {ip}: the backend is empty and can be powered off"),
        DrainState::Ended(end) => tracing::info!("drain of {ip} ended: {end}"),
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
