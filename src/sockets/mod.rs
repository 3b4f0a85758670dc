//! Socket files: made with owner and mode before anybody can connect, in place of those that nobody serves any more,
//! and removed at the end; and ports, for those who serve both. What is spoken there, and whether a program can do
//! without, is for the rooms that serve them.

mod fifo;
mod guard;
mod listening;
mod owner;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, Metadata},
    io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt},
        net::UnixListener,
    },
    path::Path,
};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::config::settings::SocketFile;
pub use fifo::Fifo;
pub use guard::FileGuard;
pub use listening::{Acceptor, Arrival, Listening, Stream};
use owner::Owner;

/// Connections that the kernel holds until they are accepted; what the reference asks for.
const BACKLOG: i32 = 511;

/// Folders that are missing: others may pass, as in the reference's `base_dir`.
const FOLDER_MODE: u32 = 0o755;

/// Why a file cannot be made. Whoever tells names the file.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Somebody listens or reads there.
    #[error("another program serves it")]
    InUse,
    /// A file of another kind.
    #[error("a file that is no {0} is there")]
    OtherFile(&'static str),
    /// A user or a group.
    #[error("no {what} {name} exists")]
    Unknown {
        /// Which of both.
        what: &'static str,
        /// As configured.
        name: String,
    },
    /// Only root gives files away.
    #[error("its owner cannot be set: {0}")]
    Owner(#[source] io::Error),
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A socket that listens without blocking, and its file.
#[derive(Debug)]
pub struct UnixSocket {
    /// Where connections come in.
    pub listener: UnixListener,
    /// To be kept as long as it is served.
    pub file: FileGuard,
}

impl UnixSocket {
    /// Makes it. Nobody can connect before it listens, so nobody sees it with another owner or mode. May need root,
    /// and no runtime.
    pub fn listen(settings: &SocketFile) -> Result<Self, SocketError> {
        let owner = Owner::of(settings)?;
        let path = &settings.path;
        make_folder(path)?;
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = FileGuard::of(path)?;
        owner.apply(path, settings.mode)?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: socket.into(), file })
    }
}

/// Whether the owners exist, without making anything: for a check of the configuration.
pub fn check(settings: &SocketFile) -> Result<(), SocketError> {
    Owner::of(settings).map(drop)
}

fn make_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder))
}

/// A socket that nobody serves refuses connections.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let Some(known) = metadata(path)? else { return Ok(()) };
    if !known.file_type().is_socket() {
        return Err(SocketError::OtherFile("socket"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Otherwise a full queue would be waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
        // Connected, or its queue is full.
        _ => Err(SocketError::InUse),
    }
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
