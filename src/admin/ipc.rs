//! One connection of the ipc protocol. This program and the login processes beside it look like one, so a list has one
//! header and a kick one number (spec/director.md 10, W25).

use std::{io, net::IpAddr};

use homing_doveadm::{
    UserPattern,
    ipc::{Answer, Command, Refusal, Server, ServerEvent, SessionRow, Target},
};

use super::{Access, wire::Wire};
use crate::{
    director::core::UserHash,
    session::{Listed, SessionLogin},
};

/// Sessions that are looked at under the registry's lock at a time.
const SESSIONS_PAGE: usize = 500;

/// Names of `user_*` fields in one list. A site has a handful; further ones are not shown.
const COLUMNS_MAX: usize = 32;

/// Until the client closes or is idle for too long.
pub(super) async fn talk(mut wire: Wire, access: &Access) -> io::Result<()> {
    let mut server = Server::default();
    loop {
        wire.send(server.poll_transmit()).await?;
        match server.poll_event() {
            Some(ServerEvent::Command(target, command)) => match Meant::of(target, access) {
                Ok(meant) => answer(&mut wire, &mut server, access, meant, command).await?,
                Err(refusal) => server.answer(&Answer::Refused(refusal)),
            },
            Some(ServerEvent::Close(error)) => {
                tracing::error!(target: "homing::admin", "{error}; the connection is closed");
                return wire.send(server.poll_transmit()).await;
            }
            None => {
                // A line that is refused has an answer, but no event.
                wire.send(server.poll_transmit()).await?;
                match wire.receive(server.room()).await? {
                    [] => return Ok(()),
                    bytes => server.received(bytes),
                }
            }
        }
    }
}

/// Whose sessions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    All,
    Own,
    /// Those of login processes with this id.
    Foreign(u32),
}

impl Meant {
    fn of(target: Target, access: &Access) -> Result<Self, Refusal> {
        match target {
            Target::All => Ok(Self::All),
            Target::Process(id) if id == std::process::id() => Ok(Self::Own),
            Target::Process(id) if access.foreign.has_process(id) => Ok(Self::Foreign(id)),
            Target::Process(id) => Err(Refusal::UnknownId(id)),
        }
    }

    fn has_own(self) -> bool {
        !matches!(self, Self::Foreign(_))
    }

    /// Which login processes; `None`: none of them.
    fn foreign(self) -> Option<Option<u32>> {
        match self {
            Self::All => Some(None),
            Self::Own => None,
            Self::Foreign(id) => Some(Some(id)),
        }
    }
}

async fn answer(
    wire: &mut Wire,
    server: &mut Server,
    access: &Access,
    meant: Meant,
    command: Command,
) -> io::Result<()> {
    if command == Command::ListFull {
        return list(wire, server, access, meant).await;
    }
    let mut count = if meant.has_own() { kick_own(access, &command) } else { 0 };
    if let Some(only) = meant.foreign() {
        count = count.saturating_add(access.foreign.kick(only, &command).await);
    }
    let word = command.word();
    tracing::info!(
        target: "homing::admin", event = "kicked", origin = "operator", sessions = count, reason = word,
        "{word}: sessions told to end: {count}"
    );
    server.answer(&Answer::Count(count));
    Ok(())
}

/// Kicks among the sessions of this program; returns how many end.
pub(super) fn kick_own(access: &Access, command: &Command) -> u64 {
    match command {
        Command::KickHash { hash, except } => {
            access.director.kick_hash(UserHash::from_number(hash.0), *except)
        }
        _ => access.registry.kick(|login| is_meant(login, command)),
    }
}

/// True for a session of this program that a kick by name, field or backend means.
pub(super) fn is_meant(login: &SessionLogin, command: &Command) -> bool {
    match command {
        Command::Kick(users) => users.iter().any(|user| user.matches(login.user.as_bytes())),
        Command::KickAlt { field, values } => values.iter().any(|value| has_alternative(login, field, value)),
        Command::KickHost(hosts) => hosts.iter().any(|host| is_at(login, host)),
        Command::ListFull | Command::KickHash { .. } => false,
    }
}

/// An alternative name fits.
pub(super) fn has_alternative(login: &SessionLogin, field: &[u8], value: &UserPattern) -> bool {
    login.alternatives.iter().any(|(name, found)| name == field && value.matches(found))
}

/// A backend is known by its address and by its name (spec/director.md 10, W26).
fn is_at(login: &SessionLogin, host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let by_address = host.parse::<IpAddr>().is_ok_and(|ip| login.backend.is_some_and(|b| b.ip() == ip));
    by_address || login.hostname.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host))
}

/// Our own sessions first, newest first, then those of each login process in its order.
async fn list(wire: &mut Wire, server: &mut Server, access: &Access, meant: Meant) -> io::Result<()> {
    let foreign = match meant.foreign() {
        Some(only) => Some(access.foreign.list(only).await),
        None => None,
    };
    let foreign = foreign.as_ref().map_or(&[][..], |foreign| &foreign.lists);
    let mut columns = access.registry.columns();
    for column in foreign.iter().flat_map(|list| &list.columns) {
        if columns.len() < COLUMNS_MAX && !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    server.begin_list(&columns);
    if meant.has_own() {
        list_own(wire, server, access, &columns).await?;
    }
    for list in foreign {
        let mut rows = list.rows.iter().map(|row| with_columns(row, &list.columns, &columns));
        while !server.push_sessions(&mut rows) {
            wire.send(server.poll_transmit()).await?;
        }
    }
    server.end_list();
    Ok(())
}

async fn list_own(
    wire: &mut Wire,
    server: &mut Server,
    access: &Access,
    columns: &[Vec<u8>],
) -> io::Result<()> {
    let mut from = None;
    loop {
        let (sessions, next) = access.registry.page(from, SESSIONS_PAGE);
        let mut rows = sessions.iter().filter_map(|session| row(session, columns));
        while !server.push_sessions(&mut rows) {
            wire.send(server.poll_transmit()).await?;
        }
        // A long list with few rows to send must not keep others from running.
        tokio::task::yield_now().await;
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// The values of a row in the order of other columns.
fn with_columns(row: &SessionRow, own: &[Vec<u8>], columns: &[Vec<u8>]) -> SessionRow {
    let value = |column: &Vec<u8>| {
        let at = own.iter().position(|name| name == column);
        at.and_then(|at| row.alternatives.get(at)).cloned().unwrap_or_default()
    };
    SessionRow { alternatives: columns.iter().map(value).collect(), ..row.clone() }
}

/// `None` while the backend is not known.
fn row(session: &Listed, columns: &[Vec<u8>]) -> Option<SessionRow> {
    let login = &session.login;
    let value = |column: &Vec<u8>| {
        let found = login.alternatives.iter().find(|(name, _)| name == column);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Some(SessionRow {
        user: login.user.as_bytes().to_vec(),
        alternatives: columns.iter().map(value).collect(),
        service: session.service.auth_name().into(),
        source: Some(session.client.ip()),
        backend: login.backend?,
    })
}
