//! A file that goes when its server goes.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Removes the file when dropped, if it still is the one that was made.
#[derive(Debug)]
pub struct FileGuard {
    path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
}

impl FileGuard {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        let is_ours = identity(&self.path).is_ok_and(|found| found == self.identity);
        // Without the right to remove it, it stays, and the next start finds that nobody serves it.
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(target: "homing::sockets", "cannot remove {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
