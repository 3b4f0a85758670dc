//! What survives a restart, in the folder `director_state_dir`. One file: everything once, and behind it what has
//! changed since, in batches; when those have become more than the rest it is written anew. Each line has a checksum
//! that covers the one before, too, and nothing of a file counts but up to the end of a batch.
//!
//! A killed program loses the changes of the last two seconds, and of backends, moves and foreign sessions those of the
//! last moment (`keeper::PAUSE`, `keeper::SOON`); one that is stopped loses nothing. What a mapping was that is lost so,
//! the hash says again, unless backends have changed since it was made. This room does not know what a change means.

mod check;
mod file;
mod keeper;
mod record;
mod seal;
mod store;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    core::{Action, Core, Moment, Saved, Table},
    foreign::ForeignKicks,
    told,
};
pub use check::check;
pub(super) use keeper::Keeper;
pub(super) use store::Store;

/// Why a folder cannot be used. The program does not start then, since whoever sets one counts on it.
#[derive(Debug, Error)]
pub enum StateError {
    /// It is not there, or permissions are missing.
    #[error("director_state_dir: {}: {error}", path.display())]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// Another process holds the lock.
    #[error("director_state_dir: {}: another Homing uses this folder; each needs its own", .0.display())]
    InUse(PathBuf),
    /// The user that the program becomes could not write there.
    #[error("director_state_dir: {}: user {user} (default_login_user) cannot write there", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Who.
        user: String,
    },
}

impl StateError {
    fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Folder { path, error }
    }
}

/// Tables as the last run has left them. All sessions are those of other programs.
pub(super) fn restored(now: Moment, table: Table, saved: Saved, kicks: &ForeignKicks) -> Core {
    let (core, counts, told) = Core::restored(now, table, saved);
    told.iter().for_each(told::tell);
    kicks.add(told.iter().filter_map(|action| match action {
        Action::Kick { session } => Some(session.user().hash()),
        _ => None,
    }));
    tracing::info!(
        "state of the last run taken over; users: {}, of them being moved: {}, with sessions of other login processes: {}, expired meanwhile: {}, without backend: {}",
        counts.users,
        counts.moving,
        counts.foreign,
        counts.expired,
        counts.dropped
    );
    core
}

/// Changes of backends and moves, which no hash brings back.
pub(super) fn is_pressing(action: &Action) -> bool {
    match action {
        Action::MoveStarted(_)
        | Action::MoveEnded(_)
        | Action::UserMapped { .. }
        | Action::UsersForgotten { .. }
        | Action::DrainStarted { .. }
        | Action::DrainChanged { .. }
        | Action::HostAdded { .. }
        | Action::HostChanged { .. }
        | Action::HostRemoved { .. } => true,
        Action::Kick { .. }
        | Action::Wake { .. }
        | Action::WakeAll
        | Action::RunFlush(_)
        | Action::AbortFlush { .. }
        | Action::Stuck { .. }
        | Action::UserKicked { .. }
        | Action::FlushStarted { .. }
        | Action::FlushWalked { .. }
        | Action::FlushEnded { .. }
        | Action::HostDiffers { .. } => false,
    }
}
