//! `driver = passwd-file`: `user:password:uid:gid:gecos:home:shell:fields`, read again when the file changes.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use homing_wire::{Secret, printable};
use zeroize::Zeroizing;

use super::{
    fields::FieldTemplate,
    passdb::{Entry, Lookup},
    path_template::PathTemplate,
    subject::Subject,
    variables::Template,
};
use crate::{auth::AuthError, config::settings::PasswdFileSettings};
use Unreadable::{Broken, Missing};

/// Files kept in memory when the path has variables (`/etc/mail/%d/passwd`). Beyond it all are forgotten, to be read
/// again when they are needed.
const FILES_MAX: usize = 256;

/// A password file, or with variables in its path one for each of their values, and what was read.
pub(super) struct PasswdFile {
    path: PathTemplate,
    username_format: Template,
    files: Mutex<HashMap<PathBuf, ReadFile>>,
}

/// What was read from one file.
#[derive(Default)]
struct ReadFile {
    stamp: Option<Stamp>,
    table: Arc<Table>,
    /// The last trouble with the file; told once.
    told: String,
}

/// Tells two states of a file apart.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

#[derive(Default)]
struct Table {
    lines: HashMap<String, Line>,
    /// Of the first user who has a password, to be verified in vain for unknown ones.
    sample: Option<Secret>,
}

struct Line {
    stored: Secret,
    fields: Vec<String>,
}

impl PasswdFile {
    pub(super) fn new(settings: &PasswdFileSettings) -> Result<Self, AuthError> {
        let path = PathTemplate::parse(&settings.path)
            .ok_or_else(|| AuthError::UnknownVariable(settings.path.display().to_string()))?;
        let username_format = Template::parse(&settings.username_format)
            .ok_or_else(|| AuthError::UnknownVariable(settings.username_format.clone()))?;
        Ok(Self { path, username_format, files: Mutex::default() })
    }

    pub(super) fn lookup(&self, subject: &Subject) -> Lookup {
        let Some(path) = self.path.expand(subject) else { return Lookup::Unknown(None) };
        let table = match self.table(&path) {
            Ok(table) => table,
            // As much work as for a user of a file that is there, so that domains cannot be told apart by time.
            Err(Missing) => return Lookup::Unknown(self.any_sample()),
            Err(Broken) => return Lookup::Broken,
        };
        let name = self.username_format.expand(subject);
        let line = std::str::from_utf8(&name).ok().and_then(|name| table.lines.get(name));
        let Some(line) = line else { return Lookup::Unknown(table.sample.clone()) };
        let fields: Option<Vec<_>> = line.fields.iter().map(|word| FieldTemplate::parse(word)).collect();
        let Some(fields) = fields else {
            let (who, path) = (subject.label(), path.display());
            tracing::error!(target: "homing::auth", "passwd-file({who}): {path}: unknown variable in fields");
            return Lookup::Broken;
        };
        Lookup::Found(Entry { stored: line.stored.clone(), fields, nopassword: false })
    }

    /// Some stored password of any file that was read.
    fn any_sample(&self) -> Option<Secret> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.values().find_map(|file| file.table.sample.clone())
    }

    /// The content as of now.
    fn table(&self, path: &Path) -> Result<Arc<Table>, Unreadable> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES_MAX && !files.contains_key(path) && path.exists() {
            files.clear();
        }
        let read = files.entry(path.to_owned()).or_default();
        let Err(error) = read.refresh(path) else {
            read.told.clear();
            return Ok(Arc::clone(&read.table));
        };
        if error.kind() == io::ErrorKind::NotFound && self.path.has_variables() {
            files.remove(path);
            return Err(Missing);
        }
        let error = error.to_string();
        if read.told != error {
            tracing::error!(target: "homing::auth", "passwd-file {}: {error}", path.display());
            read.told = error;
        }
        Err(Broken)
    }
}

/// Why there is no content.
enum Unreadable {
    /// No such file. With variables in the path that says only that the user is unknown.
    Missing,
    /// Anything else; the log has been told.
    Broken,
}

impl ReadFile {
    /// Reads the file if it has changed.
    fn refresh(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let stamp = Stamp {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
        };
        if self.stamp.as_ref() == Some(&stamp) {
            return Ok(());
        }
        let size = usize::try_from(stamp.size).unwrap_or_default();
        let mut content = Zeroizing::new(Vec::with_capacity(size));
        file.read_to_end(&mut content)?;
        let table = Table::parse(&content);
        let (path, users) = (path.display(), table.lines.len());
        tracing::debug!(target: "homing::auth", "passwd-file {path}: Read {users} users");
        (self.table, self.stamp) = (Arc::new(table), Some(stamp));
        Ok(())
    }
}

impl Table {
    fn parse(content: &[u8]) -> Self {
        let mut table = Self::default();
        for line in content.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !matches!(line.first(), None | Some(b':' | b'#')) {
                table.add(line);
            }
        }
        table
    }

    fn add(&mut self, line: &[u8]) {
        let mut columns = line.splitn(8, |b| *b == b':');
        let name = columns.next().unwrap_or_default();
        let stored = Secret::from(columns.next().unwrap_or_default());
        let fields = columns.nth(5).unwrap_or_default();
        let (Ok(user), Ok(fields)) = (std::str::from_utf8(name), std::str::from_utf8(fields)) else {
            let name = printable(name);
            tracing::error!(target: "homing::auth", "passwd-file: user {name}: the line is not UTF-8");
            return;
        };
        if self.lines.contains_key(user) {
            let name = printable(name);
            tracing::error!(target: "homing::auth", "passwd-file: user {name} exists more than once");
            return;
        }
        if self.sample.is_none() && !stored.is_empty() {
            self.sample = Some(stored.clone());
        }
        let fields = fields.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        self.lines.insert(user.to_owned(), Line { stored, fields });
    }
}
