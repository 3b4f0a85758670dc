//! The backends, also those that are leaving.

use homing_doveadm::own::{HostRow, Row};

use super::Access;
use crate::director::core::BackendRow;

/// One row for each.
pub(super) fn rows(access: &Access) -> Vec<Row> {
    let rows = access.director.backends();
    rows.into_iter().map(|backend| Row::Host(row(access, backend))).chain([Row::End]).collect()
}

fn row(access: &Access, backend: BackendRow) -> HostRow {
    let host = &backend.host;
    HostRow {
        ip: host.ip,
        hostname: host.hostname.clone(),
        tag: host.tag.clone(),
        vhosts: host.vhosts,
        up: host.up,
        changed: backend.changed.map(|(when, _)| when.unix_secs()),
        changed_by: backend.changed.map(|(_, origin)| origin.to_string()),
        users: backend.users as u64,
        sessions: backend.sessions as u64,
        leaving: backend.leaving,
        draining: access.director.drain_of(host.ip).is_some_and(|drain| !drain.is_over()),
    }
}
