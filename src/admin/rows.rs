//! The tables of the admin protocol, made of what the director shows.

use std::net::IpAddr;

use homing_doveadm::{
    UserHash,
    director::{DirectorRow, DirectorStatus, HostRow, Link, RingMember, Row, UserRow},
};

use crate::director::{Director, core};

/// The backends of the table. Those that are leaving are gone for whoever asks: they take no new users, and cannot
/// be changed.
pub(super) fn hosts(director: &Director) -> Vec<Row> {
    let row = |row: core::BackendRow| {
        Row::Host(HostRow {
            ip: row.host.ip,
            vhosts: row.host.vhosts,
            users: row.users as u64,
            tag: row.host.tag.clone(),
            up: row.host.up,
            changed: row.changed.map_or(0, |(when, _)| when.unix_secs()),
        })
    };
    director.backends().into_iter().filter(|backend| !backend.leaving).map(row).collect()
}

/// With names as they were resolved at the last reload, so that none is missing (spec/director.md 10, W27).
pub(super) fn removed_hosts(director: &Director) -> Vec<Row> {
    director.removed_hosts().into_iter().map(Row::RemovedHost).collect()
}

/// Mappings, perhaps those on one backend only.
pub(super) fn users(users: Vec<core::UserRow>, host: Option<IpAddr>) -> Vec<Row> {
    let row = |row: core::UserRow| {
        let hash = UserHash(row.user.hash().number());
        Row::User(UserRow { hash, expires: row.expires.unix_secs(), ip: row.ip })
    };
    users.into_iter().filter(|user| host.is_none_or(|ip| user.ip == ip)).map(row).collect()
}

/// A ring of one, as the reference shows it without `director_servers`.
pub(super) fn directors(own: IpAddr) -> Vec<Row> {
    let member = RingMember { ip: own, port: 0, link: Link::OwnNode, last_failed: 0 };
    let status = DirectorStatus::RingSynced;
    vec![Row::Director(DirectorRow { member: Some(member), status, ping_msecs: Some(0), traffic: None })]
}
