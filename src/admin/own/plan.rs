//! What a request would do to users: counted by the director for operations, here for kicks by login name, of which the
//! director knows nothing. Kicks meet the sessions of other login processes, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use homing_doveadm::{
    director::{HostArgument, Request, Scope},
    ipc::Command,
    own::{Failure, FailureKind, PlanEffect, PlanRow, Planned, Row},
};

use super::{Access, failure, sessions};
use crate::{
    admin::{change::moved_user, ipc::is_meant},
    director::core::{self, Draining, Flushing, Operation, Plan, PlanCount, UserHash},
};

/// The rows, or why the request would be refused.
pub(super) async fn rows(access: &Access, planned: Planned) -> Result<Vec<Row>, Failure> {
    let operation = match planned {
        Planned::Drain(ip) => Operation::Drain { ip, draining: Draining::default() },
        Planned::Request(request) => match *request {
            Request::UserKick { user, .. } => return Ok(kick(access, &Command::Kick(vec![user])).await),
            Request::UserKickAlt { field, value, .. } => {
                return Ok(kick(access, &Command::KickAlt { field, values: vec![value] }).await);
            }
            request => operation(access, request)?,
        },
    };
    let plan = access.director.plan(&operation).await.map_err(|error| failure::of(&error))?;
    Ok(told(&plan))
}

/// What the request is to the director.
fn operation(access: &Access, request: Request) -> Result<Operation, Failure> {
    let flush = |scope, flush| match scope {
        Scope::All => Operation::FlushAll { tag: None, flush },
        Scope::Host(ip) => Operation::FlushHost { ip, flush },
    };
    Ok(match request {
        Request::HostSet { host: HostArgument { ip, tag }, vhosts } => {
            Operation::AddHost { ip, hostname: None, tag: tag.filter(|tag| !tag.is_empty()), vhosts }
        }
        Request::HostUpdate { host: HostArgument { ip, tag }, vhosts } => {
            match tag.filter(|tag| !tag.is_empty()) {
                // Those of the old tag leave, so that the weight does not matter to them.
                Some(tag) => Operation::SetTag { ip, tag },
                None => Operation::SetVhosts { ip, vhosts },
            }
        }
        Request::HostUp(ip) => Operation::Up { ip },
        Request::HostDown(ip) => Operation::Down { ip },
        Request::HostRemove(ip) => Operation::RemoveHost { ip },
        Request::HostFlush(scope) => flush(scope, Flushing::Forced),
        Request::HostResetUsers { scope, max_parallel } => {
            flush(scope, Flushing::Safe { parallel: max_parallel.map(NonZeroU32::get) })
        }
        Request::UserMove { user, host } => Operation::MoveUser { user: moved_user(access, &user), ip: host },
        Request::UserKickHash { hash, .. } => Operation::KickUser { user: UserHash::from_number(hash.0) },
        other => {
            return Err(Failure::new(FailureKind::Refused, format!("{} changes no users", other.word())));
        }
    })
}

fn told(plan: &Plan) -> Vec<Row> {
    let way = |effect, row: &core::PlanRow| {
        // Kicked users stay where they are.
        let effect =
            if effect == PlanEffect::Moved && row.to == Some(row.from) { PlanEffect::Kicked } else { effect };
        Row::Plan(PlanRow {
            effect,
            from: Some(row.from),
            to: row.to.filter(|_| effect != PlanEffect::Kicked),
            users: row.count.users,
            sessions: row.count.sessions,
        })
    };
    let rest = |effect, count: PlanCount| {
        let (users, sessions) = (count.users, count.sessions);
        (users > 0).then_some(Row::Plan(PlanRow { effect, from: None, to: None, users, sessions }))
    };
    let moves = plan.moves.iter().map(|row| way(PlanEffect::Moved, row));
    let later = plan.later.iter().map(|row| way(PlanEffect::Later, row));
    let kept = rest(PlanEffect::Kept, plan.kept).into_iter().chain(rest(PlanEffect::Blocked, plan.blocked));
    moves.chain(later).chain(kept).chain([Row::End]).collect()
}

/// By backend; logins that have none yet would end, too.
async fn kick(access: &Access, command: &Command) -> Vec<Row> {
    let mut kicked: BTreeMap<Option<IpAddr>, (BTreeSet<Vec<u8>>, u64)> = BTreeMap::new();
    let mut count = |user: &[u8], backend: Option<IpAddr>| {
        let (users, sessions) = kicked.entry(backend).or_default();
        users.insert(user.to_vec());
        *sessions += 1;
    };
    sessions::walk(access, |page| {
        for session in page.iter().filter(|session| is_meant(&session.login, command)) {
            let login = &session.login;
            count(login.user.as_bytes(), login.backend.map(|backend| backend.ip()));
        }
    })
    .await;
    let foreign = access.foreign.list(None).await;
    for row in foreign.lists.iter().flat_map(|list| list.meant_by(command)) {
        count(&row.user, Some(row.backend.ip()));
    }
    let row = |(from, (users, sessions)): (Option<IpAddr>, (BTreeSet<Vec<u8>>, u64))| {
        let (effect, users) = (PlanEffect::Kicked, users.len() as u64);
        Row::Plan(PlanRow { effect, from, to: None, users, sessions })
    };
    kicked.into_iter().map(row).chain([Row::End]).collect()
}
