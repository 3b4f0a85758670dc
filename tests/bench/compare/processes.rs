//! A program with all its processes: CPU time, and the end.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`, the same on every Linux).
const TICKS: f64 = 100.0;
/// How long a program may take to be there, to become quiet, or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// A program is quiet when it has used no tick for this long.
const QUIET: Duration = Duration::from_millis(300);

/// A running program.
pub struct Processes {
    root: Child,
    /// All its processes that were ever seen: children outlive a first process that ends.
    seen: RefCell<BTreeSet<u32>>,
}

impl Processes {
    pub fn start(mut command: Command) -> Self {
        let root = command.stdin(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { root, seen: RefCell::default() }
    }

    /// True until the first process has ended.
    pub fn alive(&mut self) -> bool {
        matches!(self.root.try_wait(), Ok(None))
    }

    /// The process that was started and all that descend from it.
    pub fn ids(&self) -> BTreeSet<u32> {
        let parents: HashMap<u32, u32> = all().filter_map(|id| Some((id, Stat::read(id)?.parent))).collect();
        let mut ids = BTreeSet::from([self.root.id()]);
        loop {
            let more: Vec<_> =
                parents.iter().filter(|(id, parent)| ids.contains(parent) && !ids.contains(id)).collect();
            if more.is_empty() {
                self.seen.borrow_mut().extend(&ids);
                return ids;
            }
            ids.extend(more.into_iter().map(|(id, _)| *id));
        }
    }

    /// CPU seconds of all its processes so far: user and system time of those that live, and of those that have ended
    /// and were waited for.
    pub fn cpu(&self) -> f64 {
        self.ids().into_iter().filter_map(Stat::read).map(|stat| stat.ticks).sum::<f64>() / TICKS
    }

    /// CPU seconds when what was begun has been brought to an end.
    pub fn cpu_when_quiet(&self) -> f64 {
        let deadline = Instant::now() + PATIENCE;
        let mut last = self.cpu();
        loop {
            std::thread::sleep(QUIET);
            let now = self.cpu();
            // One tick may be a timer's.
            if now - last < 1.5 / TICKS || Instant::now() > deadline {
                return now;
            }
            last = now;
        }
    }

    /// Asks the first process to end.
    pub fn terminate(&self) {
        self.ids();
        let _ = kill_process(Pid::from_child(&self.root), Signal::TERM);
    }

    /// Asks it to end, and ends what is still there when the patience is over.
    pub fn stop(mut self) {
        self.terminate();
        let deadline = Instant::now() + PATIENCE;
        while self.alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        for id in self.seen.take().into_iter().filter(|id| Stat::read(*id).is_some()) {
            let _ = Pid::from_raw(id as i32).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = self.root.kill();
        let _ = self.root.wait();
    }
}

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    parent: u32,
    /// utime, stime, cutime, cstime.
    ticks: f64,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything; field 3 comes behind it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().filter_map(|word| word.parse::<f64>().ok()).sum();
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks })
    }
}
