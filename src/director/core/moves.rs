//! The moves under way and their timers. How a move goes is in `moving.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use super::{Cause, FlushId, Host, Moment, UserKey, Wait, saved::Changed};

/// How long the sessions of a moved user may take to end before people are told, and before they are kicked again.
/// As the move timeout of the reference.
pub const MOVE_TIME: Duration = Duration::from_secs(30);
/// How long the flush program may run. The reference cuts it with the move timeout.
pub const FLUSH_PROGRAM_TIME: Duration = Duration::from_secs(30);

/// One move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    /// The old backend as it was when the move started.
    pub(super) from: Arc<Host>,
    /// The new one by address, as it may be removed and added meanwhile.
    pub(super) to: Option<IpAddr>,
    pub(super) cause: Cause,
    pub(super) flush: Option<FlushId>,
    pub(super) phase: Phase,
    /// When something happens by itself.
    pub(super) deadline: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sessions live on the old backend.
    Ending { stuck: bool },
    /// The last session ended at that moment; the flush program runs.
    Flushing { run: u64, ended: Moment },
    /// Until the deadline.
    Delay,
}

/// Moves away from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Away {
    pub(super) moving: u64,
    pub(super) stuck: u64,
}

/// Why a move is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reason {
    pub(super) cause: Cause,
    pub(super) flush: Option<FlushId>,
}

/// All moves under way.
#[derive(Debug, Default)]
pub(super) struct Moves {
    by_user: BTreeMap<UserKey, Move>,
    timers: BTreeSet<(Moment, UserKey)>,
    /// The moves away from each address; no zeros.
    away: BTreeMap<IpAddr, Away>,
    stuck: usize,
    runs_so_far: u64,
    /// Whose move is not as it was last written down.
    pub(super) changed: Changed,
}

impl Moves {
    pub(super) fn get(&self, user: UserKey) -> Option<&Move> {
        self.by_user.get(&user)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (UserKey, &Move)> {
        self.by_user.iter().map(|(user, moving)| (*user, moving))
    }

    pub(super) fn len(&self) -> usize {
        self.by_user.len()
    }

    /// Moves that make progress; what limits on parallel moves count.
    pub(super) fn running(&self) -> usize {
        self.by_user.len() - self.stuck
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.timers.first().map(|(deadline, _)| *deadline)
    }

    /// The user whose deadline is the first one that has passed.
    pub(super) fn next_due(&self, now: Moment) -> Option<UserKey> {
        self.timers.first().filter(|(deadline, _)| *deadline <= now).map(|(_, user)| *user)
    }

    /// Adds a move or puts it into another phase.
    pub(super) fn set(&mut self, user: UserKey, moving: Move) {
        self.changed.note(user);
        self.timers.insert((moving.deadline, user));
        self.count(&moving, 1);
        if let Some(before) = self.by_user.insert(user, moving.clone()) {
            self.count(&before, -1);
            if before.deadline != moving.deadline {
                self.timers.remove(&(before.deadline, user));
            }
        }
    }

    pub(super) fn remove(&mut self, user: UserKey) -> Option<Move> {
        let moving = self.by_user.remove(&user)?;
        self.timers.remove(&(moving.deadline, user));
        self.changed.note(user);
        self.count(&moving, -1);
        Some(moving)
    }

    /// The moves away from an address.
    pub(super) fn away_from(&self, ip: IpAddr) -> Away {
        self.away.get(&ip).copied().unwrap_or_default()
    }

    fn count(&mut self, moving: &Move, difference: isize) {
        let stuck = if moving.is_stuck() { difference } else { 0 };
        self.stuck = self.stuck.saturating_add_signed(stuck);
        let away = self.away.entry(moving.from.ip).or_default();
        away.moving = away.moving.saturating_add_signed(difference as i64);
        away.stuck = away.stuck.saturating_add_signed(stuck as i64);
        if away.moving == 0 {
            self.away.remove(&moving.from.ip);
        }
    }

    /// A number for a run of the flush program.
    pub(super) fn next_run(&mut self) -> u64 {
        self.runs_so_far += 1;
        self.runs_so_far
    }

    /// Every contradiction between the moves and their timers.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let timers: BTreeSet<_> = self.iter().map(|(user, moving)| (moving.deadline, user)).collect();
        let stuck = self.by_user.values().filter(|moving| moving.is_stuck()).count();
        let mut found = Vec::new();
        let mut away: BTreeMap<IpAddr, Away> = BTreeMap::new();
        for moving in self.by_user.values() {
            let away = away.entry(moving.from.ip).or_default();
            away.moving += 1;
            away.stuck += u64::from(moving.is_stuck());
        }
        if away != self.away {
            found.push(format!("moves away are {:?}, counted {away:?}", self.away));
        }
        if timers != self.timers || stuck != self.stuck {
            found.push(format!(
                "timers {:?} and {} stuck for moves {:?}",
                self.timers, self.stuck, self.by_user
            ));
        }
        found
    }
}

impl Move {
    pub(super) fn is_stuck(&self) -> bool {
        self.phase == Phase::Ending { stuck: true }
    }

    /// True while sessions live on the old backend.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    /// What a login is told.
    pub(super) fn wait(&self, sessions: u32) -> Wait {
        match self.phase {
            Phase::Ending { stuck } => Wait::Moving { from: self.from.ip, sessions, stuck },
            Phase::Flushing { .. } => Wait::Flushing,
            Phase::Delay => Wait::KickDelay { until: self.deadline },
        }
    }
}
