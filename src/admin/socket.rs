//! Makes the sockets, as root if the program was started so. One that cannot be made is a warning: users are served
//! without it.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::unistd::{Group, User};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::settings::{AdminProtocol, AdminSettings, SocketFile, SocketPlace};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// Sockets that listen but are not accepted from yet.
#[derive(Default)]
pub struct AdminSockets(pub(super) Vec<AdminListener>);

/// One of them.
pub(super) struct AdminListener {
    pub(super) protocol: AdminProtocol,
    pub(super) name: String,
    pub(super) socket: Listening,
}

pub(super) enum Listening {
    Unix(UnixListener, FileGuard),
    Tcp(TcpListener),
}

/// A file of ours; removed on drop unless somebody has put another one there.
pub(super) struct FileGuard {
    path: PathBuf,
    /// Device and number.
    identity: (u64, u64),
}

impl AdminSockets {
    /// Makes what the settings want. Needs no runtime, so that it can be done before root is given up.
    pub fn bind(settings: &AdminSettings) -> Self {
        let mut sockets = Vec::new();
        for socket in &settings.sockets {
            let (name, made) = match &socket.place {
                SocketPlace::Unix(file) => (file.path.display().to_string(), unix(file)),
                SocketPlace::Tcp(address) => (address.to_string(), tcp(*address)),
            };
            match made {
                Ok(made) => sockets.push(AdminListener { protocol: socket.protocol, name, socket: made }),
                Err(error) => tracing::warn!(
                    target: "homing::admin",
                    "cannot listen on {name}: {error}; doveadm does not reach Homing there"
                ),
            }
        }
        Self(sockets)
    }
}

fn tcp(address: std::net::SocketAddr) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Listening::Tcp(socket.into()))
}

/// The file has its owner and its mode before anybody can connect.
fn unix(file: &SocketFile) -> io::Result<Listening> {
    let user = file.user.as_deref().map(uid).transpose()?;
    let group = file.group.as_deref().map(gid).transpose()?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(&file.path)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(&file.path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let guard = FileGuard::of(&file.path)?;
    fs::set_permissions(&file.path, fs::Permissions::from_mode(file.mode))?;
    if user.is_some() || group.is_some() {
        chown(&file.path, user, group)?;
    }
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Listening::Unix(socket.into(), guard))
}

/// Removes the socket of a process that has ended. One at which somebody listens stays: that may be Dovecot's.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "there is a file that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
    }
}

impl FileGuard {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        if !identity(&self.path).is_ok_and(|found| found == self.identity) {
            return;
        }
        // The folder may be one that only root can write to. The next start finds a stale socket then.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(target: "homing::admin", "cannot remove {}: {error}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn uid(name: &str) -> io::Result<u32> {
    let known = || Some(User::from_name(name).ok()??.uid.as_raw());
    name.parse().ok().or_else(known).ok_or_else(|| io::Error::other(format!("user {name} does not exist")))
}

fn gid(name: &str) -> io::Result<u32> {
    let known = || Some(Group::from_name(name).ok()??.gid.as_raw());
    name.parse().ok().or_else(known).ok_or_else(|| io::Error::other(format!("group {name} does not exist")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), mode: 0o640, user: None, group: None }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("director-admin");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "nobody listens any more");
        let ours = unix(&file(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let error = unix(&file(&path)).err().unwrap();
        assert_eq!(error.to_string(), "another program listens there");
        UnixStream::connect(&path).unwrap();
        drop(ours);
        assert!(!path.exists(), "removed at the end");
    }

    #[test]
    fn files_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("director-admin");
        let ours = unix(&file(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(ours);
        assert!(unix(&file(&path)).is_err(), "no socket");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn owners_are_names_or_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ipc");
        let owned = |user: &str| SocketFile { user: Some(user.to_owned()), ..file(&path) };
        let error = unix(&owned("no-such-user-here")).err().unwrap();
        assert_eq!(error.to_string(), "user no-such-user-here does not exist");
        assert!(!path.exists(), "nothing is left behind");
        let own = nix::unistd::Uid::effective();
        let _made = unix(&owned(&own.to_string())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), own.as_raw());
    }
}
