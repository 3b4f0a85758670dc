//! Whose socket files are, what they replace, what is left of them.

use std::os::unix::{
    fs::MetadataExt,
    net::{UnixListener, UnixStream},
};

use nix::unistd::{Uid, User};

use super::*;

/// Both kinds of files are made under the same rules.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Socket,
    Fifo,
}

const KINDS: [Kind; 2] = [Kind::Socket, Kind::Fifo];

/// What is served, and its file.
type Made = (Box<dyn std::any::Any>, FileGuard);

impl Kind {
    fn make(self, settings: &SocketFile) -> Result<Made, SocketError> {
        Ok(match self {
            Self::Socket => {
                let UnixSocket { listener, file } = UnixSocket::listen(settings)?;
                (Box::new(listener), file)
            }
            Self::Fifo => {
                let Fifo { reader, file } = Fifo::open(settings)?;
                (Box::new(reader), file)
            }
        })
    }

    fn why(self, settings: &SocketFile) -> String {
        self.make(settings).err().unwrap().to_string()
    }
}

fn settings(path: &Path) -> SocketFile {
    SocketFile { path: path.to_owned(), mode: 0o660, user: None, group: None }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn files_have_their_modes_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/x");
    for kind in KINDS {
        for wanted in [0o660, 0o777, 0o600] {
            let made = kind.make(&SocketFile { mode: wanted, ..settings(&path) }).unwrap();
            assert_eq!(mode(&path), wanted, "{kind:?}");
            drop(made);
            assert!(!path.exists(), "{kind:?}");
        }
    }
}

#[test]
fn owners_are_names_or_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let unknown = SocketFile { user: Some("no-such-user-here".to_owned()), ..settings(&path) };
    assert_eq!(Kind::Socket.why(&unknown), "no user no-such-user-here exists");
    let group = SocketFile { user: None, group: Some("no-such-group-here".to_owned()), ..unknown };
    assert_eq!(Kind::Socket.why(&group), "no group no-such-group-here exists");
    assert!(!path.exists(), "nothing is left behind");
    let own = SocketFile { user: Some(Uid::effective().to_string()), ..settings(&path) };
    drop(Kind::Socket.make(&own).unwrap());
    if !Uid::effective().is_root() {
        return;
    }
    for kind in KINDS {
        let (user, group) = (Some("nobody".to_owned()), Some("12".to_owned()));
        let made = kind.make(&SocketFile { user, group, ..settings(&path) }).unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (nobody, 12), "{kind:?}");
        drop(made);
    }
}

#[test]
fn a_file_that_somebody_serves_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let settings = settings(&folder.path().join(format!("{kind:?}")));
        let first = kind.make(&settings).unwrap();
        assert!(matches!(kind.make(&settings), Err(SocketError::InUse)), "{kind:?}");
        assert_eq!(kind.why(&settings), "another program serves it");
        assert!(settings.path.exists(), "{kind:?}");
        drop(first);
        drop(kind.make(&settings).unwrap());
    }
}

#[test]
fn a_stale_file_is_replaced_and_another_kind_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let settings = settings(&folder.path().join(format!("{kind:?}")));
        let (served, file) = kind.make(&settings).unwrap();
        // As after the end of a program that could not remove it.
        std::mem::forget(file);
        drop(served);
        assert!(settings.path.exists());
        let again = kind.make(&settings).unwrap();
        assert_eq!(mode(&settings.path), 0o660);
        drop(again);
        fs::write(&settings.path, "mail").unwrap();
        assert!(kind.why(&settings).starts_with("a file that is no "), "{kind:?}");
        assert_eq!(fs::read(&settings.path).unwrap(), b"mail");
    }
}

#[test]
fn a_file_that_another_program_has_made_since_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let made = UnixSocket::listen(&settings(&path)).unwrap();
    UnixStream::connect(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(made);
    assert!(path.exists());
    drop(other);
}

#[test]
fn a_path_that_is_too_long_is_an_error() {
    let path = Path::new("/tmp").join("x".repeat(120));
    assert!(!Kind::Socket.why(&settings(&path)).is_empty());
}
