//! Socket files: made with owner and mode before anybody can connect, in place of those that nobody serves any more,
//! and removed at the end.

use std::{
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use nix::unistd::{Group, User};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::config::settings::{SocketRole, SocketSettings};

/// Connections that the kernel holds until they are accepted; what the reference asks for.
const BACKLOG: i32 = 511;

/// Folders that are missing: others may pass, as in the reference's `base_dir`.
const FOLDER_MODE: u32 = 0o755;

/// A socket cannot be made.
#[derive(Debug, Error)]
#[error("service director: cannot make {}: {cause}", path.display())]
pub struct BindError {
    path: PathBuf,
    #[source]
    cause: Cause,
}

#[derive(Debug, Error)]
enum Cause {
    #[error("another program serves it")]
    InUse,
    #[error("a file that is no {0} is there")]
    OtherFile(&'static str),
    #[error("no {what} {name} exists")]
    Unknown { what: &'static str, name: String },
    #[error("its owner cannot be set: {0}")]
    Owner(io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A socket with its file.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) role: SocketRole,
    pub(super) door: Door,
    pub(super) file: SocketFile,
}

/// Where others come in.
#[derive(Debug)]
pub(super) enum Door {
    Socket(UnixListener),
    Fifo(File),
}

impl Bound {
    pub(super) fn new(settings: &SocketSettings) -> Result<Self, BindError> {
        let (door, file) =
            open(settings).map_err(|cause| BindError { path: settings.path.clone(), cause })?;
        Ok(Self { role: settings.role, door, file })
    }
}

fn open(settings: &SocketSettings) -> Result<(Door, SocketFile), Cause> {
    let owner = Owner::of(settings)?;
    if let Some(folder) = settings.path.parent() {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    match settings.role {
        SocketRole::RefreshFifo => fifo(settings, &owner),
        _ => socket(settings, &owner),
    }
}

/// Nobody can connect before it listens, so nobody sees it with another mode.
fn socket(settings: &SocketSettings, owner: &Owner) -> Result<(Door, SocketFile), Cause> {
    let path = &settings.path;
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    owner.apply(path, settings.mode)?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok((Door::Socket(socket.into()), file))
}

/// A socket that nobody serves refuses connections.
fn remove_stale(path: &Path) -> Result<(), Cause> {
    let Some(known) = metadata(path)? else { return Ok(()) };
    if !known.file_type().is_socket() {
        return Err(Cause::OtherFile("socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Otherwise a full queue would be waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
        // Connected, or its queue is full.
        _ => Err(Cause::InUse),
    }
}

/// One that is there already is used further: login processes may have it open. Open for writing here, too, it
/// outlives them.
fn fifo(settings: &SocketSettings, owner: &Owner) -> Result<(Door, SocketFile), Cause> {
    let path = &settings.path;
    match metadata(path)? {
        Some(known) if !known.file_type().is_fifo() => return Err(Cause::OtherFile("fifo")),
        Some(_) if is_read(path)? => return Err(Cause::InUse),
        Some(_) => {}
        None => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::empty(), 0).map_err(io::Error::from)?,
    }
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    owner.apply(path, settings.mode)?;
    let fifo = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    Ok((Door::Fifo(fifo.into()), SocketFile::of(path)?))
}

/// Without a reader a fifo cannot be opened for writing only.
fn is_read(path: &Path) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NXIO) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whose a file is to be; `None` leaves it as it is.
struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

impl Owner {
    fn of(settings: &SocketSettings) -> Result<Self, Cause> {
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

    fn apply(&self, path: &Path, mode: u32) -> Result<(), Cause> {
        if self.user.is_some() || self.group.is_some() {
            std::os::unix::fs::lchown(path, self.user, self.group).map_err(Cause::Owner)?;
        }
        Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
    }
}

/// A number, or the number of a name.
fn id(
    what: &'static str,
    name: &str,
    look_up: impl Fn(&str) -> nix::Result<Option<u32>>,
) -> Result<u32, Cause> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = look_up(name).map_err(io::Error::from)?;
    found.ok_or_else(|| Cause::Unknown { what, name: name.to_owned() })
}

/// Removed when dropped, if it still is the file that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: made.dev(), inode: made.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        // Without the right to remove it, it stays, and the next start finds that nobody serves it.
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(target: "homing::relay", "cannot remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests;
