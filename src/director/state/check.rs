//! Whether a folder could be used, without using it: for a check of the configuration.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{Uid, User};

use super::StateError;

/// Owner, group and others in a mode: write and search.
const OWNER: u32 = 0o300;
const GROUP: u32 = 0o030;
const OTHERS: u32 = 0o003;

/// `user` is whom the program becomes when root starts it. Access lists are not looked at.
pub fn check(folder: &Path, user: Option<&str>) -> Result<(), StateError> {
    let metadata = fs::metadata(folder).map_err(StateError::folder(folder))?;
    if !metadata.is_dir() {
        return Err(StateError::folder(folder)(std::io::ErrorKind::NotADirectory.into()));
    }
    let account = user.filter(|_| Uid::effective().is_root()).and_then(|name| User::from_name(name).ok()?);
    let Some(account) = account.filter(|account| !account.uid.is_root()) else {
        return rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .map_err(|error| StateError::folder(folder)(error.into()));
    };
    let needed = if metadata.uid() == account.uid.as_raw() {
        OWNER
    } else if metadata.gid() == account.gid.as_raw() {
        GROUP
    } else {
        OTHERS
    };
    if metadata.mode() & needed == needed {
        return Ok(());
    }
    Err(StateError::NotWritable { path: folder.to_owned(), user: account.name })
}
