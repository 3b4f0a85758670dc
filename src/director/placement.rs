//! The placement of one session: while it lives the user has no other backend.

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    PlaceError, PlaceRequest, SessionLine,
    core::{Host, SessionKey, Wait},
    tables::Tables,
};

/// Who forwards a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionPlace {
    /// This program, which ends it when asked.
    Here,
    /// Another one.
    Elsewhere,
}

/// A session's place, given back on drop.
#[derive(Debug)]
pub struct Placement {
    tables: Arc<Tables>,
    session: SessionKey,
    host: Arc<Host>,
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
        let placed = tables.place(request, (place == SessionPlace::Here).then_some(&line))?;
        Ok(placed.map(|placed| Self { tables, session: placed.session, host: placed.host, line }))
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
}

impl Drop for Placement {
    fn drop(&mut self) {
        self.tables.release(self.session);
    }
}
