//! What is measured: names, numbers, units.

use super::{
    machine::sessions_max,
    programs::{Protocol, Tls, Way},
};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Measurement {
    pub name: String,
    pub title: String,
    pub unit: &'static str,
    /// Chart that it is shown in.
    pub group: &'static str,
    pub way: Way,
    pub kind: Kind,
}

/// What is done, and what is read.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// CPU time per login with its logout.
    Login { count: usize },
    /// Growth of memory per session.
    Idle { sessions: usize },
    /// CPU time per GiB.
    Bulk { down: bool, sessions: usize, bytes: u64 },
    /// CPU time per 100,000 round trips.
    Echo { sessions: usize, rounds: usize },
    /// Time until everybody is back.
    Storm { sessions: usize },
    /// Time from SIGTERM until everybody's connection is closed.
    Shutdown { sessions: usize },
    /// CPU time of it all.
    Mixed { sessions: usize, bytes: u64 },
}

impl Kind {
    /// Sessions at once.
    pub fn sessions(self) -> usize {
        match self {
            Self::Login { .. } => 16,
            Self::Idle { sessions }
            | Self::Bulk { sessions, .. }
            | Self::Echo { sessions, .. }
            | Self::Storm { sessions }
            | Self::Shutdown { sessions }
            | Self::Mixed { sessions, .. } => sessions,
        }
    }

    /// What the loader is told.
    pub fn scenario(self) -> Vec<String> {
        let text = match self {
            Self::Login { count } => format!("login --count {count}"),
            Self::Idle { sessions } | Self::Shutdown { sessions } => format!("hold --sessions {sessions}"),
            Self::Bulk { down, sessions, bytes } => {
                let direction = if down { "down" } else { "up" };
                format!("bulk --direction {direction} --sessions {sessions} --bytes {bytes}")
            }
            Self::Echo { sessions, rounds } => format!("echo --sessions {sessions} --rounds {rounds}"),
            Self::Storm { sessions } => format!("storm --sessions {sessions}"),
            Self::Mixed { sessions, bytes } => format!("mixed --sessions {sessions} --bytes {bytes}"),
        };
        text.split(' ').map(str::to_owned).collect()
    }
}

/// Numbers of the full mode and of the quick one.
struct Sizes {
    logins: usize,
    tls_logins: usize,
    idle: [(usize, &'static str); 2],
    bulk: u64,
    tls_bulk: u64,
    rounds: usize,
    crowd: usize,
    mixed: usize,
}

const MIB: u64 = 1024 * 1024;

const FULL: Sizes = Sizes {
    logins: 10_000,
    tls_logins: 4000,
    idle: [(1000, "1k"), (10_000, "10k")],
    bulk: 512 * MIB,
    tls_bulk: 128 * MIB,
    rounds: 2000,
    crowd: 5000,
    mixed: 500,
};

const QUICK: Sizes = Sizes {
    logins: 100,
    tls_logins: 50,
    idle: [(50, "1k"), (100, "10k")],
    bulk: 8 * MIB,
    tls_bulk: 4 * MIB,
    rounds: 20,
    crowd: 50,
    mixed: 20,
};

/// The measurements whose names begin with one of the words; all without words.
pub fn chosen(words: &[String], quick: bool) -> Vec<Measurement> {
    let all = all(if quick { &QUICK } else { &FULL });
    for word in words {
        assert!(
            all.iter().any(|m| m.name.starts_with(word)),
            "no measurement begins with {word}; see --list"
        );
    }
    all.into_iter().filter(|m| words.is_empty() || words.iter().any(|w| m.name.starts_with(w))).collect()
}

fn all(sizes: &Sizes) -> Vec<Measurement> {
    let mut all = logins(sizes);
    all.extend(steady(sizes));
    all.extend(crowds(sizes));
    all
}

fn logins(sizes: &Sizes) -> Vec<Measurement> {
    let protocols = [
        (Protocol::Imap, "imap", "IMAP"),
        (Protocol::Pop3, "pop3", "POP3"),
        (Protocol::Sieve, "sieve", "ManageSieve"),
    ];
    let ways = [
        (Tls::Off, "plain", "plain", sizes.logins),
        (Tls::Full, "tls", "TLS 1.3", sizes.tls_logins),
        (Tls::Resumed, "resumed", "TLS 1.3 resumed", sizes.tls_logins),
    ];
    let each = |(protocol, name, title): (Protocol, &str, &str)| {
        let (name, title) = (name.to_owned(), title.to_owned());
        ways.map(|(tls, way, words, count)| Measurement {
            name: format!("login-{name}-{way}"),
            title: format!("CPU per {title} login, {words}"),
            unit: "ms",
            group: "login",
            way: Way { protocol, tls },
            kind: Kind::Login { count },
        })
    };
    protocols.into_iter().flat_map(each).collect()
}

/// What is measured in IMAP, plain and over TLS.
fn both(
    name: &str,
    title: &str,
    unit: &'static str,
    group: &'static str,
    kinds: [Kind; 2],
) -> Vec<Measurement> {
    let [plain, tls] = kinds;
    let one = |way: &str, words: &str, tls: Tls, kind: Kind| Measurement {
        name: format!("{name}-{way}"),
        title: format!("{title}, {words}"),
        unit,
        group,
        way: Way { protocol: Protocol::Imap, tls },
        kind,
    };
    vec![one("plain", "plain", Tls::Off, plain), one("tls", "TLS", Tls::Full, tls)]
}

fn steady(sizes: &Sizes) -> Vec<Measurement> {
    let mut list = Vec::new();
    for (sessions, name) in sizes.idle {
        let sessions = sessions.min(sessions_max());
        let title = format!("memory per idle session of {sessions}");
        list.extend(both(&format!("idle-{name}"), &title, "KiB", "idle", [Kind::Idle { sessions }; 2]));
    }
    for (down, name, title) in
        [(true, "down", "CPU per GiB downloaded"), (false, "up", "CPU per GiB uploaded")]
    {
        let bulk = |bytes| Kind::Bulk { down, sessions: 4, bytes };
        list.extend(both(
            &format!("bulk-{name}"),
            title,
            "s",
            "bulk",
            [bulk(sizes.bulk), bulk(sizes.tls_bulk)],
        ));
    }
    let echo = Kind::Echo { sessions: 50, rounds: sizes.rounds };
    list.extend(both("echo", "CPU per 100k round trips, 50 sessions", "s", "echo", [echo; 2]));
    list
}

fn crowds(sizes: &Sizes) -> Vec<Measurement> {
    let (crowd, mixed) = (sizes.crowd.min(sessions_max()), sizes.mixed);
    let storm = format!("{crowd} sessions dropped, all back");
    let mut list = both("storm", &storm, "s", "crowd", [Kind::Storm { sessions: crowd }; 2]);
    let shutdown = format!("{crowd} sessions closed at shutdown");
    list.extend(both("shutdown", &shutdown, "s", "crowd", [Kind::Shutdown { sessions: crowd }; 2]));
    let kind = Kind::Mixed { sessions: mixed, bytes: sizes.tls_bulk / 4 };
    let title = format!("CPU of a mix: {mixed} idle, {} logins, transfers, lines", 2 * mixed);
    list.extend(both("mixed", &title, "s", "mixed", [kind; 2]));
    list
}
