//! Fifos. One that is there already is used further, since its writers may have it open.

use std::{fs::File, io, os::unix::fs::FileTypeExt, path::Path};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::{FileGuard, SocketError, make_folder, metadata, owner::Owner};
use crate::config::settings::SocketFile;

/// A fifo that is read without blocking. It is open for writing here, too, so it outlives its writers.
#[derive(Debug)]
pub struct Fifo {
    /// What writers say.
    pub reader: File,
    /// To be kept as long as it is read.
    pub file: FileGuard,
}

impl Fifo {
    /// Makes it, or takes over one that nobody reads.
    pub fn open(settings: &SocketFile) -> Result<Self, SocketError> {
        let owner = Owner::of(settings)?;
        let path = &settings.path;
        make_folder(path)?;
        match metadata(path)? {
            Some(known) if !known.file_type().is_fifo() => return Err(SocketError::OtherFile("fifo")),
            Some(_) if is_read(path)? => return Err(SocketError::InUse),
            Some(_) => {}
            None => {
                rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::empty(), 0).map_err(io::Error::from)?
            }
        }
        owner.apply(path, settings.mode)?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let reader = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
        Ok(Self { reader: reader.into(), file: FileGuard::of(path)? })
    }
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
