//! Asks an auth service on behalf of sessions: Dovecot's auth-client socket, or password databases that Homing
//! reads itself. Both look the same from outside. Knows no mail protocol and no director.

mod embedded;
mod exchange;
mod socket;

use std::{io, path::PathBuf, sync::Arc};

use homing_login::{AuthRequest, Mechanism};
use thiserror::Error;
use tokio::sync::watch;

use crate::config::settings::{AuthSettings, AuthSource};
use embedded::Embedded;
pub use exchange::Exchange;
use socket::Pool;

/// Why authentication cannot be set up. A service that is merely down is no error: it may come up later.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The path of the socket is longer than the system allows.
    #[error("auth socket {path}: {source}")]
    SocketPath {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No passdb at all.
    #[error("no passdb is configured")]
    NoPassdb,
    /// A scheme that Homing does not know.
    #[error("passdb: unknown password scheme {0}")]
    UnknownScheme(String),
    /// A `%` sequence that Homing does not know.
    #[error("passdb: unknown variable in {0}")]
    UnknownVariable(String),
}

/// The handle to who authenticates. Cheap to clone; when the last clone is dropped, connections are closed.
#[derive(Clone)]
pub struct Auth(Arc<Source>);

enum Source {
    Socket(Pool),
    Embedded(Embedded),
}

impl Auth {
    /// Starts what the settings ask for, inside a runtime. Connects in the background.
    pub fn start(settings: &AuthSettings) -> Result<Self, AuthError> {
        let source = match &settings.source {
            AuthSource::Socket(path) => Source::Socket(Pool::start(path, socket::Timing::default())?),
            AuthSource::Embedded(passdbs) => Source::Embedded(Embedded::new(passdbs, settings)?),
        };
        Ok(Self(Arc::new(source)))
    }

    /// The mechanisms on offer; `None` while nobody can be asked.
    pub fn availability(&self) -> watch::Receiver<Option<Arc<[Mechanism]>>> {
        match &*self.0 {
            Source::Socket(pool) => pool.availability(),
            Source::Embedded(embedded) => embedded.availability(),
        }
    }

    /// Starts a request. It always ends with a reply, [`homing_login::AuthReply::Lost`] if there is no service.
    pub fn begin(&self, request: AuthRequest) -> Exchange {
        match &*self.0 {
            Source::Socket(pool) => pool.begin(&request),
            Source::Embedded(embedded) => embedded.begin(request),
        }
    }
}

#[cfg(test)]
mod dovecot_tests;
