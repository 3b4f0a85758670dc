//! Gives up root after the listening sockets are bound.

use std::{
    os::unix::fs::lchown,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User, setgid, setgroups, setuid};
use rustix::{
    io,
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities},
};
use thiserror::Error;

/// Why privileges could not be dropped; the program must not go on.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// The user does not exist.
    #[error("user {0} does not exist (default_login_user)")]
    NoSuchUser(String),
    /// The system refused.
    #[error("cannot become user {user}: {error}")]
    Refused {
        /// Whom to become.
        user: String,
        /// The system's words.
        error: nix::Error,
    },
    /// A file could not be given to the user.
    #[error("{}: cannot change the owner to {user}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Whose it should be.
        user: String,
        /// The system's words.
        error: std::io::Error,
    },
}

/// What is kept of root: keys that only root can read are read again when they change, and a reload may add an
/// address with a port below 1024.
const KEPT: CapabilitySet = CapabilitySet::DAC_READ_SEARCH.union(CapabilitySet::NET_BIND_SERVICE);

/// Becomes `user` if started as root; does nothing otherwise. Capabilities belong to threads: only those started
/// afterwards inherit what is kept, so this comes before the runtime.
///
/// Regular files among `files` are given to the user: to be opened again later, also after a rotation that copies
/// the owner.
pub fn drop_to(user: &str, files: &[&Path]) -> Result<(), PrivilegeError> {
    let Some(account) = account(user)? else { return Ok(()) };
    let refused = |error| PrivilegeError::Refused { user: user.to_owned(), error };
    for file in files.iter().filter(|file| file.is_file()) {
        lchown(file, Some(account.uid.as_raw()), Some(account.gid.as_raw())).map_err(|error| {
            PrivilegeError::File { file: file.to_path_buf(), user: user.to_owned(), error }
        })?;
    }
    let unkept = |error: io::Errno| refused(nix::Error::from_raw(error.raw_os_error()));
    set_keep_capabilities(true).map_err(unkept)?;
    setgroups(&[account.gid]).map_err(refused)?;
    setgid(account.gid).map_err(refused)?;
    setuid(account.uid).map_err(refused)?;
    let kept = CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    set_capabilities(None, kept).map_err(unkept)
}

/// Whether [`drop_to`] would find the user; for a check that changes nothing.
pub fn can_drop_to(user: &str) -> Result<(), PrivilegeError> {
    account(user).map(|_| ())
}

/// Whom to become; `None` if there is nothing to give up.
fn account(user: &str) -> Result<Option<User>, PrivilegeError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let refused = |error| PrivilegeError::Refused { user: user.to_owned(), error };
    let account =
        User::from_name(user).map_err(refused)?.ok_or_else(|| PrivilegeError::NoSuchUser(user.to_owned()))?;
    Ok(Some(account).filter(|account| !account.uid.is_root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_users_are_refused_by_name() {
        if Uid::effective().is_root() {
            let dropped = drop_to("no-such-user-here", &[]);
            for attempt in [dropped, can_drop_to("no-such-user-here")] {
                let error = attempt.unwrap_err().to_string();
                assert!(error.contains("no-such-user-here"), "{error}");
            }
            can_drop_to("root").unwrap();
        }
    }
}
