//! Whose a file is to be: names or numbers of a user and a group.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, lchown},
    path::Path,
};

use nix::unistd::{Group, User};

use super::SocketError;
use crate::config::settings::SocketFile;

/// `None` leaves it as it is.
pub(super) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

impl Owner {
    pub(super) fn of(settings: &SocketFile) -> Result<Self, SocketError> {
        let user = settings.user.as_deref().map(|name| {
            id("user", name, |name| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())))
        });
        let group = settings.group.as_deref().map(|name| {
            id("group", name, |name| {
                Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()))
            })
        });
        Ok(Self { user: user.transpose()?, group: group.transpose()? })
    }

    pub(super) fn apply(&self, path: &Path, mode: u32) -> Result<(), SocketError> {
        if self.user.is_some() || self.group.is_some() {
            lchown(path, self.user, self.group).map_err(SocketError::Owner)?;
        }
        Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
    }
}

/// A number, or the number of a name.
fn id(
    what: &'static str,
    name: &str,
    look_up: impl Fn(&str) -> nix::Result<Option<u32>>,
) -> Result<u32, SocketError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = look_up(name).map_err(io::Error::from)?;
    found.ok_or_else(|| SocketError::Unknown { what, name: name.to_owned() })
}
