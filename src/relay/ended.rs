//! Why a conversation ended, in words for the log. No variant carries what was said: it may be a password.

use std::io;

use homing_doveadm::ipc::ProcessError;
use thiserror::Error;

/// Which side it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Auth,
}

/// See the module.
#[derive(Debug, Error)]
pub(super) enum Ended {
    /// The usual end.
    #[error("client disconnected")]
    ClientGone,
    /// The login process reconnects by itself.
    #[error("Auth server disconnected unexpectedly")]
    AuthGone,
    #[error("connect() failed: {0}")]
    Connect(io::Error),
    #[error("{0}")]
    Io(io::Error),
    #[error("the {} does not read", side(.0))]
    Stalled(Side),
    #[error("line too long")]
    LineTooLong,
    #[error("director-authreply client not compatible with this server (mixed old and new binaries?)")]
    Incompatible,
    #[error(transparent)]
    LoginProcess(ProcessError),
}

fn side(side: &Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Auth => "auth service",
    }
}

impl Ended {
    /// What the end of the input of one side means.
    pub(super) fn eof_of(side: Side) -> Self {
        match side {
            Side::Client => Self::ClientGone,
            Side::Auth => Self::AuthGone,
        }
    }

    /// What an error of one side means: most tell in other words that it is gone.
    pub(super) fn error_of(side: Side, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::eof_of(side),
            _ => Self::Io(error),
        }
    }

    /// True if there is nothing to tell.
    pub(super) fn is_usual(&self) -> bool {
        matches!(self, Self::ClientGone)
    }
}
