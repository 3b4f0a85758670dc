//! What changes the director's tables beside logins, who wants it, and what has to be done about it. A change is a
//! value, so that it can come from a file, a person or another director and has the same effect everywhere.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use thiserror::Error;

use super::{Host, Naming, SessionKey, UserHash};

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Backends; addresses are unique.
    pub hosts: Vec<Host>,
    /// How names become hashes.
    pub naming: Naming,
    /// How long a mapping outlives its last session.
    pub expire: Duration,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Takes over a configured table. A backend that is gone takes no new users and is forgotten by those without
    /// session; those with sessions stay until the last one has ended.
    Configure(Table),
    /// Ends the sessions of a user. The mapping stays (spec/director.md 4.10).
    Kick {
        /// Whose.
        user: UserHash,
    },
}

/// Who wants a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    Configuration,
    /// A person.
    Operator,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Operator => "operator",
        })
    }
}

/// What the world around has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End this session.
    Kick {
        /// Which one.
        session: SessionKey,
    },
    /// Tell that a backend is new.
    HostAdded {
        /// The backend.
        host: Arc<Host>,
        /// Who added it.
        origin: Origin,
    },
    /// Tell that a backend is gone.
    HostRemoved {
        /// The backend.
        ip: IpAddr,
        /// Users whose sessions stay there until they end.
        users: usize,
        /// Who removed it.
        origin: Origin,
    },
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OperationError {
    /// Another hash for the same names while users are logged in.
    #[error(
        "director_username_hash and auth_master_user_separator can change only while no user is logged in; restart instead"
    )]
    NamingInUse,
}
