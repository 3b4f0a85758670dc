//! What a restart must not lose, as values: what is written down, bit by bit, and what a new core makes of it. It does
//! not know files or formats.

mod changed;
mod drains;
mod export;
mod restore;

use std::{net::IpAddr, sync::Arc, time::Duration};

pub(super) use changed::Changed;
pub use changed::{CHANGES_MAX, Change, UnsavedChanges};
pub use restore::Restored;

use super::{Cause, Draining, ForeignUse, Host, Moment, Naming, Origin, UserHash};

/// A whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Backends and rules.
    pub hosts: SavedHosts,
    /// Mappings; a user under one tag is there once.
    pub users: Vec<SavedUser>,
}

/// The backends, and what the configuration said of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHosts {
    /// How the names became the hashes of the mappings.
    pub naming: Naming,
    /// How long mappings lived without session.
    pub expire: Duration,
    /// The configuration that was in force; what is here and not in the table was removed while running.
    pub configured: Vec<Arc<Host>>,
    /// The table, and backends that are gone but still named by mappings.
    pub backends: Vec<SavedBackend>,
    /// The drains under way.
    pub drains: Vec<SavedDrain>,
}

/// One drain that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedDrain {
    /// Of which backend.
    pub ip: IpAddr,
    /// Who wants it.
    pub origin: Origin,
    /// When it began.
    pub started: Moment,
    /// How it is to be done.
    pub limits: Draining,
    /// The weight before; `None` if it has not been changed yet.
    pub vhosts_before: Option<u32>,
    /// Users at the beginning.
    pub users_at_start: u64,
    /// Users who have been moved away since.
    pub moved: u64,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedBackend {
    /// What mappings name it by. One that was removed and added again is two.
    pub number: u32,
    /// The backend.
    pub host: Arc<Host>,
    /// Last change between up and down, and who made it.
    pub changed: Option<(Moment, Origin)>,
    /// Not in the table any more.
    pub is_gone: bool,
}

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedUser {
    /// The user's tag, which is that of the backend.
    pub tag: Vec<u8>,
    /// Who.
    pub hash: UserHash,
    /// Where: [`SavedBackend::number`].
    pub backend: u32,
    /// When the last session ended or the mapping was last confirmed; `None` while there were sessions. Those of the
    /// program end with it.
    pub seen: Option<Moment>,
    /// Since when, in Unix seconds.
    pub mapped_secs: u32,
    /// Why.
    pub cause: Cause,
    /// The move under way.
    pub moving: Option<SavedMove>,
    /// Sessions of other programs, which go on; one for each use.
    pub foreign: Vec<SavedForeign>,
}

/// Sessions of a user that other programs forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedForeign {
    /// What for.
    pub purpose: ForeignUse,
    /// When the last one got its place.
    pub placed: Moment,
}

/// A move under way. What becomes of it is its target and a time to wait; its flush program is not run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedMove {
    /// The old backend.
    pub from: IpAddr,
    /// The new one; `None` if none is left.
    pub to: Option<IpAddr>,
    /// Why.
    pub cause: Cause,
    /// Until when logins wait; `None` while the old sessions had not ended for sure.
    pub until: Option<Moment>,
}
