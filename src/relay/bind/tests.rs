//! Socket files: whose they are, what they replace, what is left of them.

use super::*;

fn settings(path: &Path, role: SocketRole) -> SocketSettings {
    SocketSettings { path: path.to_owned(), role, mode: 0o660, user: None, group: None }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn why(settings: &SocketSettings) -> String {
    let error = Bound::new(settings).unwrap_err().to_string();
    let start = format!("service director: cannot make {}: ", settings.path.display());
    error.strip_prefix(&start).unwrap().to_owned()
}

const ROLES: [SocketRole; 2] = [SocketRole::Logins, SocketRole::RefreshFifo];

#[test]
fn files_have_their_modes_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/x");
    for role in ROLES {
        for wanted in [0o660, 0o777, 0o600] {
            let bound = Bound::new(&SocketSettings { mode: wanted, ..settings(&path, role) }).unwrap();
            assert_eq!(mode(&path), wanted, "{role:?}");
            drop(bound);
            assert!(!path.exists(), "{role:?}");
        }
    }
}

#[test]
fn owners_are_names_or_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let unknown =
        SocketSettings { user: Some("no-such-user-here".to_owned()), ..settings(&path, SocketRole::Logins) };
    assert_eq!(why(&unknown), "no user no-such-user-here exists");
    let group = SocketSettings { user: None, group: Some("no-such-group-here".to_owned()), ..unknown };
    assert_eq!(why(&group), "no group no-such-group-here exists");
    assert!(!path.exists());
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    for role in ROLES {
        let (user, group) = (Some("nobody".to_owned()), Some("12".to_owned()));
        let bound = Bound::new(&SocketSettings { user, group, ..settings(&path, role) }).unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.uid(), made.gid()), (nobody, 12), "{role:?}");
        drop(bound);
    }
}

#[test]
fn a_socket_that_somebody_serves_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (role, name) in ROLES.into_iter().zip(["socket", "fifo"]) {
        let settings = settings(&folder.path().join(name), role);
        let first = Bound::new(&settings).unwrap();
        assert_eq!(why(&settings), "another program serves it");
        assert!(settings.path.exists(), "{role:?}");
        drop(first);
        drop(Bound::new(&settings).unwrap());
    }
}

#[test]
fn a_stale_file_is_replaced_and_another_kind_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for (role, name) in ROLES.into_iter().zip(["socket", "fifo"]) {
        let settings = settings(&folder.path().join(name), role);
        let Bound { file, door, .. } = Bound::new(&settings).unwrap();
        // As after the end of a program that could not remove it.
        std::mem::forget(file);
        drop(door);
        assert!(settings.path.exists());
        let again = Bound::new(&settings).unwrap();
        assert_eq!(mode(&settings.path), 0o660);
        drop(again);
        fs::write(&settings.path, "mail").unwrap();
        assert!(why(&settings).starts_with("a file that is no "), "{role:?}");
        assert_eq!(fs::read(&settings.path).unwrap(), b"mail");
    }
}

#[test]
fn a_file_that_another_program_has_made_since_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let bound = Bound::new(&settings(&path, SocketRole::Logins)).unwrap();
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
    drop(other);
}

#[test]
fn a_path_that_is_too_long_is_an_error() {
    let path = Path::new("/tmp").join("x".repeat(120));
    assert!(!why(&settings(&path, SocketRole::Logins)).is_empty());
}
