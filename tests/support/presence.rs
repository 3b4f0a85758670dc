//! Who is at which of some real Dovecots, from what their mail processes write themselves: with `rawlog_dir` each session
//! of IMAP, POP3 and ManageSieve has a file that is created before the client is told that it is logged in, and closed
//! before the connection is (strace of 2.3.19.1). The kernel tells both through one inotify queue and so in the order in
//! which they happened; no clock is compared. Dovecot's log lines do not do: that of an end comes after the end, and
//! each instance writes its own at its own pace.

use std::{
    collections::BTreeMap,
    fs,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

/// What happened to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session of a user began.
    Begin { user: String, backend: usize, session: String },
    /// It ended.
    End { user: String, backend: usize, session: String },
    /// All processes are about to be killed: sessions that are there now serve nobody from now on.
    Killed { backend: usize },
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct History {
    /// By user: backend and name of each session, and whether the backend was killed.
    present: BTreeMap<String, BTreeMap<(usize, String), bool>>,
    /// Users who were at two backends at once.
    pub overlaps: Vec<String>,
    /// Sessions by backend.
    pub sessions: BTreeMap<usize, usize>,
}

impl History {
    /// Adds what happened next.
    pub fn note(&mut self, event: Event) {
        match event {
            Event::Begin { user, backend, session } => {
                let present = self.present.entry(user.clone()).or_default();
                let elsewhere =
                    |((there, _), killed): &(&(usize, String), &bool)| *there != backend && !**killed;
                if let Some(((there, other), _)) = present.iter().find(elsewhere) {
                    self.overlaps.push(format!("{user}: {session} at {backend} during {other} at {there}"));
                }
                present.insert((backend, session), false);
                *self.sessions.entry(backend).or_default() += 1;
            }
            Event::End { user, backend, session } => {
                let known = self.present.get_mut(&user).and_then(|there| there.remove(&(backend, session)));
                assert!(known.is_some(), "{user} leaves {backend} without having come");
            }
            Event::Killed { backend } => {
                let sessions = self.present.values_mut().flat_map(BTreeMap::iter_mut);
                sessions.filter(|((there, _), _)| *there == backend).for_each(|(_, killed)| *killed = true);
            }
        }
    }

    /// Sessions that have not ended.
    pub fn present(&self) -> usize {
        self.present.values().map(BTreeMap::len).sum()
    }
}

/// A file of this name tells of a kill.
const KILLED: &str = "killed";
/// One of this name ends the watch, as soon as nobody is there any more: an instance may be gone some moments before the
/// last of its mail processes.
const OVER: &str = "over";
/// So often that is said before the watch ends all the same.
const OVERS_MAX: usize = 500;

/// Watches the sessions of some users at some backends.
pub struct Watch {
    folder: PathBuf,
    watcher: JoinHandle<History>,
}

impl Watch {
    /// Starts to watch in a folder that Dovecot's processes can get into.
    pub fn start(folder: &Path, backends: usize, users: &[String]) -> Self {
        let queue = inotify::init(CreateFlags::CLOEXEC).unwrap();
        let mut places = BTreeMap::new();
        for backend in 0..backends {
            let own = folder.join(backend.to_string());
            fs::create_dir(&own).unwrap();
            places.insert(watch(&queue, &own), (backend, String::new()));
            for user in users {
                let theirs = own.join(user);
                fs::create_dir(&theirs).unwrap();
                fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
                places.insert(watch(&queue, &theirs), (backend, user.clone()));
            }
        }
        let watcher = thread::spawn(move || read(&queue, &places));
        Self { folder: folder.to_owned(), watcher }
    }

    /// The settings of a backend that is watched.
    pub fn settings(&self, backend: usize) -> String {
        format!("rawlog_dir = {}/{backend}/%u\n", self.folder.display())
    }

    /// To be said just before all processes of a backend are killed.
    pub fn killed(&self, backend: usize) {
        let file = self.folder.join(backend.to_string()).join(KILLED);
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }

    /// Ends the watch. What happened.
    pub fn history(self) -> History {
        let file = self.folder.join("0").join(OVER);
        while !self.watcher.is_finished() {
            fs::write(&file, "").unwrap();
            fs::remove_file(&file).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        self.watcher.join().unwrap()
    }
}

fn watch(queue: &OwnedFd, folder: &Path) -> i32 {
    inotify::add_watch(queue, folder, WatchFlags::CREATE | WatchFlags::CLOSE_WRITE).unwrap()
}

fn read(queue: &OwnedFd, places: &BTreeMap<i32, (usize, String)>) -> History {
    let mut buffer = vec![MaybeUninit::uninit(); 64 * 1024];
    let mut events = Reader::new(queue, &mut buffer);
    let (mut history, mut overs) = (History::default(), 0);
    loop {
        let event = events.next().unwrap();
        assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "the watch was too slow");
        let (backend, user) = &places[&event.wd()];
        let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_new = event.events().contains(ReadFlags::CREATE);
        let (backend, user) = (*backend, user.clone());
        match (name.strip_suffix(".in"), is_new) {
            (Some(session), true) => {
                history.note(Event::Begin { user, backend, session: session.to_owned() })
            }
            (Some(session), false) => history.note(Event::End { user, backend, session: session.to_owned() }),
            (None, true) if name == KILLED => history.note(Event::Killed { backend }),
            (None, true) if name == OVER => {
                overs += 1;
                if history.present() == 0 || overs == OVERS_MAX {
                    return history;
                }
            }
            (None, _) => {}
        }
    }
}
