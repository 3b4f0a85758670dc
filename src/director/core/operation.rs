//! What changes the director's tables beside logins, and who wants it. A change is a value, so that it can come
//! from a file, a person, a health check or another director and has the same effect everywhere.

use std::{fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use thiserror::Error;

use super::{Draining, FlushId, FlushRun, Host, Naming, UserHash};

/// Most vhosts of a backend, as in the reference (spec/director.md 4.1).
pub const VHOSTS_MAX: u32 = 1000;
/// Most backends: an IPv6 range has up to 65,536, and a few of those are an operator's slip, not a site.
pub const HOSTS_MAX: usize = 100_000;
/// Most tags, those of removed backends included. Tags are never forgotten, since users may be found by them.
pub const TAGS_MAX: usize = 10_000;

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Backends; addresses are unique.
    pub hosts: Vec<Host>,
    /// How names become hashes, and the times and limits.
    pub rules: Rules,
}

/// What the configuration says beside the backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How names become hashes.
    pub naming: Naming,
    /// How long a mapping outlives its last session.
    pub expire: Duration,
    /// Pause between the end of the last session of a user who is moved, or whose backend is gone, and the next login.
    pub kick_delay: Duration,
    /// Users that are moved at a time by a flush that does not say otherwise.
    pub moves_max: NonZeroU32,
    /// True if a program is to be run for each moved user ([`super::Action::RunFlush`]).
    pub flush_program: bool,
}

impl Rules {
    /// How long a row without session may be needed: who has just left must not be forgotten before the pause is over.
    pub(super) fn longest_use(&self) -> Duration {
        self.expire.max(self.kick_delay)
    }
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Takes over a configured table. What differs from the table configured *before* is changed; whatever else was
    /// changed while running stays: added and removed backends, vhosts, up and down. So a reload neither undoes what
    /// a person or a health check has done (spec/director.md 7) nor is the file ignored (10, W40), and the latest
    /// statement about a backend wins. Mappings and sessions stay.
    Configure(Table),
    /// Adds a backend, up; for one that exists sets what is given (4.3). Mappings stay.
    AddHost {
        /// Address.
        ip: IpAddr,
        /// Name for TLS and logs.
        hostname: Option<String>,
        /// Tag; must be that of the existing backend. `None`: that one, or no tag.
        tag: Option<Vec<u8>>,
        /// At most [`VHOSTS_MAX`].
        vhosts: Option<u32>,
    },
    /// Changes a weight; new users alone are affected (4.4). A health check cannot give weight to what is being drained.
    SetVhosts {
        /// Which backend.
        ip: IpAddr,
        /// At most [`VHOSTS_MAX`]; 0 takes no new users.
        vhosts: u32,
    },
    /// Takes new users again (4.5). A health check cannot bring up what a person has taken down.
    Up {
        /// Which backend.
        ip: IpAddr,
    },
    /// Takes no new users; mapped ones stay (4.5). A health check cannot take down the last usable backend of a tag.
    Down {
        /// Which backend.
        ip: IpAddr,
    },
    /// Removes a backend. Users without session forget it at once; those with sessions stay until the last one has
    /// ended (4.6, without W4). [`Operation::FlushHost`] still moves them away.
    RemoveHost {
        /// Which backend.
        ip: IpAddr,
    },
    /// Gives a backend another tag (10, W33). For users under the old tag that is a removal.
    SetTag {
        /// Which backend.
        ip: IpAddr,
        /// The new tag.
        tag: Vec<u8>,
    },
    /// Moves a user to a backend, under the backend's tag (4.9). Sessions elsewhere are kicked, logins wait until
    /// the last one has ended and the kick delay is over. A user without mapping gets one; one who is there already
    /// stays for another expiry time. Down or weightless backends are as good as others.
    MoveUser {
        /// Who.
        user: UserHash,
        /// Where to.
        ip: IpAddr,
    },
    /// Maps a user to a backend, under the backend's tag, unless there is a mapping.
    MapUser {
        /// Who.
        user: UserHash,
        /// Where.
        ip: IpAddr,
    },
    /// Brings a user to a backend, under the backend's tag, as a table says that was written down elsewhere. Nobody is
    /// kicked for it: a user with sessions elsewhere, or who is being moved, is refused. One without session who is
    /// mapped elsewhere is moved, so the kick delay counts from the end of the last session.
    LoadUser {
        /// Who.
        user: UserHash,
        /// Where.
        ip: IpAddr,
    },
    /// Ends the sessions of a user under all tags. The mapping stays (4.10).
    KickUser {
        /// Whose.
        user: UserHash,
    },
    /// Moves the users of a backend to where the ring says (4.7); a removed one that still has users can be named
    /// too. Drain: first vhosts to 0, then flush (10, W41).
    FlushHost {
        /// Which backend.
        ip: IpAddr,
        /// How.
        flush: Flushing,
    },
    /// [`Operation::FlushHost`] for all backends in order of address.
    FlushAll {
        /// Only those with this tag.
        tag: Option<Vec<u8>>,
        /// How.
        flush: Flushing,
    },
    /// Ends a flush early. Moves under way go on.
    StopFlush {
        /// Which one.
        flush: FlushId,
    },
    /// Empties a backend for good (10, W41): it gets no new users as soon as another one of its tag is usable, its users
    /// are moved away, and [`super::DrainState::Safe`] is told. If it is being drained already, that drain goes on with
    /// these limits. Whoever gives the backend a weight again, or as a person brings it up, ends the drain.
    Drain {
        /// Which backend; a removed one that still has users can be named too.
        ip: IpAddr,
        /// How.
        draining: Draining,
    },
    /// Ends a drain. Moves under way go on.
    StopDrain {
        /// Of which backend.
        ip: IpAddr,
        /// Give the backend the weight it had before.
        restore: bool,
    },
    /// The flush program has ended (4.8). An answer that nobody waits for any more changes nothing.
    FlushDone {
        /// Which run.
        run: FlushRun,
        /// It said `+`: logins need not wait for the kick delay.
        success: bool,
    },
}

/// How users are moved off a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushing {
    /// One after the other, each as by [`Operation::MoveUser`]: first those without session, then the others.
    Safe {
        /// Most moves at a time, stuck ones not counted; `None`: as configured. 0 is refused (10, W29).
        parallel: Option<u32>,
    },
    /// Forgets mappings without session at once; those with sessions when the last one has ended. Nobody is kicked
    /// (4.7b, without W4).
    Forced,
}

/// Who wants a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    Configuration,
    /// A person.
    Operator,
    /// A health check.
    Health,
    /// A table that was written down: by an earlier run, or elsewhere. What an earlier run has changed comes back
    /// under the origin it had, so that health checks know theirs.
    Restored,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Operator => "operator",
            Self::Health => "health check",
            Self::Restored => "restored state",
        })
    }
}

/// Why a change is refused. Nothing has been changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OperationError {
    /// Another hash for the same names while users are logged in.
    #[error(
        "director_username_hash and auth_master_user_separator can change only while no user is logged in, or was a moment ago; restart instead"
    )]
    NamingInUse,
    /// No such backend.
    #[error("{0}: doesn't exist")]
    UnknownHost(IpAddr),
    /// More than [`VHOSTS_MAX`].
    #[error("vhost count too large")]
    VhostsTooMany,
    /// An existing backend is added with another tag.
    #[error("host tag can't be changed")]
    TagDiffers,
    /// The user's sessions are still being ended for an earlier move.
    #[error("User is already being moved, wait a while for it to be finished")]
    BeingMoved,
    /// The user has sessions on another backend, and nobody is to be kicked.
    #[error("User has sessions on {0}")]
    InUse(IpAddr),
    /// A flush or drain that may move nobody.
    #[error("the number of parallel moves must be at least 1")]
    NoParallelMoves,
    /// No such flush, or it has ended.
    #[error("no such flush")]
    UnknownFlush,
    /// More than [`super::FLUSHES_MAX`] at once.
    #[error("too many flushes at once")]
    TooManyFlushes,
    /// A drain that may move nobody.
    #[error("the number of moves in a second must be at least 1")]
    NoMovesPerSecond,
    /// More than [`super::DRAIN_GRACE_MAX`].
    #[error("the grace for busy sessions is too long")]
    GraceTooLong,
    /// The backend is not being drained.
    #[error("{0}: is not being drained")]
    UnknownDrain(IpAddr),
    /// More than [`super::DRAINS_MAX`] at once.
    #[error("too many drains at once")]
    TooManyDrains,
    /// More than [`HOSTS_MAX`] backends.
    #[error("too many backends")]
    TooManyHosts,
    /// More than [`TAGS_MAX`] tags.
    #[error("too many tags")]
    TooManyTags,
    /// A health check would take down the last usable backend of a tag.
    #[error("{0}: is the last usable backend with its tag")]
    LastUsable(IpAddr),
    /// A health check would bring up what somebody else has taken down, or give weight to what is being drained.
    #[error("{0}: was taken down by somebody else")]
    HeldDown(IpAddr),
}
