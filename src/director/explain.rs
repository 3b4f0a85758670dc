//! Why a user is where they are, in one answer.

use std::{net::IpAddr, sync::Arc};

use super::{
    Director,
    core::{DrainProgress, Host, Moment, Origin, UserHash, UserRow, Wait},
    history::HistoryEntry,
};

/// All that is known of a user under a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Who.
    pub user: UserHash,
    /// Under which tag.
    pub tag: Vec<u8>,
    /// When this was so.
    pub at: Moment,
    /// The mapping: where, since when, why, for how long, how many sessions, and the move under way with what it waits
    /// for.
    pub current: Option<UserRow>,
    /// The backend of the mapping.
    pub backend: Option<ExplainedBackend>,
    /// Where the ring puts the user now, and so where a flush would.
    pub hashed: Option<IpAddr>,
    /// Where the ring of the configuration alone would.
    pub configured: Option<IpAddr>,
    /// What a login would be told now.
    pub login: Result<IpAddr, Wait>,
    /// Mappings of the same hash under other tags.
    pub elsewhere: Vec<UserRow>,
    /// What happened lately, under all tags, oldest first.
    pub history: Vec<HistoryEntry>,
}

/// The backend of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedBackend {
    /// The backend.
    pub host: Arc<Host>,
    /// Not in the table any more, or under another tag.
    pub leaving: bool,
    /// Last change between up and down, and who made it.
    pub changed: Option<(Moment, Origin)>,
    /// The drain under way, if any.
    pub drain: Option<DrainProgress>,
}

impl Director {
    /// Everything about a user, without changing anything.
    pub fn explain(&self, tag: &[u8], user: UserHash) -> Explanation {
        let history = self.history(user);
        self.tables.read(|core, at| {
            let lookup = core.lookup(at, tag, user);
            let backend = lookup.current.as_ref().and_then(|row| core.backend_of(row.user)).map(|row| {
                let drain = core.drain_of(at, row.host.ip).filter(|drain| !drain.is_over());
                ExplainedBackend { host: row.host, leaving: row.leaving, changed: row.changed, drain }
            });
            Explanation {
                user,
                tag: tag.to_vec(),
                at,
                backend,
                login: lookup.login(),
                hashed: lookup.hashed,
                configured: lookup.initial,
                elsewhere: core.rows_of(at, user).filter(|row| row.tag != tag).collect(),
                current: lookup.current,
                history,
            }
        })
    }
}
