//! Sessions that other programs forward: they count like any other, but outlive this program. Who the others are and
//! how long they are believed in is not known here.

use std::sync::Arc;

use super::{Cause, Core, Host, Moment, Placed, SessionKey, UserHash, Wait};

/// What a place of another program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForeignUse {
    /// A session that is told of twice in `director_user_expire`: held until nothing was heard for the whole of it, so
    /// that one report may be lost.
    Session,
    /// A session that no kick reaches: its program takes none, or knows it by a name of another hash (spec/director.md
    /// 10, W2). Held as a session; a move waits until nothing is heard of it.
    Unreachable,
    /// A lookup, as for mail delivery: held for a minute.
    Lookup,
}

/// A session of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignSession {
    /// The session.
    pub session: SessionKey,
    /// What for.
    pub purpose: ForeignUse,
    /// When it got its place.
    pub placed: Moment,
}

impl Core {
    /// [`Core::place`] for a session of another program.
    pub fn place_foreign(
        &mut self,
        now: Moment,
        tag: &[u8],
        hash: UserHash,
        purpose: ForeignUse,
    ) -> Result<Placed, Wait> {
        self.place_session(now, tag, hash, Some(purpose))
    }

    /// All sessions of other programs: just behind a restart, those that it took over.
    pub fn foreign_sessions(&self) -> impl Iterator<Item = ForeignSession> {
        self.users.foreign_sessions()
    }

    /// Where a session is, and why.
    pub fn place_of(&self, session: SessionKey) -> Option<(Arc<Host>, Cause)> {
        let user = self.users.row(self.users.find(session.user())?)?;
        self.backends.row(user.host).map(|row| (Arc::clone(&row.host), user.cause))
    }
}
