//! The connections to one auth service: which of them takes a request, and whether there is any.

use std::{
    os::unix::net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use homing_dovecot_auth::BeginError;
use homing_login::{AuthReply, AuthRequest, FailReply, Mechanism};
use homing_wire::Fields;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{CONNECTIONS, Timing, connection, link::Link, trouble::Trouble};
use crate::auth::{AuthError, Exchange};

/// Keeps connections while it lives.
pub(in crate::auth) struct Pool {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What the tasks know.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) timing: Timing,
    pub(super) trouble: Trouble,
    links: Vec<Arc<Link>>,
    availability: watch::Sender<Option<Arc<[Mechanism]>>>,
}

impl Pool {
    /// Starts to connect in the background.
    pub(in crate::auth) fn start(path: &Path, timing: Timing) -> Result<Self, AuthError> {
        SocketAddr::from_pathname(path)
            .map_err(|source| AuthError::SocketPath { path: path.to_owned(), source })?;
        let links: Vec<Arc<Link>> = (0..CONNECTIONS).map(|_| Arc::default()).collect();
        let availability = watch::Sender::new(None);
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            timing,
            trouble: Trouble::default(),
            links,
            availability,
        });
        let stop = CancellationToken::new();
        for link in &shared.links {
            let (shared, link, stop) = (Arc::clone(&shared), Arc::clone(link), stop.clone());
            tokio::spawn(async move {
                let _ = stop.run_until_cancelled(connection::keep(shared, Arc::clone(&link))).await;
                link.disconnected(|| ());
            });
        }
        Ok(Self { shared, _stop: stop.drop_guard() })
    }

    pub(in crate::auth) fn availability(&self) -> watch::Receiver<Option<Arc<[Mechanism]>>> {
        self.shared.availability.subscribe()
    }

    #[cfg(test)]
    pub(super) fn all_ready(&self) -> bool {
        self.shared.links.iter().all(|link| link.mechanisms().is_some())
    }

    /// Asks at the connection with the fewest open requests.
    pub(in crate::auth) fn begin(&self, request: &AuthRequest) -> Exchange {
        let ready = self.shared.links.iter().filter_map(|link| Some((link.load()?, link)));
        let Some((_, link)) = ready.min_by_key(|(load, _)| *load) else {
            return refused(BeginError::NotReady);
        };
        match link.begin(request) {
            Ok((replies, ticket)) => Exchange::new(replies, ticket, self.shared.timing.reply),
            Err(error) => refused(error),
        }
    }
}

impl Shared {
    /// Tells whether anybody can be asked.
    pub(super) fn refresh(&self) {
        self.availability.send_if_modified(|known| {
            let now = self.links.iter().find_map(|link| link.mechanisms());
            let changed = *known != now;
            *known = now;
            changed
        });
    }
}

fn refused(error: BeginError) -> Exchange {
    tracing::warn!(target: "homing::auth", "request not sent: {error}");
    let fail = |fields| AuthReply::Fail(FailReply { fields });
    Exchange::ended(match error {
        BeginError::UnknownMechanism => {
            let reason = "Unsupported authentication mechanism.";
            fail(Fields::new().with("code", "auth_mech_invalid").with("reason", reason))
        }
        BeginError::TooLong => fail(Fields::new().with("code", "temp_fail")),
        BeginError::NotReady | BeginError::Busy => AuthReply::Lost,
    })
}
