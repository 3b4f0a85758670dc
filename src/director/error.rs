//! What can go wrong when the director is set up and when a login asks it.

use thiserror::Error;

use super::{
    core::{FormatError, MailServerError, OperationError, UserHash, Wait},
    flush_program::TargetError,
    state::StateError,
    waits,
};
use crate::observe::tally::WaitReason;

/// Why the director does not start, or refuses a reload. Nobody sees it but the log.
#[derive(Debug, Error)]
pub enum DirectorError {
    /// A word of `director_mail_servers`.
    #[error(transparent)]
    MailServer(#[from] MailServerError),
    /// Only names, and none of them has an address: a reload would leave no backend where there are some.
    #[error("director_mail_servers: no name could be resolved, and no backend would be left")]
    NoHosts,
    /// `director_username_hash`.
    #[error("director_username_hash: {0}")]
    UsernameHash(#[from] FormatError),
    /// `director_flush_socket`.
    #[error(transparent)]
    FlushSocket(#[from] TargetError),
    /// `director_state_dir`.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state could not be read to its end.
    #[error("director_state_dir: reading failed: {0}")]
    Reading(#[source] std::io::Error),
    /// A change that the users of the moment do not allow.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// Why a login has no backend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// There is no director; the auth service must name the host. Told as `[UNAVAILABLE]`.
    #[error("host not given")]
    NoDirector,
    /// No usable backend with this tag, or the user was being moved, for the whole time. Told as a temporary failure
    /// (spec/director.md 8.1).
    #[error("Timeout because {wait} - queued for {waited_secs} secs (hash={hash}, tag={tag})")]
    Timeout {
        /// The last reason.
        wait: Wait,
        /// How long the login waited.
        waited_secs: u64,
        /// The user.
        hash: UserHash,
        /// `director_tag`, fit for a log line.
        tag: String,
    },
}

impl PlaceError {
    /// Why the login waited, at last.
    pub fn wait_reason(&self) -> WaitReason {
        match self {
            Self::NoDirector => WaitReason::None,
            Self::Timeout { wait, .. } => waits::reason(Some(*wait)),
        }
    }
}
