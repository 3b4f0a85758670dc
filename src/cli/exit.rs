//! How commands end: one exit status for one kind of ending, the same for all of them (spec/director.md 10, W32).

use std::process::ExitCode;

use thiserror::Error;

/// `EX_USAGE` of sysexits.h.
pub(super) const EXIT_USAGE: u8 = 64;
/// `EX_CONFIG`.
pub(super) const EXIT_CONFIG: u8 = 78;

/// For `--help` of commands that ask a running program.
pub(super) const EXIT_HELP: &str = "Exit status:
  0   done
  64  the command line is wrong
  65  the data cannot be read
  68  there is no such backend, user or director
  69  the program that should answer cannot be reached
  75  not done: refused, or busy, or what was waited for has not ended
  76  the other side does not speak as expected, or does not know this command
  78  the configuration does not say where to ask";

/// Why a command was not done, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file is not what it should be.
    #[error("{0}")]
    Data(String),
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
    /// Refused, or not now.
    #[error("{0}")]
    NotDone(String),
    /// The other side is not understood.
    #[error("{0}")]
    Protocol(String),
    /// The configuration is no help.
    #[error("{0}")]
    Config(String),
}

impl Fault {
    /// Exit status.
    pub(super) fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Data(_) => 65,
            Self::NotFound(_) => 68,
            Self::Unreachable(_) => 69,
            Self::NotDone(_) => 75,
            Self::Protocol(_) => 76,
            Self::Config(_) => EXIT_CONFIG,
        }
    }

    /// Exit status for the program.
    pub(super) fn exit(&self) -> ExitCode {
        ExitCode::from(self.status())
    }
}
