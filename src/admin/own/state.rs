//! The whole state as rows, and users that are brought to a backend with a table that was written down elsewhere.

use std::{io, net::IpAddr};

use homing_doveadm::{
    UserHash,
    director::Server,
    own::{Failure, LoadRequest, LoadRow, LoadedRow, Row, StateHostRow, StateUserRow},
};

use super::{Access, failure, send};
use crate::{
    admin::wire::Wire,
    director::core::{self, Host, Operation, OperationError, Origin, UserCursor, UserRow},
};

/// Page by page: whoever changes meanwhile is told of as before or as after.
pub(super) async fn dump(wire: &mut Wire, server: &mut Server, access: &Access) -> io::Result<()> {
    let backends = access.director.backends().into_iter().filter(|row| !row.leaving);
    let known = backends.map(|row| {
        let changed = row.changed.map(|(when, who)| (when.unix_secs(), who.to_string()));
        Row::StateHost(StateHostRow { changed, ..host(&row.host) })
    });
    let removed = access.director.removed_backends();
    let removed = removed.iter().map(|row| Row::StateHost(StateHostRow { removed: true, ..host(row) }));
    send(wire, server, known.chain(removed).collect()).await?;
    let mut from = Some(UserCursor::default());
    while let Some(cursor) = from {
        let (users, next) = access.director.users(cursor).await;
        send(wire, server, users.iter().map(|row| Row::StateUser(user(row))).collect()).await?;
        // A long list must not keep others from running.
        tokio::task::yield_now().await;
        from = next;
    }
    send(wire, server, vec![Row::End]).await
}

fn host(host: &Host) -> StateHostRow {
    StateHostRow {
        ip: host.ip,
        hostname: host.hostname.clone(),
        tag: host.tag.clone(),
        vhosts: host.vhosts,
        up: host.up,
        changed: None,
        removed: false,
    }
}

fn user(row: &UserRow) -> StateUserRow {
    StateUserRow {
        user: UserHash(row.user.hash().number()),
        ip: row.ip,
        expires: (row.sessions == 0 && row.moving.is_none()).then(|| row.expires.unix_secs()),
        since: row.mapped_secs.into(),
        why: row.cause.to_string(),
        moving_to: row.moving.and_then(|moving| moving.to),
    }
}

/// Each user alone: one who cannot be brought is told of, and the others are.
pub(super) fn load(access: &Access, request: &LoadRequest) -> Result<Vec<Row>, Failure> {
    let (mut rows, mut loaded) = (Vec::new(), LoadedRow::default());
    for user in &request.users {
        match bring(access, request, core::UserHash::from_number(user.0)) {
            Ok(Brought::New) => loaded.loaded += 1,
            Ok(Brought::There) => loaded.kept += 1,
            Err(error @ OperationError::UnknownHost(_)) => return Err(failure::of(&error)),
            Err(error) => rows.push(Row::NotLoaded(LoadRow { user: *user, why: error.to_string() })),
        }
    }
    rows.push(Row::Loaded(loaded));
    Ok(rows)
}

enum Brought {
    New,
    There,
}

fn bring(access: &Access, request: &LoadRequest, user: core::UserHash) -> Result<Brought, OperationError> {
    let (director, ip): (_, IpAddr) = (&access.director, request.host);
    let here = director.can_load(user, ip)?;
    if !request.dry_run {
        director.apply(Origin::Operator, Operation::LoadUser { user, ip })?;
    }
    Ok(if here { Brought::There } else { Brought::New })
}
