//! Memory of a program: what its processes hold, and what the kernel holds for them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    process::Command,
};

/// Bytes, by where they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Proportional set size of all processes: memory of their own.
    pub user: f64,
    /// Proportional set size of all processes: files, which is program code. It is shared with whoever runs the same
    /// library, so it changes when others come and go, and never with a session.
    pub files: f64,
    /// Sockets, pipes and what polls them: objects counted, times the size of such an object.
    pub kernel: f64,
    /// Buffers of TCP sockets.
    pub buffers: f64,
    /// All objects of these kinds on the machine, whoever owns them. A check, not a result.
    pub slab: f64,
}

impl Memory {
    pub fn of(ids: &BTreeSet<u32>) -> Self {
        let sizes = Sizes::read();
        let held = Held::by(ids);
        Self {
            user: ids.iter().map(|id| pss(*id, "Pss_Anon:") + pss(*id, "Pss_Shmem:")).sum(),
            files: ids.iter().map(|id| pss(*id, "Pss_File:")).sum(),
            kernel: held.bytes(&sizes),
            buffers: buffers(&held.sockets),
            slab: sizes.total,
        }
    }

    /// What is counted as that of sessions.
    pub fn of_sessions(&self) -> f64 {
        self.user + self.kernel + self.buffers
    }

    /// Growth since then, for each of so many sessions.
    pub fn growth_each(&self, since: &Self, sessions: f64) -> Self {
        let each = |now: f64, then: f64| (now - then) / sessions;
        Self {
            user: each(self.user, since.user),
            files: each(self.files, since.files),
            kernel: each(self.kernel, since.kernel),
            buffers: each(self.buffers, since.buffers),
            slab: each(self.slab, since.slab),
        }
    }
}

/// One line of `smaps_rollup`, in bytes.
fn pss(id: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0
}

/// Kernel objects that processes hold, each counted once however many processes share it.
#[derive(Default)]
struct Held {
    sockets: HashSet<u64>,
    pipes: HashSet<u64>,
    /// What epoll instances watch, by process. One that has two descriptors is there once.
    watched: HashSet<(u32, Vec<String>)>,
}

impl Held {
    fn by(ids: &BTreeSet<u32>) -> Self {
        let mut held = Self::default();
        for id in ids {
            let Ok(entries) = fs::read_dir(format!("/proc/{id}/fd")) else { continue };
            for entry in entries.flatten() {
                let Ok(target) = fs::read_link(entry.path()) else { continue };
                held.add(*id, &entry.file_name().to_string_lossy(), &target.to_string_lossy());
            }
        }
        held
    }

    fn add(&mut self, id: u32, descriptor: &str, target: &str) {
        let inode = |text: &str| text.trim_matches(['[', ']']).parse::<u64>().unwrap_or_default();
        if let Some(text) = target.strip_prefix("socket:") {
            self.sockets.insert(inode(text));
        } else if let Some(text) = target.strip_prefix("pipe:") {
            self.pipes.insert(inode(text));
        } else if target == "anon_inode:[eventpoll]" {
            let info = fs::read_to_string(format!("/proc/{id}/fdinfo/{descriptor}")).unwrap_or_default();
            let watched = info.lines().filter(|line| line.starts_with("tfd:")).map(str::to_owned).collect();
            self.watched.insert((id, watched));
        }
    }

    fn bytes(&self, sizes: &Sizes) -> f64 {
        let tcp: HashSet<u64> = tcp_inodes();
        let of_tcp = self.sockets.intersection(&tcp).count() as f64;
        let others = self.sockets.len() as f64 - of_tcp;
        let file = sizes.of("filp") + sizes.of("dentry");
        let socket = sizes.of("sock_inode_cache") + file;
        // A pipe has an inode, two files, its own record, and sixteen slots of 40 bytes.
        let pipe = sizes.of("inode_cache") + file + sizes.of("filp") + 192.0 + 1024.0;
        of_tcp * (sizes.of("TCP") + socket)
            + others * (sizes.of("UNIX") + socket)
            + self.pipes.len() as f64 * pipe
            + self.watched.iter().map(|(_, list)| list.len()).sum::<usize>() as f64
                * (sizes.of("eventpoll_epi") + sizes.of("eventpoll_pwq"))
    }
}

/// Inodes of the TCP sockets here.
fn tcp_inodes() -> HashSet<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = |line: &str| line.split_whitespace().nth(9)?.parse().ok();
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(inode).collect()
}

/// Bytes of objects by the name of their cache.
struct Sizes {
    bytes: HashMap<String, f64>,
    total: f64,
}

/// Sizes of Linux 6.18 on x86-64, for who may not read them.
const USUAL: [(&str, f64); 8] = [
    ("TCP", 2368.0),
    ("UNIX", 1088.0),
    ("sock_inode_cache", 832.0),
    ("filp", 192.0),
    ("dentry", 192.0),
    ("inode_cache", 624.0),
    ("eventpoll_epi", 128.0),
    ("eventpoll_pwq", 72.0),
];
/// The caches whose growth is told as a check.
const CHECKED: [&str; 4] = ["TCP", "sock_inode_cache", "eventpoll_epi", "eventpoll_pwq"];

impl Sizes {
    fn read() -> Self {
        let mut sizes = Self {
            bytes: USUAL.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
            total: 0.0,
        };
        let text = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        for line in text.lines().skip(2) {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            let mut number = || words.next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default();
            let (active, _, size) = (number(), number(), number());
            if CHECKED.contains(&name) {
                sizes.total += active * size;
            }
            if let Some(known) = sizes.bytes.get_mut(name) {
                *known = size;
            }
        }
        sizes
    }

    fn of(&self, name: &str) -> f64 {
        self.bytes[name]
    }
}

/// Buffers of these sockets as `ss` tells them: received, queued, reserved, options, backlog.
fn buffers(sockets: &HashSet<u64>) -> f64 {
    let output = Command::new("ss").args(["-tmaenOH"]).output().expect("ss");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| inode(line).is_some_and(|inode| sockets.contains(&inode))).map(skmem).sum()
}

fn inode(line: &str) -> Option<u64> {
    line.split_whitespace().find_map(|word| word.strip_prefix("ino:"))?.parse().ok()
}

/// `skmem:(r0,rb131072,t0,tb46080,f0,w0,o0,bl0,d0)`.
fn skmem(line: &str) -> f64 {
    let Some(text) = line.split("skmem:(").nth(1).and_then(|rest| rest.split(')').next()) else { return 0.0 };
    let value = |name: &str| {
        let number = text.split(',').find_map(|part| part.strip_prefix(name)?.parse::<f64>().ok());
        number.unwrap_or_default()
    };
    ["r", "w", "f", "o", "bl"].into_iter().map(value).sum()
}
