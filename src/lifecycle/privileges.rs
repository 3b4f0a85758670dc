//! Gives up root after the listening sockets are bound.

use nix::unistd::{Uid, User, setgid, setgroups, setuid};
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
}

/// Becomes `user` if started as root; does nothing otherwise. libc applies it to every thread of the process
/// (nptl(7)), so the runtime may be running.
pub fn drop_to(user: &str) -> Result<(), PrivilegeError> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let refused = |error| PrivilegeError::Refused { user: user.to_owned(), error };
    let account =
        User::from_name(user).map_err(refused)?.ok_or_else(|| PrivilegeError::NoSuchUser(user.to_owned()))?;
    setgroups(&[account.gid]).map_err(refused)?;
    setgid(account.gid).map_err(refused)?;
    setuid(account.uid).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_users_are_refused_by_name() {
        if Uid::effective().is_root() {
            let error = drop_to("no-such-user-here").unwrap_err().to_string();
            assert!(error.contains("no-such-user-here"), "{error}");
        }
    }
}
