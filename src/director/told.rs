//! Log lines of what the core tells.

use std::net::IpAddr;

use super::core::{Action, Cause, DrainState, Host, Movement, Origin};

/// One line per event, with fields for programs (README, "Events"); nothing for what is performed rather than told.
pub(super) fn tell(action: &Action) {
    match action {
        Action::Kick { .. }
        | Action::Wake { .. }
        | Action::WakeAll
        | Action::RunFlush(_)
        | Action::AbortFlush { .. } => {}
        Action::MoveStarted(m) => move_started(m),
        Action::MoveEnded(m) => move_ended(m),
        Action::Stuck { user, ip, sessions } => {
            let user = user.hash();
            tracing::warn!(
                event = "move_stuck", user_hash = %user, from = %ip, sessions,
                "user hash {user}: sessions on {ip} do not end: {sessions}; logins wait until they have"
            );
        }
        Action::UserKicked { user, ip, sessions, origin } => {
            let user = user.hash();
            tracing::info!(
                event = "kicked", user_hash = %user, from = %ip, %origin, sessions,
                "user hash {user}: kicked by {origin} on {ip}; sessions: {sessions}"
            );
        }
        Action::UserMapped { user, ip, cause } => {
            let user = user.hash();
            tracing::info!(
                event = "mapped", user_hash = %user, to = %ip, origin = origin(*cause), reason = %cause,
                "user hash {user}: {cause} to {ip}, without a mapping before"
            );
        }
        Action::DrainStarted { ip, origin } => tracing::info!(
            event = "drain_started", backend = %ip, %origin, "backend {ip} is being drained by {origin}"
        ),
        Action::DrainChanged { ip, state } => drain(*ip, *state),
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
        Action::HostChanged { before, after, origin } => changed(before, after, *origin),
        Action::HostDiffers { said, is } => differs(said, is.as_deref()),
        Action::HostRemoved { ip, users, origin } => {
            tracing::info!(
                event = "backend_removed", backend = %ip, %origin, users,
                "backend {ip} removed by {origin}; users whose sessions go on there: {users}"
            );
        }
    }
}

fn move_started(m: &Movement) {
    let (user, from, to, cause) = (m.user.hash(), m.from, place(m.to), m.cause);
    tracing::info!(
        event = "move_started", user_hash = %user, %from, to, origin = origin(cause), reason = %cause,
        "user hash {user}: leaves {from} for {to}, {cause}; sessions: {}", m.sessions
    );
}

fn move_ended(m: &Movement) {
    let (user, from, to, cause) = (m.user.hash(), m.from, place(m.to), m.cause);
    tracing::info!(
        event = "move_ended", user_hash = %user, %from, to, origin = origin(cause), reason = %cause,
        "user hash {user}: left {from} for {to}, {cause}"
    );
}

fn changed(before: &Host, after: &Host, origin: Origin) {
    let (backend, from, to) = (after.ip, shown(before), shown(after));
    for line in changes(before, after, origin) {
        tracing::info!(event = "backend_changed", %backend, %origin, from, to, "{line}");
    }
}

fn differs(said: &Host, is: Option<&Host>) {
    let (backend, is, said) = (said.ip, is.map_or_else(|| "not there".to_owned(), shown), shown(said));
    tracing::info!(
        event = "backend_differs", %backend, from = said, to = is,
        "backend {backend} stays as changed while running: {is}; configured: {said}"
    );
}

/// Who is behind a cause.
fn origin(cause: Cause) -> String {
    match cause {
        Cause::Hashed => "ring".to_owned(),
        Cause::Moved(origin) | Cause::Flushed(origin) | Cause::Drained(origin) | Cause::Mapped(origin) => {
            origin.to_string()
        }
    }
}

fn drain(ip: IpAddr, state: DrainState) {
    let event = "drain_changed";
    match state {
        DrainState::Moving => {
            tracing::info!(event, backend = %ip, to = "moving", "drain of {ip}: users are being moved");
        }
        DrainState::Waiting { .. } => tracing::info!(
            event, backend = %ip, to = "waiting",
            "drain of {ip}: waits for sessions that are in the middle of something"
        ),
        DrainState::Blocked => tracing::warn!(
            event, backend = %ip, to = "blocked",
            "drain of {ip}: waits, since no other backend with the tag is usable"
        ),
        DrainState::Safe => tracing::info!(
            event, backend = %ip, to = "safe", "drain of {ip}: the backend is empty and can be powered off"
        ),
        DrainState::Ended(end) => tracing::info!(
            event, backend = %ip, to = "ended", reason = %end, "drain of {ip} ended: {end}"
        ),
    }
}

/// The words of the reference where it has some (spec/director.md 4), since scripts look for them.
fn changes(before: &Host, after: &Host, origin: Origin) -> Vec<String> {
    let (ip, mut lines) = (after.ip, Vec::new());
    let who = match origin {
        Origin::Operator => "doveadm".to_owned(),
        other => other.to_string(),
    };
    if before.up != after.up {
        let (state, vhosts) = (if after.up { "up" } else { "down" }, before.vhosts);
        lines.push(format!("{who}: Host {ip} changed {state} (vhost_count={vhosts})"));
    }
    if before.vhosts != after.vhosts {
        let (old, new) = (before.vhosts, after.vhosts);
        lines.push(format!("{who}: Host {ip} vhost count changed from {old} to {new}"));
    }
    if before.tag != after.tag || before.hostname != after.hostname {
        lines.push(format!("{who}: Host {ip} changed: {} -> {}", shown(before), shown(after)));
    }
    lines
}

fn place(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "nowhere".to_owned(), |ip| ip.to_string())
}

fn shown(host: &Host) -> String {
    let state = if host.up { "up" } else { "down" };
    let name = host.hostname.as_deref().unwrap_or("-");
    format!("{state}, vhosts {}, tag '{}', name {name}", host.vhosts, homing_wire::printable(&host.tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dr_91_changes_of_backends_are_told_in_the_words_of_the_reference() {
        let before = Host::new("10.0.0.9".parse().unwrap(), None, Vec::new());
        let down = Host { up: false, vhosts: 50, ..before.clone() };
        assert_eq!(
            changes(&before, &down, Origin::Operator),
            [
                "doveadm: Host 10.0.0.9 changed down (vhost_count=100)",
                "doveadm: Host 10.0.0.9 vhost count changed from 100 to 50"
            ]
        );
        assert_eq!(
            changes(&Host { vhosts: 100, ..down }, &before, Origin::Health),
            ["health check: Host 10.0.0.9 changed up (vhost_count=100)"]
        );
        let tagged = Host { tag: b"blue".to_vec(), ..before.clone() };
        let [line] = &*changes(&before, &tagged, Origin::Operator) else { panic!() };
        assert!(line.starts_with("doveadm: Host 10.0.0.9 changed: up, vhosts 100, tag ''"), "{line}");
    }
}
