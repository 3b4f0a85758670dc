//! Sockets that listen for those who read metrics.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::settings::MetricsPlace;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// Mode of socket files: like a port on loopback, they are for everybody on this machine whom the folder lets in.
const MODE: u32 = 0o666;

/// A socket with its place.
pub(super) struct Bound {
    pub(super) place: MetricsPlace,
    pub(super) socket: Listening,
}

pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, FileGuard),
}

/// A file of ours; removed on drop unless somebody has put another one there.
pub(super) struct FileGuard {
    path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
}

impl Bound {
    pub(super) fn new(place: &MetricsPlace) -> io::Result<Self> {
        let socket = match place {
            MetricsPlace::Tcp(address) => tcp(*address),
            MetricsPlace::Unix(path) => unix(path),
        };
        Ok(Self { place: place.clone(), socket: socket? })
    }
}

fn tcp(address: SocketAddr) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    listen(&socket)?;
    Ok(Listening::Tcp(socket.into()))
}

/// The file has its mode before anybody can connect.
fn unix(path: &Path) -> io::Result<Listening> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let guard = FileGuard { path: path.to_owned(), identity: identity(path)? };
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    listen(&socket)?;
    Ok(Listening::Unix(socket.into(), guard))
}

fn listen(socket: &Socket) -> io::Result<()> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)
}

/// Removes the socket of a process that has ended; one at which somebody listens stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let taken = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return taken("there is a file that is no socket");
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => taken("another program listens there"),
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        // Where it cannot be removed, the next start finds that nobody serves it.
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(target: "homing::metrics", "cannot remove {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
