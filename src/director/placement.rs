//! The placement of one session: while it lives the user has no other backend.

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    PlaceError, PlaceRequest, SessionLine,
    core::{Cause, ForeignUse, Host, Placed, SessionKey, UserHash, Wait},
    tables::Tables,
    waits,
};
use crate::observe::tally::WaitReason;

/// Who forwards a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionPlace {
    /// This program, which ends it when asked.
    Here,
    /// Another one.
    Elsewhere(ForeignUse),
}

/// A session's place, given back on drop.
#[derive(Debug)]
pub struct Placement {
    tables: Arc<Tables>,
    session: SessionKey,
    host: Arc<Host>,
    cause: Cause,
    waited: WaitReason,
    line: SessionLine,
}

impl Placement {
    /// Registers a session, or says why that has to wait.
    pub(super) fn take(
        tables: &Arc<Tables>,
        request: PlaceRequest<'_>,
        place: SessionPlace,
    ) -> Result<Result<Self, Wait>, PlaceError> {
        let (tables, line) = (Arc::clone(tables), SessionLine::default());
        let placed = match place {
            SessionPlace::Here => tables.place(request, &line)?,
            SessionPlace::Elsewhere(purpose) => tables.place_foreign(request, purpose)?,
        };
        Ok(placed.map(|Placed { session, host, cause, .. }| {
            let (user, to) = (session.user().hash(), host.ip);
            tracing::debug!(
                event = "placed", user_hash = %user, %to, reason = %cause,
                "user hash {user}: a session is placed on {to}, {cause}"
            );
            Self { tables, session, host, cause, waited: WaitReason::None, line }
        }))
    }

    /// The place of a foreign session that an earlier run has left, and its tag.
    pub(super) fn taken_over(tables: &Arc<Tables>, session: SessionKey) -> Option<(Self, Vec<u8>)> {
        let (host, cause) = tables.read(|core, _| core.place_of(session))?;
        let (tag, line, waited) = (host.tag.clone(), SessionLine::default(), WaitReason::None);
        Some((Self { tables: Arc::clone(tables), session, host, cause, waited, line }, tag))
    }

    /// The login had to wait.
    pub(super) fn after(mut self, wait: Option<Wait>) -> Self {
        self.waited = waits::reason(wait);
        self
    }

    /// Whose session it is.
    pub fn user(&self) -> UserHash {
        self.session.user().hash()
    }

    /// Why the user is on this backend.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Why the login waited for its place, at last.
    pub fn waited(&self) -> WaitReason {
        self.waited
    }

    /// Address of the backend.
    pub fn ip(&self) -> IpAddr {
        self.host.ip
    }

    /// Name of the backend, if it was configured by name.
    pub fn hostname(&self) -> Option<&str> {
        self.host.hostname.as_deref()
    }

    /// Fires when the session must end; it counts until this guard is dropped. Never fires for a foreign one.
    pub fn kicked(&self) -> SessionLine {
        self.line.clone()
    }

    /// Bytes of the session have moved. `client_waits`: the client has said something and is not known to have been
    /// answered. Drains move users whose sessions are between two commands first. A session of which nothing is noted is
    /// logging in.
    pub fn note_traffic(&self, at: Instant, client_waits: bool) {
        self.line.note_traffic(self.tables.moment(at), client_waits);
    }

    /// A person has ended the session by other ways than the director.
    pub fn note_kicked(&self) {
        self.tables.note_kicked(self.session, self.host.ip);
    }

    /// True if the user is being moved off a backend that is down or gone: whoever has not been let in there yet can go
    /// where the user goes.
    pub fn leaves_down_host(&self) -> bool {
        let user = self.session.user();
        self.tables.read(|core, now| {
            let row = core.lookup(now, core.tag_of(user), user.hash()).current;
            row.is_some_and(|row| {
                row.moving.is_some() && core.hosts().get(row.ip).is_none_or(|host| !host.up)
            })
        })
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.tables.release(self.session);
    }
}
