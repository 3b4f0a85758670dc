//! One connection of the ipc protocol. This program is all login processes at once, so a list has one header and a
//! kick one number (spec/director.md 10, W25).

use std::{io, net::IpAddr};

use homing_doveadm::ipc::{Answer, Command, Refusal, Server, ServerEvent, SessionRow, Target};

use super::{Access, change::has_alternative, wire::Wire};
use crate::{
    director::core::UserHash,
    session::{Listed, SessionLogin},
};

/// Sessions that are looked at under the registry's lock at a time.
const SESSIONS_PAGE: usize = 500;

/// Until the client closes or is idle for too long.
pub(super) async fn talk(mut wire: Wire, access: &Access) -> io::Result<()> {
    let mut server = Server::default();
    loop {
        wire.send(server.poll_transmit()).await?;
        match server.poll_event() {
            Some(ServerEvent::Command(target, command)) => match target {
                Target::Process(id) if id != std::process::id() => {
                    server.answer(&Answer::Refused(Refusal::UnknownId(id)));
                }
                _ => answer(&mut wire, &mut server, access, command).await?,
            },
            Some(ServerEvent::Close(error)) => {
                tracing::warn!(target: "homing::admin", "{error}; the connection is closed");
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

async fn answer(wire: &mut Wire, server: &mut Server, access: &Access, command: Command) -> io::Result<()> {
    let word = command.word();
    let kick = |is_meant: &dyn Fn(&SessionLogin) -> bool| access.registry.kick(is_meant);
    let count = match command {
        Command::ListFull => return list(wire, server, access).await,
        Command::Kick(users) => kick(&|login| users.iter().any(|user| user.matches(login.user.as_bytes()))),
        Command::KickAlt { field, values } => {
            kick(&|login| values.iter().any(|value| has_alternative(login, &field, value)))
        }
        Command::KickHost(hosts) => kick(&|login| hosts.iter().any(|host| is_at(login, host))),
        Command::KickHash { hash, except } => {
            access.director.kick_hash(UserHash::from_number(hash.0), except)
        }
    };
    tracing::info!(
        target: "homing::admin", event = "kicked", origin = "operator", sessions = count, reason = word,
        "{word}: {count} sessions end"
    );
    server.answer(&Answer::Count(count));
    Ok(())
}

/// A backend is known by its address and by its name (spec/director.md 10, W26).
fn is_at(login: &SessionLogin, host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let by_address = host.parse::<IpAddr>().is_ok_and(|ip| login.backend.is_some_and(|b| b.ip() == ip));
    by_address || login.hostname.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(host))
}

async fn list(wire: &mut Wire, server: &mut Server, access: &Access) -> io::Result<()> {
    let columns = access.registry.columns();
    server.begin_list(&columns);
    let mut from = None;
    loop {
        let (sessions, next) = access.registry.page(from, SESSIONS_PAGE);
        let mut rows = sessions.iter().filter_map(|session| row(session, &columns));
        while !server.push_sessions(&mut rows) {
            wire.send(server.poll_transmit()).await?;
        }
        // A long list with few rows to send must not keep others from running.
        tokio::task::yield_now().await;
        from = next;
        if from.is_none() {
            break;
        }
    }
    server.end_list();
    Ok(())
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
