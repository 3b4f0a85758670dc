//! What the core tells, in numbers.

use super::core::{Action, Cause, Origin};
use crate::observe::tally::{ChangeOrigin, HostChange, MoveCause, tally};

/// Counts what happened.
pub(super) fn count(action: &Action) {
    let tally = tally();
    let changed = |change, by| tally.host_changes.of(change).of(origin(by)).count();
    match action {
        Action::Kick { .. } => tally.kicks.count(),
        Action::MoveStarted(movement) => {
            let (cause, by) = cause(movement.cause);
            tally.moves.of(cause).of(by).count();
        }
        Action::Stuck { .. } => tally.moves_stuck.count(),
        Action::FlushStarted { origin: by, .. } | Action::UsersForgotten { origin: by, .. } => {
            tally.flushes.of(origin(*by)).count();
        }
        Action::HostAdded { origin, .. } => changed(HostChange::Added, *origin),
        Action::HostChanged { origin, .. } => changed(HostChange::Changed, *origin),
        Action::HostRemoved { origin, .. } => changed(HostChange::Removed, *origin),
        _ => {}
    }
}

fn cause(cause: Cause) -> (MoveCause, ChangeOrigin) {
    match cause {
        Cause::Moved(by) => (MoveCause::Move, origin(by)),
        Cause::Flushed(by) => (MoveCause::Flush, origin(by)),
        Cause::Drained(by) => (MoveCause::Drain, origin(by)),
        Cause::Mapped(by) => (MoveCause::Other, origin(by)),
        Cause::Hashed => (MoveCause::Other, ChangeOrigin::Ring),
    }
}

fn origin(origin: Origin) -> ChangeOrigin {
    match origin {
        Origin::Configuration => ChangeOrigin::Configuration,
        Origin::Operator => ChangeOrigin::Operator,
        Origin::Health => ChangeOrigin::Health,
        Origin::Restored => ChangeOrigin::Restored,
    }
}
