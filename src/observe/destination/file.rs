//! A log file, appended to and reopened after rotation.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

/// Log lines name users and addresses: nobody else's business.
const MODE: u32 = 0o600;

pub(in crate::observe) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    pub(in crate::observe) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self { file: append_to(&path)?, path })
    }

    /// One write per line: with O_APPEND, lines of several processes do not mix.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())
    }

    /// On error the old file stays in use.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "; it must belong to default_login_user",
                _ => "",
            };
            io::Error::new(error.kind(), format!("{}: {error}{hint}", self.path.display()))
        })?;
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}
