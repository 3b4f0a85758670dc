//! Why a user is where they are, in rows and words.

use homing_doveadm::{
    UserHash,
    director::UserArgument,
    own::{CurrentRow, EventRow, HashRow, MovingRow, RingRow, Row},
};

use super::{Access, sessions};
use crate::{
    admin::change::user_of,
    director::{ExplainedBackend, Explanation, HistoryEntry, UserEvent, core::UserRow},
};

/// Sessions of one user that are shown; a user with more has a client that is out of hand.
const SESSIONS_MAX: usize = 1000;

/// Everything there is to say, without changing anything.
pub(super) async fn rows(access: &Access, user: Vec<u8>, tag: &[u8]) -> Vec<Row> {
    let hash = user_of(access, &UserArgument::named(user.clone()), tag);
    let explanation = access.director.explain(tag, hash);
    let mut rows = vec![Row::Hash(HashRow { user, hash: UserHash(hash.number()) })];
    rows.extend(explanation.current.iter().map(|row| Row::Current(current(row))));
    rows.extend(explanation.current.iter().filter_map(moving).map(Row::Moving));
    rows.push(Row::Ring(RingRow {
        hashed: explanation.hashed,
        initial: explanation.configured,
        why: why(&explanation),
    }));
    rows.extend(notes(&explanation).into_iter().map(Row::Note));
    let mut live = Vec::new();
    sessions::walk(access, |page| {
        let theirs = |session: &&_| access.director.hash(login_of(session)) == hash;
        let left = SESSIONS_MAX.saturating_sub(live.len());
        live.extend(page.iter().filter(theirs).take(left).map(|session| sessions::row(access, session)));
    })
    .await;
    let foreign = access.foreign.list(None).await;
    for row in foreign.lists.iter().flat_map(|list| &list.rows) {
        if live.len() < SESSIONS_MAX && access.director.hash(&row.user) == hash {
            live.push(sessions::foreign_row(access, row));
        }
    }
    rows.extend(live.into_iter().map(Row::Session));
    rows.extend(explanation.history.iter().map(|entry| Row::Event(event(entry))));
    rows.push(Row::End);
    rows
}

fn login_of(session: &crate::session::Listed) -> &[u8] {
    session.login.destuser.as_bytes()
}

fn current(row: &UserRow) -> CurrentRow {
    CurrentRow {
        ip: row.ip,
        since: row.mapped_secs.into(),
        cause: row.cause.to_string(),
        sessions: row.sessions.into(),
        expires: row.expires.unix_secs(),
    }
}

fn moving(row: &UserRow) -> Option<MovingRow> {
    let moving = row.moving?;
    Some(MovingRow { to: moving.to, cause: moving.cause.to_string(), wait: moving.wait.to_string() })
}

/// What a login now would get, and why.
fn why(explanation: &Explanation) -> String {
    match (&explanation.login, &explanation.current) {
        (Ok(ip), Some(_)) if explanation.hashed == Some(*ip) => {
            format!("goes to {ip}, by the mapping and by the hash")
        }
        (Ok(ip), Some(_)) => format!("goes to {ip}, by the mapping; the hash alone says otherwise"),
        (Ok(ip), None) => format!("goes to {ip}, by the hash"),
        (Err(wait), _) => format!("waits: {wait}"),
    }
}

fn notes(explanation: &Explanation) -> Vec<String> {
    let backend = explanation.backend.iter().flat_map(backend_notes);
    let elsewhere = explanation.elsewhere.iter().map(|row| {
        let tag = homing_wire::printable(&row.tag);
        format!("the same hash is on {} with the tag '{tag}', {} sessions", row.ip, row.sessions)
    });
    backend.chain(elsewhere).collect()
}

fn backend_notes(backend: &ExplainedBackend) -> Vec<String> {
    let (host, mut notes) = (&backend.host, Vec::new());
    let ip = host.ip;
    if backend.leaving {
        notes.push(format!("{ip} was removed; it keeps users until their sessions have ended"));
    }
    if !host.up {
        let by = backend.changed.map(|(_, origin)| format!(", by {origin}")).unwrap_or_default();
        notes.push(format!("{ip} is down{by}; it gets no new users"));
    }
    if host.vhosts == 0 {
        notes.push(format!("{ip} has no weight; it gets no new users"));
    }
    if let Some(drain) = backend.drain {
        notes.push(format!("{ip} is being drained by {}", drain.origin));
    }
    notes
}

fn event(entry: &HistoryEntry) -> EventRow {
    EventRow { msecs: entry.at.millis(), text: words(&entry.event) }
}

fn words(event: &UserEvent) -> String {
    let place = |ip: &Option<std::net::IpAddr>| ip.map_or_else(|| "nowhere".to_owned(), |ip| ip.to_string());
    match event {
        UserEvent::Placed { ip, cause } => format!("placed on {ip}, {cause}"),
        UserEvent::MoveStarted { from, to, sessions, cause } => {
            format!("move from {from} to {} begins, {cause}, sessions to end: {sessions}", place(to))
        }
        UserEvent::MoveEnded { from, to, cause } => format!("is moved from {from} to {}, {cause}", place(to)),
        UserEvent::Stuck { ip, sessions } => format!("sessions on {ip} do not end: {sessions}"),
        UserEvent::Kicked { ip, sessions, origin } => {
            format!("kicked by {origin}, sessions on {ip} to end: {sessions}")
        }
    }
}
