//! Drains: started, looked at and ended here, but owned by the director, so that they outlive the connection.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use homing_doveadm::own::{DrainPace, DrainRow, DrainState, Failure, FailureKind, Row};

use super::{Access, failure};
use crate::director::core::{self as core, DrainProgress, Draining, Operation, Origin};

/// Starts a drain. One that goes on already takes what is said about its pace, and nothing else changes.
pub(super) fn start(access: &Access, ip: IpAddr, pace: DrainPace) -> Result<Row, Failure> {
    let known = access.director.drain_of(ip).filter(|drain| !drain.is_over());
    if known.is_none() || pace != DrainPace::default() {
        let draining = Draining {
            parallel: pace.parallel.map(NonZeroU32::get).or(known.map(|drain| drain.parallel)),
            per_sec: pace.per_sec.map(NonZeroU32::get).or(known.map(|drain| drain.per_sec)),
            grace: pace.grace_msecs.map(Duration::from_millis).or(known.map(|drain| drain.grace)),
        };
        apply(access, Operation::Drain { ip, draining })?;
    }
    of(access, ip)
}

/// Ends one; it can be looked at still.
pub(super) fn stop(access: &Access, ip: IpAddr, restore: bool) -> Result<Row, Failure> {
    apply(access, Operation::StopDrain { ip, restore })?;
    of(access, ip)
}

/// Of one backend or of all that were drained.
pub(super) fn status(access: &Access, host: Option<IpAddr>) -> Result<Vec<Row>, Failure> {
    match host {
        Some(ip) => of(access, ip).map(|row| vec![row]),
        None => Ok(access
            .director
            .drains()
            .iter()
            .map(|drain| Row::Drain(row(drain)))
            .chain([Row::End])
            .collect()),
    }
}

fn apply(access: &Access, operation: Operation) -> Result<(), Failure> {
    let applied = access.director.apply(Origin::Operator, operation);
    applied.map(|_| ()).map_err(|error| failure::of(&error))
}

fn of(access: &Access, ip: IpAddr) -> Result<Row, Failure> {
    let drain = access.director.drain_of(ip);
    let none = || Failure::new(FailureKind::NotFound, format!("{ip}: is not being drained"));
    drain.map(|drain| Row::Drain(row(&drain))).ok_or_else(none)
}

fn row(drain: &DrainProgress) -> DrainRow {
    let (state, note) = state(drain);
    DrainRow {
        host: drain.ip,
        state,
        safe: drain.safe,
        users: drain.users_at_start,
        moved: drain.moved,
        left: drain.users_left,
        sessions: drain.sessions_left,
        moving: drain.moving,
        stuck: drain.stuck,
        since: drain.started.unix_secs(),
        eta_msecs: drain.time_left().and_then(|time| u64::try_from(time.as_millis()).ok()),
        vhosts_before: drain.vhosts_before,
        pace: DrainPace {
            parallel: NonZeroU32::new(drain.parallel),
            per_sec: NonZeroU32::new(drain.per_sec),
            grace_msecs: u64::try_from(drain.grace.as_millis()).ok(),
        },
        note,
    }
}

fn state(drain: &DrainProgress) -> (DrainState, String) {
    match drain.state {
        core::DrainState::Moving => (DrainState::Moving, String::new()),
        core::DrainState::Waiting { until } => {
            let secs = until.since(drain.seen).as_millis().div_ceil(1000);
            (DrainState::Waiting, format!("busy sessions have {secs} s"))
        }
        core::DrainState::Blocked => {
            (DrainState::Blocked, "goes on when another backend with the tag is usable".to_owned())
        }
        core::DrainState::Safe => (DrainState::Safe, String::new()),
        core::DrainState::Ended(end) => (DrainState::Ended, end.to_string()),
    }
}
