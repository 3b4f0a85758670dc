//! Where lines go. Used by the writer thread only, so each may block.

mod file;
mod journal;
mod syslog;

use std::io::{self, Write as _};

pub(super) use self::{file::LogFile, journal::Journal, syslog::Syslog};
use super::{format::LineFormat, record::Record};

/// One of the destinations.
pub(super) enum Destination {
    File(LogFile, LineFormat),
    Stderr(LineFormat),
    Syslog(Syslog),
    Journal(Journal),
}

impl Destination {
    /// False if the line is lost.
    pub(super) fn write(&mut self, record: &Record) -> bool {
        match self {
            Self::File(file, format) => file.write(&format.line(record)).is_ok(),
            Self::Stderr(format) => io::stderr().write_all(format.line(record).as_bytes()).is_ok(),
            Self::Syslog(syslog) => syslog.write(record),
            Self::Journal(journal) => {
                journal.write(record);
                true
            }
        }
    }

    /// For log rotation; only files have something to do.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.reopen(),
            _ => Ok(()),
        }
    }
}
