//! What the world around has to do after a change, and what it may tell people.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{DrainState, FlushId, Host, Moment, Origin, SessionKey, UserHash, UserKey};

/// What the world around has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End this session; it counts until it is given back.
    Kick {
        /// Which one.
        session: SessionKey,
    },
    /// Logins that wait for this user's move may ask again, under all tags.
    Wake {
        /// Whose.
        user: UserHash,
    },
    /// All waiting logins may ask again: the backends have changed.
    WakeAll,
    /// Run the flush program and come back with [`super::Operation::FlushDone`].
    RunFlush(FlushProgram),
    /// The flush program took too long: end it. Its answer does not matter any more.
    AbortFlush {
        /// Which run.
        run: FlushRun,
    },
    /// Tell: a user leaves a backend.
    MoveStarted(Movement),
    /// Tell: the move is complete and logins go on.
    MoveEnded(Movement),
    /// Tell: the sessions of a moved user have not ended in time. The move goes on waiting, as nothing may be placed
    /// elsewhere while they live; they are kicked again.
    Stuck {
        /// Whose.
        user: UserKey,
        /// Where they are.
        ip: IpAddr,
        /// How many.
        sessions: u32,
    },
    /// Tell: the sessions of a user are ended, as somebody wants it; the mapping stays.
    UserKicked {
        /// Whose.
        user: UserKey,
        /// Where.
        ip: IpAddr,
        /// How many.
        sessions: u32,
        /// Who wants it.
        origin: Origin,
    },
    /// Tell: a user who had no mapping has one, as somebody wants it.
    UserMapped {
        /// Who.
        user: UserKey,
        /// Where.
        ip: IpAddr,
        /// Why.
        cause: Cause,
    },
    /// Tell: a backend is being drained.
    DrainStarted {
        /// Which one.
        ip: IpAddr,
        /// Who wants it.
        origin: Origin,
    },
    /// Tell: a drain does something else now.
    DrainChanged {
        /// Of which backend.
        ip: IpAddr,
        /// What.
        state: DrainState,
    },
    /// Tell: a flush has begun, or waits behind others.
    FlushStarted {
        /// Which one.
        flush: FlushId,
        /// Who wants it.
        origin: Origin,
    },
    /// Tell: all users have been looked at; moves may be under way. The reference answers OK here.
    FlushWalked {
        /// Which one.
        flush: FlushId,
    },
    /// Tell: the last move has ended too (spec/director.md 10, W22).
    FlushEnded {
        /// Which one.
        flush: FlushId,
        /// Users who are somewhere else now, or kicked and forgotten since there is nowhere else.
        moved: u64,
    },
    /// Tell: mappings were dropped without a kick.
    UsersForgotten {
        /// Of which backend.
        ip: IpAddr,
        /// How many.
        users: usize,
        /// Users whose sessions stay there until they end.
        staying: usize,
        /// Who wants it.
        origin: Origin,
    },
    /// Tell: a backend is new.
    HostAdded {
        /// The backend.
        host: Arc<Host>,
        /// Who added it.
        origin: Origin,
    },
    /// Tell: a backend is different.
    HostChanged {
        /// As it was.
        before: Arc<Host>,
        /// As it is.
        after: Arc<Host>,
        /// Who changed it.
        origin: Origin,
    },
    /// Tell: after a reload a backend is not as the file has it, since it was changed or removed while running.
    HostDiffers {
        /// What the file says.
        said: Arc<Host>,
        /// What counts; `None`: it is not in the table.
        is: Option<Arc<Host>>,
    },
    /// Tell: a backend is gone.
    HostRemoved {
        /// The backend.
        ip: IpAddr,
        /// Users whose sessions stay there until they end.
        users: usize,
        /// Who removed it.
        origin: Origin,
    },
}

/// One user going from one backend to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Who.
    pub user: UserKey,
    /// Where the sessions are or were.
    pub from: IpAddr,
    /// `None`: no backend is left, so the user is kicked and forgotten.
    pub to: Option<IpAddr>,
    /// Sessions still to end.
    pub sessions: u32,
    /// Why.
    pub cause: Cause,
}

/// Why a user is on a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The ring said so at a login.
    Hashed,
    /// [`super::Operation::MoveUser`].
    Moved(Origin),
    /// A flush of the backend before.
    Flushed(Origin),
    /// A drain of the backend before.
    Drained(Origin),
    /// [`super::Operation::MapUser`].
    Mapped(Origin),
}

/// Names one run of the flush program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushRun {
    pub(super) user: UserKey,
    pub(super) number: u64,
}

/// What the flush program is told (spec/director.md 4.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushProgram {
    /// To be given back.
    pub run: FlushRun,
    /// Who was moved.
    pub user: UserHash,
    /// The old backend as it was when the move started: address, up or down, vhosts.
    pub old: Arc<Host>,
    /// The new backend.
    pub new: Arc<Host>,
}

/// Why a login has no place now. Each reason ends by itself or is told to people: backends change, sessions end or
/// are [`Action::Stuck`], programs and delays have time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// No usable backend with this tag. Ends with [`Action::WakeAll`].
    NoHost,
    /// The user is being moved and old sessions have not ended. Ends with [`Action::Wake`], as do the others.
    Moving {
        /// Where they are.
        from: IpAddr,
        /// How many.
        sessions: u32,
        /// They should have ended long ago.
        stuck: bool,
    },
    /// The flush program runs.
    Flushing,
    /// The old backend gets time to tidy up.
    KickDelay {
        /// Until when.
        until: Moment,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashed => f.write_str("by hash"),
            Self::Moved(origin) => write!(f, "moved by {origin}"),
            Self::Flushed(origin) => write!(f, "flushed by {origin}"),
            Self::Drained(origin) => write!(f, "drained by {origin}"),
            Self::Mapped(origin) => write!(f, "mapped by {origin}"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("no hosts"),
            Self::Moving { from, sessions, stuck } => {
                let overdue = if *stuck { ", overdue" } else { "" };
                write!(f, "kill waiting: sessions on {from} to end: {sessions}{overdue}")
            }
            Self::Flushing => f.write_str("kill waiting: flush program runs"),
            Self::KickDelay { .. } => f.write_str("kill waiting: kick delay"),
        }
    }
}
