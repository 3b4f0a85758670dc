//! The drains: backends that are being emptied for good, with their limits and how far they are (spec/director.md 10,
//! W41). State that belongs to the director, so that it survives whoever asked. How a drain goes is in `draining.rs`.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use super::{Moment, OperationError, Origin, backends::HostNumber, flush::parallel_limit, pace::Pace};

/// Most drains, those that have ended included; beyond it the one that ended first is forgotten.
pub const DRAINS_MAX: usize = 1000;
/// Users with sessions that a drain moves in a second unless told otherwise. Each of them connects and logs in anew, and
/// the other backends have their own users meanwhile.
pub const DRAIN_PER_SEC: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// How long a drain waits for sessions that are in the middle of something, unless told otherwise.
pub const DRAIN_GRACE: Duration = Duration::from_secs(60);
/// Longest such wait that can be asked for.
pub const DRAIN_GRACE_MAX: Duration = Duration::from_secs(3600);
/// A session in which nothing has moved for so long, the client being answered, is between two commands. Longer than
/// the round trip of a slow connection.
pub const DRAIN_QUIET: Duration = Duration::from_secs(5);
/// Pause before a drain looks again at users whom it could not move, or who came later.
pub const DRAIN_PAUSE: Duration = Duration::from_secs(1);

/// How a backend is drained. What is `None` is as by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Draining {
    /// Most moves away from the backend at a time, stuck ones not counted; by default `director_max_parallel_moves`. 0
    /// is refused.
    pub parallel: Option<u32>,
    /// Most users with sessions that are moved in a second; by default [`DRAIN_PER_SEC`]. Others cost nobody a
    /// reconnect and are not counted. 0 is refused.
    pub per_sec: Option<u32>,
    /// How long users are waited for that have a session in the middle of something, from the moment all others have
    /// been moved; by default [`DRAIN_GRACE`], at most [`DRAIN_GRACE_MAX`].
    pub grace: Option<Duration>,
}

/// [`Draining`], checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DrainLimits {
    pub(super) parallel: Option<NonZeroU32>,
    pub(super) per_sec: NonZeroU32,
    pub(super) grace: Duration,
}

impl TryFrom<Draining> for DrainLimits {
    type Error = OperationError;

    fn try_from(wanted: Draining) -> Result<Self, OperationError> {
        let grace = wanted.grace.unwrap_or(DRAIN_GRACE);
        if grace > DRAIN_GRACE_MAX {
            return Err(OperationError::GraceTooLong);
        }
        let parallel = parallel_limit(wanted.parallel)?;
        let per_sec = wanted.per_sec.map_or(Some(DRAIN_PER_SEC), NonZeroU32::new);
        Ok(Self { parallel, per_sec: per_sec.ok_or(OperationError::NoMovesPerSecond)?, grace })
    }
}

/// What a drain does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainState {
    /// Users are being moved, those without session first, then those whose sessions are quiet.
    Moving,
    /// All that is left has a session in the middle of something. It is moved as soon as it is quiet, else then.
    Waiting {
        /// The end of the grace.
        until: Moment,
    },
    /// No other backend with the tag is usable, and nobody is kicked into nowhere: goes on when there is one.
    Blocked,
    /// The backend has no users, no session, no login in progress, no move away from it, and gets no new users: it can
    /// be powered off.
    Safe,
    /// It is over. Whether the backend is empty says [`DrainProgress::safe`].
    Ended(DrainEnd),
}

/// Why a drain is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainEnd {
    /// [`super::Operation::StopDrain`]. Moves under way went on.
    Stopped(Origin),
    /// The backend takes new users again: somebody gave it a weight, or brought it up.
    BackInUse(Origin),
    /// The backend was removed and is empty.
    Removed,
}

impl fmt::Display for DrainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(origin) => write!(f, "stopped by {origin}"),
            Self::BackInUse(origin) => write!(f, "{origin} has put the backend back into use"),
            Self::Removed => f.write_str("the backend was removed and is empty"),
        }
    }
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainProgress {
    /// Which backend.
    pub ip: IpAddr,
    /// Who wants it.
    pub origin: Origin,
    /// When it began.
    pub started: Moment,
    /// When this was so.
    pub seen: Moment,
    /// What it does.
    pub state: DrainState,
    /// The weight that [`super::Operation::StopDrain`] can restore; `None` as long as the backend keeps it, since no
    /// other one is usable.
    pub vhosts_before: Option<u32>,
    /// Users at the beginning.
    pub users_at_start: u64,
    /// Users there now; being moved or not.
    pub users_left: u64,
    /// Sessions there now, logins in progress included.
    pub sessions_left: u64,
    /// Moves away from the backend that are under way, whoever wants them.
    pub moving: u64,
    /// Those of them whose sessions do not end.
    pub stuck: u64,
    /// Users who have been moved away since the beginning.
    pub moved: u64,
    /// See [`DrainState::Safe`]; also true of a drain that has ended.
    pub safe: bool,
    /// Most moves at a time.
    pub parallel: u32,
    /// Most users with sessions moved in a second.
    pub per_sec: u32,
    /// How long busy sessions are waited for.
    pub grace: Duration,
}

impl DrainProgress {
    /// True if the drain has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, DrainState::Ended(_))
    }

    /// The same, whenever it was seen.
    #[must_use]
    pub fn without_time(&self) -> Self {
        Self { seen: self.started, ..*self }
    }

    /// How long the rest takes if it goes on as it went so far. `None` if nobody has been moved.
    pub fn time_left(&self) -> Option<Duration> {
        if self.users_left == 0 {
            return Some(Duration::ZERO);
        }
        let passed = self.seen.since(self.started).as_millis();
        let left = passed.checked_mul(u128::from(self.users_left))?.checked_div(u128::from(self.moved))?;
        u64::try_from(left).ok().map(Duration::from_millis)
    }
}

/// One drain.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    pub(super) origin: Origin,
    pub(super) started: Moment,
    pub(super) limits: DrainLimits,
    /// The weight before it was set to 0; `None` if it has not been.
    pub(super) vhosts_before: Option<u32>,
    pub(super) users_at_start: u64,
    pub(super) moved: u64,
    pub(super) pace: Pace,
    pub(super) walk: Walk,
    /// Since when only users with busy sessions are left.
    pub(super) waiting_since: Option<Moment>,
    /// The state that people were told.
    pub(super) told: DrainState,
}

impl Drain {
    /// When users with busy sessions are moved, too.
    pub(super) fn patience(&self) -> Option<Moment> {
        self.waiting_since.map(|since| since.after(self.limits.grace))
    }
}

/// Where a drain is in its rounds over the users.
#[derive(Debug, Clone)]
pub(super) enum Walk {
    /// Looks at users, of these backends one after the other.
    Round { round: Round, numbers: VecDeque<HostNumber>, at: Option<HostNumber>, busy: u64 },
    /// All have been looked at.
    Pause { until: Moment },
}

/// Whom a round moves. Users without session go first: they cost nobody a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    Vacant,
    Held,
}

/// All drains.
#[derive(Debug, Clone, Default)]
pub(super) struct Drains {
    /// They are not as they were last written down.
    pub(super) is_changed: bool,
    pub(super) active: BTreeMap<IpAddr, Drain>,
    /// The last one of each backend, in the order of their ends.
    pub(super) ended: VecDeque<(IpAddr, Drain, DrainEnd)>,
}

impl Drains {
    /// Makes room for another one.
    pub(super) fn make_room(&mut self) -> Result<(), OperationError> {
        while self.active.len() + self.ended.len() >= DRAINS_MAX {
            self.ended.pop_front().ok_or(OperationError::TooManyDrains)?;
        }
        Ok(())
    }

    /// Counts a user who has left.
    pub(super) fn note_moved(&mut self, from: IpAddr, to: Option<IpAddr>) {
        if let Some(drain) = self.active.get_mut(&from).filter(|_| to != Some(from)) {
            drain.moved += 1;
            self.is_changed = true;
        }
    }

    /// Ends a drain; what is known of it stays for a while.
    pub(super) fn end(&mut self, ip: IpAddr, end: DrainEnd) -> Option<Drain> {
        let drain = self.active.remove(&ip)?;
        self.is_changed = true;
        self.ended.retain(|(other, ..)| *other != ip);
        self.ended.push_back((ip, drain.clone(), end));
        Some(drain)
    }
}
