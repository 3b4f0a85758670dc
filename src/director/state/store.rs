//! The folder: its lock, its file, and the way both are written. It blocks, so it is for threads that may.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{
    StateError,
    file::{self, ReadError},
    record::{Record, VERSION},
    seal::Seal,
};
use crate::director::{
    core::{Change, Saved, SavedHosts, UnsavedChanges, UserCursor},
    tables::Tables,
};

/// Name of the file.
pub(super) const FILE: &str = "director.state";
const NEW: &str = "director.state.new";
const LOCK: &str = "lock";
/// Files that were refused and are kept; a further one replaces the oldest.
pub(super) const REFUSED_MAX: usize = 5;
/// Changes behind a small table that are no reason yet to write it anew.
const CHANGES_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// One folder, locked.
pub(crate) struct Store {
    folder: PathBuf,
    /// `None` on a file system that cannot be written to.
    _lock: Option<File>,
    /// The file, if it is known to be whole.
    open: Option<Output>,
}

/// A file that is being written.
struct Output {
    file: File,
    seal: Seal,
    buffer: Vec<u8>,
    written: u64,
    /// How many bytes everything took; what follows are changes.
    table_bytes: u64,
}

impl Store {
    /// Locks the folder and reads what is there. A file that cannot be used is put aside, and that is told.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Option<Saved>), StateError> {
        if !fs::metadata(folder).map_err(StateError::folder(folder))?.is_dir() {
            return Err(StateError::folder(folder)(io::ErrorKind::NotADirectory.into()));
        }
        let lock = lock(folder)?;
        prove_writable(folder)?;
        let store = Self { folder: folder.to_owned(), _lock: lock, open: None };
        let saved = store.read()?;
        Ok((store, saved))
    }

    fn read(&self) -> Result<Option<Saved>, StateError> {
        let path = self.folder.join(FILE);
        let open = || open(&path, OpenOptions::new().read(true), OFlags::empty()).map(BufReader::new);
        let refused = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::folder(&path)(error)),
            Ok(input) => match read_all(input, open) {
                Ok(saved) => return Ok(Some(saved)),
                Err(refused) => refused,
            },
        };
        let kept = put_aside(&self.folder);
        let kept = match &kept {
            Ok(kept) => format!("kept as {}", kept.display()),
            Err(error) => format!("it cannot be kept: {error}"),
        };
        tracing::error!(
            "director_state_dir: {} is not used: {refused}; {kept}; users and backends start anew",
            path.display()
        );
        Ok(None)
    }

    /// Writes what has changed, or everything if that is due. On an error everything is due.
    pub(crate) fn save(&mut self, tables: &Tables) -> io::Result<()> {
        let output = self.open.take().filter(|output| !output.is_full());
        if let Some(mut output) = output
            && (!tables.has_unsaved() || output.append(tables)?)
        {
            self.open = Some(output);
            return Ok(());
        }
        let written = self.write_anew(tables);
        if written.is_err() {
            // What is there of it takes the room that may be missing.
            let _ = fs::remove_file(self.folder.join(NEW));
        }
        self.open = Some(written?);
        Ok(())
    }

    fn write_anew(&self, tables: &Tables) -> io::Result<Output> {
        let (new, path) = (self.folder.join(NEW), self.folder.join(FILE));
        let file = create(&new)?;
        let mut output =
            Output { file, seal: Seal::default(), buffer: Vec::new(), written: 0, table_bytes: 0 };
        output.write(&Record::Header(VERSION))?;
        output.hosts(tables.begin_saving())?;
        let mut from = Some(UserCursor::default());
        while let Some(cursor) = from {
            let (users, next) = tables.saved_users(cursor);
            for user in users {
                output.write(&Record::User(Change::Is(user)))?;
            }
            from = next;
        }
        // What has changed meanwhile makes it the state of one moment.
        if !output.append(tables)? {
            return Err(io::Error::other("more has changed than can be written"));
        }
        output.table_bytes = output.written;
        fs::rename(&new, &path)?;
        File::open(&self.folder)?.sync_all()?;
        tracing::debug!("{}: {} bytes written", path.display(), output.written);
        Ok(output)
    }
}

impl Output {
    fn is_full(&self) -> bool {
        self.written - self.table_bytes > self.table_bytes.max(CHANGES_BYTES_MIN)
    }

    /// A batch of changes. False if they are too many: everything has to be written.
    fn append(&mut self, tables: &Tables) -> io::Result<bool> {
        loop {
            let (changes, last) = match tables.take_unsaved() {
                UnsavedChanges::Everything => return Ok(false),
                UnsavedChanges::Users(changes) => (changes, None),
                UnsavedChanges::Last(changes, hosts) => (changes, Some(hosts)),
            };
            for change in changes {
                self.write(&Record::User(change))?;
            }
            if let Some(hosts) = last {
                hosts.map_or(Ok(()), |hosts| self.hosts(hosts))?;
                self.write(&Record::Commit)?;
                self.send()?;
                self.file.sync_data()?;
                return Ok(true);
            }
        }
    }

    fn hosts(&mut self, hosts: SavedHosts) -> io::Result<()> {
        self.write(&Record::Table(hosts.naming, hosts.expire))?;
        for host in hosts.configured {
            self.write(&Record::Configured(host))?;
        }
        for row in hosts.backends {
            self.write(&Record::Backend(row))?;
        }
        for drain in hosts.drains {
            self.write(&Record::Drain(drain))?;
        }
        Ok(())
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.seal.write(&record.to_body(), &mut self.buffer);
        if self.buffer.len() >= WRITE_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn read_all(
    input: BufReader<File>,
    open: impl Fn() -> io::Result<BufReader<File>>,
) -> Result<Saved, ReadError> {
    let extent = file::measure(input)?;
    let saved = file::read(open()?, extent)?;
    if extent.lines_left_out > 0 {
        tracing::warn!(
            "director_state_dir: the last write was not finished; lines left out: {}",
            extent.lines_left_out
        );
    }
    Ok(saved)
}

/// Does not wait, should it be a fifo that somebody has put there.
fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    options.custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed()).open(path)
}

/// Two programs in one folder would each take the other's changes away.
fn lock(folder: &Path) -> Result<Option<File>, StateError> {
    let path = folder.join(LOCK);
    // Through a link it would be made where the link leads.
    let open = |options: &mut OpenOptions| open(&path, options, OFlags::NOFOLLOW);
    let made = open(OpenOptions::new().write(true).create(true).truncate(false).mode(0o600));
    let file = match made.or_else(|error| open(OpenOptions::new().read(true)).map_err(|_| error)) {
        Ok(file) => file,
        Err(error) if is_passing(&error) => return Ok(None),
        Err(error) => return Err(StateError::folder(&path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse(folder.to_owned())),
        Err(error) => Err(StateError::folder(&path)(error.into())),
    }
}

/// Missing permissions are a mistake of the set-up. A full disk is not: users are served all the same.
fn prove_writable(folder: &Path) -> Result<(), StateError> {
    let path = folder.join(NEW);
    match create(&path) {
        Ok(_) => {
            // Nobody reads it.
            let _ = fs::remove_file(&path);
            Ok(())
        }
        Err(error) if is_passing(&error) => Ok(()),
        Err(error) => Err(StateError::folder(&path)(error)),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// One that is left over is not followed, should it be a link.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Renames the file; returns its new name.
fn put_aside(folder: &Path) -> io::Result<PathBuf> {
    let names = (1..=REFUSED_MAX).map(|n| folder.join(format!("{FILE}.refused-{n}")));
    let age = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    // A name that is free is older than any file.
    let Some(oldest) = names.min_by_key(age) else { return Err(io::ErrorKind::NotFound.into()) };
    fs::rename(folder.join(FILE), &oldest)?;
    Ok(oldest)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command, sync::mpsc, thread, time::Duration};

    use super::*;

    /// The program's start must not hang, nor its stop while it starts.
    fn open_in_time(folder: &Path) -> Result<(Store, Option<Saved>), StateError> {
        let (opened, outcome) = mpsc::channel();
        let folder = folder.to_owned();
        thread::spawn(move || drop(opened.send(Store::open(&folder))));
        outcome.recv_timeout(Duration::from_secs(10)).expect("opens at once")
    }

    fn fifo(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn nobody_is_waited_for_at_a_fifo() {
        let folder = tempfile::tempdir().unwrap();
        [FILE, NEW, LOCK].into_iter().for_each(|name| fifo(&folder.path().join(name)));
        let (_store, saved) = open_in_time(folder.path()).unwrap();
        assert_eq!(saved, None);
        assert!(
            folder.path().join(format!("{FILE}.refused-1")).exists() && !folder.path().join(FILE).exists()
        );
        assert!(
            matches!(open_in_time(folder.path()), Err(StateError::InUse(_))),
            "the lock holds all the same"
        );
    }

    #[test]
    fn no_file_is_made_or_emptied_through_a_link() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("target");
        symlink(&target, folder.path().join(LOCK)).unwrap();
        assert!(matches!(open_in_time(folder.path()), Err(StateError::Folder { .. })));
        assert!(!target.exists());
        fs::remove_file(folder.path().join(LOCK)).unwrap();
        fs::write(&target, "precious").unwrap();
        for name in [FILE, NEW] {
            symlink(&target, folder.path().join(name)).unwrap();
        }
        open_in_time(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}
