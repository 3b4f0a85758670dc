//! What the core tells, in numbers.

use super::core::{Action, Cause, Origin};
use crate::observe::metrics::{ChangeOrigin, HostChange, MoveCause, metrics};

/// Counts what happened.
pub(super) fn count(action: &Action) {
    let metrics = metrics();
    let changed = |change, by| metrics.host_changes.of(change).of(origin(by)).count();
    match action {
        Action::Kick { .. } => metrics.kicks.count(),
        Action::MoveStarted(movement) => {
            let (cause, by) = cause(movement.cause);
            metrics.moves.of(cause).of(by).count();
        }
        Action::Stuck { .. } => metrics.moves_stuck.count(),
        Action::FlushStarted { origin: by, .. } | Action::UsersForgotten { origin: by, .. } => {
            metrics.flushes.of(origin(*by)).count();
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
