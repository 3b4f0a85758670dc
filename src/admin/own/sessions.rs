//! The live sessions of this program, page by page, and those of other login processes.

use std::{io, time::UNIX_EPOCH};

use homing_doveadm::{
    UserHash, UserPattern,
    director::Server,
    ipc,
    own::{Row, SessionRow},
};

use super::{Access, send};
use crate::{admin::wire::Wire, session::Listed};

/// Sessions that are looked at under the registry's lock at a time.
const SESSIONS_PAGE: usize = 500;

/// Every page of sessions, newest first, as long as `take` wants more.
pub(super) async fn walk(access: &Access, mut take: impl FnMut(Vec<Listed>)) {
    let mut from = None;
    loop {
        let (sessions, next) = access.registry.page(from, SESSIONS_PAGE);
        take(sessions);
        // A long list must not keep others from running.
        tokio::task::yield_now().await;
        from = next;
        if from.is_none() {
            return;
        }
    }
}

/// Those of users by login name: our own, newest first, then those of each other login process in its order.
pub(super) async fn list(
    wire: &mut Wire,
    server: &mut Server,
    access: &Access,
    pattern: &UserPattern,
) -> io::Result<()> {
    let mut from = None;
    loop {
        let (sessions, next) = access.registry.page(from, SESSIONS_PAGE);
        let meant = sessions.iter().filter(|session| pattern.matches(session.login.user.as_bytes()));
        send(wire, server, meant.map(|session| Row::Session(row(access, session))).collect()).await?;
        tokio::task::yield_now().await;
        from = next;
        if from.is_none() {
            break;
        }
    }
    let foreign = access.foreign.list(None).await;
    for page in foreign.lists.iter().flat_map(|list| list.rows.chunks(SESSIONS_PAGE)) {
        let meant = page.iter().filter(|row| pattern.matches(&row.user));
        send(wire, server, meant.map(|row| Row::Session(foreign_row(access, row))).collect()).await?;
    }
    send(wire, server, vec![Row::End]).await
}

/// One session of this program.
pub(super) fn row(access: &Access, session: &Listed) -> SessionRow {
    let login = &session.login;
    SessionRow {
        user: login.user.as_bytes().to_vec(),
        hash: Some(UserHash(access.director.hash(login.destuser.as_bytes()).number())),
        service: session.service.auth_name().to_owned(),
        client: Some(session.client.ip()),
        client_port: Some(session.client.port()),
        backend: login.backend,
        hostname: login.hostname.as_deref().map(str::to_owned),
        since: session.since.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs()),
    }
}

/// One session of another login process. It tells the login name alone, which is the name at the backend for nearly all.
pub(super) fn foreign_row(access: &Access, row: &ipc::SessionRow) -> SessionRow {
    SessionRow {
        user: row.user.clone(),
        hash: Some(UserHash(access.director.hash(&row.user).number())),
        service: homing_wire::printable(&row.service),
        client: row.source,
        client_port: None,
        backend: Some(row.backend),
        hostname: None,
        since: None,
    }
}
