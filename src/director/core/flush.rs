//! Flushes: users leave a backend for where the ring says, a limited number at a time (spec/director.md 4.7). A flush
//! is state that goes on whenever moves have ended, in steps of bounded work. Several run one after the other.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    num::NonZeroU32,
};

use super::{
    Action, Cause, Core, Flushing, Host, OperationError, Origin, backends::HostNumber, moves::Reason,
    users::Slot,
};

/// Most flushes at once, waiting ones included. Scripts flush host by host, and a pool has some dozens.
pub const FLUSHES_MAX: usize = 1000;

/// Names a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushId(u64);

/// How far a flush is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushProgress {
    /// Which one.
    pub flush: FlushId,
    /// Who wants it.
    pub origin: Origin,
    /// False while it has users to look at, or waits behind others.
    pub walked: bool,
    /// Backends still to be looked at, the present one included.
    pub hosts_left: usize,
    /// Users whose moves are under way.
    pub moving: u64,
    /// Users whose moves are complete.
    pub moved: u64,
    /// Users who belong where they are.
    pub kept: u64,
}

/// One flush.
#[derive(Debug)]
struct Flush {
    origin: Origin,
    parallel: Option<NonZeroU32>,
    /// Only users with this tag.
    tag: Option<Vec<u8>>,
    /// Backends to look at. By address, so that additions and removals do not shift them (10, W30).
    ips: VecDeque<IpAddr>,
    /// Those with the present address.
    numbers: VecDeque<HostNumber>,
    walk: Option<(HostNumber, Round)>,
    walked: bool,
    moving: u64,
    moved: u64,
    kept: u64,
}

/// Users without session go first: they cost nobody a reconnect, and what they leave behind is quick to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Idle,
    Everybody,
}

/// All flushes that have not ended.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    by_id: BTreeMap<FlushId, Flush>,
    /// Those with users to look at; the first one works.
    queue: VecDeque<FlushId>,
    so_far: u64,
}

impl Flushes {
    /// True while a flush walks over the users of a backend.
    pub(super) fn is_walking(&self, number: HostNumber) -> bool {
        let first = self.queue.front().and_then(|id| self.by_id.get(id));
        first.and_then(|flush| flush.walk).is_some_and(|(at, _)| at == number)
    }

    /// Counts a move that has begun.
    pub(super) fn note_start(&mut self, flush: FlushId) {
        if let Some(flush) = self.by_id.get_mut(&flush) {
            flush.moving += 1;
        }
    }

    /// Counts a move that is complete.
    pub(super) fn note_end(&mut self, flush: FlushId) -> Option<Action> {
        let counts = self.by_id.get_mut(&flush)?;
        counts.moving = counts.moving.saturating_sub(1);
        counts.moved += 1;
        self.end_if_over(flush)
    }

    fn end_if_over(&mut self, id: FlushId) -> Option<Action> {
        let flush = self.by_id.get(&id).filter(|flush| flush.walked && flush.moving == 0)?;
        let moved = flush.moved;
        self.by_id.remove(&id);
        Some(Action::FlushEnded { flush: id, moved })
    }

    /// All users have been looked at, or a person says so.
    fn end_walk(&mut self, id: FlushId) -> Vec<Action> {
        self.queue.retain(|queued| *queued != id);
        let Some(flush) = self.by_id.get_mut(&id) else { return Vec::new() };
        (flush.walked, flush.walk) = (true, None);
        flush.ips.clear();
        flush.numbers.clear();
        std::iter::once(Action::FlushWalked { flush: id }).chain(self.end_if_over(id)).collect()
    }

    pub(super) fn progress(&self) -> impl Iterator<Item = FlushProgress> {
        self.by_id.iter().map(|(id, flush)| FlushProgress {
            flush: *id,
            origin: flush.origin,
            walked: flush.walked,
            hosts_left: flush.ips.len() + usize::from(flush.walk.is_some() || !flush.numbers.is_empty()),
            moving: flush.moving,
            moved: flush.moved,
            kept: flush.kept,
        })
    }

    /// Every contradiction among the flushes.
    pub(super) fn contradictions(&self, moving: impl Fn(FlushId) -> u64) -> Vec<String> {
        let is_wrong = |(id, flush): &(&FlushId, &Flush)| {
            let over = flush.walked && flush.moving == 0;
            over || flush.moving != moving(**id) || flush.walked == self.queue.contains(id)
        };
        let wrong = self.by_id.iter().filter(is_wrong);
        wrong.map(|(id, flush)| format!("{id:?} is {flush:?}, moves {}", moving(*id))).collect()
    }
}

impl Core {
    /// Starts a flush of these addresses and takes the first step.
    pub(super) fn flush(
        &mut self,
        origin: Origin,
        ips: VecDeque<IpAddr>,
        tag: Option<Vec<u8>>,
        flushing: Flushing,
    ) -> Result<Vec<Action>, OperationError> {
        let Flushing::Safe { parallel } = flushing else {
            // An address may be that of a backend of another tag by now.
            let has_tag = |host: &Host| tag.as_ref().is_none_or(|tag| host.tag == *tag);
            let meant: Vec<_> = ips
                .into_iter()
                .filter(|ip| self.hosts().get(*ip).is_some_and(|host| has_tag(host)))
                .collect();
            return Ok(meant.into_iter().filter_map(|ip| self.forget_users(ip, origin)).collect());
        };
        let parallel = parallel_limit(parallel)?;
        if self.flushes.by_id.len() >= FLUSHES_MAX {
            return Err(OperationError::TooManyFlushes);
        }
        self.flushes.so_far += 1;
        let id = FlushId(self.flushes.so_far);
        let (numbers, walk, walked) = (VecDeque::new(), None, false);
        let flush = Flush { origin, parallel, tag, ips, numbers, walk, walked, moving: 0, moved: 0, kept: 0 };
        self.flushes.by_id.insert(id, flush);
        self.flushes.queue.push_back(id);
        let mut actions = vec![Action::FlushStarted { flush: id, origin }];
        self.advance_flushes(super::STEP_USERS_MAX, &mut actions);
        Ok(actions)
    }

    pub(super) fn stop_flush(&mut self, flush: FlushId) -> Result<Vec<Action>, OperationError> {
        let is_walking = self.flushes.by_id.get(&flush).is_some_and(|flush| !flush.walked);
        if !is_walking {
            return Err(OperationError::UnknownFlush);
        }
        Ok(self.flushes.end_walk(flush))
    }

    /// True if a flush would look at its next user now.
    pub(super) fn flush_can_go_on(&self) -> bool {
        self.flushes.queue.front().is_some_and(|id| self.may_move(*id))
    }

    fn may_move(&self, id: FlushId) -> bool {
        let limit =
            self.flushes.by_id.get(&id).and_then(|flush| flush.parallel).unwrap_or(self.rules.moves_max);
        self.moves.running() < limit.get() as usize
    }

    /// Looks at no more than `most` users.
    pub(super) fn advance_flushes(&mut self, most: usize, actions: &mut Vec<Action>) {
        let mut left = most;
        while let Some(id) = self.flushes.queue.front().copied().filter(|_| left > 0) {
            if !self.may_move(id) {
                return;
            }
            left -= 1;
            match self.next_flushed(id) {
                Next::User(slot, round) => self.flush_user(id, slot, round, actions),
                Next::Nobody => {}
                Next::End => actions.extend(self.flushes.end_walk(id)),
            }
        }
    }

    fn flush_user(&mut self, id: FlushId, slot: Slot, round: Round, actions: &mut Vec<Action>) {
        let Some(user) = self.users.row(slot) else { return };
        if user.moving || (round == Round::Idle && user.is_held()) || self.is_forgotten(user) {
            return;
        }
        let (key, number) = (user.key, user.host);
        let Some(host) = self.backends.row(number).map(|row| &row.host) else { return };
        let target = self.backends.hashed(&host.tag, key.hash);
        let stays = target.and_then(|n| self.backends.row(n)).is_some_and(|row| row.host.ip == host.ip);
        let Some(flush) = self.flushes.by_id.get_mut(&id) else { return };
        if stays {
            flush.kept += u64::from(round == Round::Everybody);
            return;
        }
        let reason = Reason { cause: Cause::Flushed(flush.origin), flush: Some(id) };
        self.start_move(slot, target, reason, actions);
    }

    fn next_flushed(&mut self, id: FlushId) -> Next {
        let Some(flush) = self.flushes.by_id.get_mut(&id) else { return Next::End };
        if let Some((number, round)) = flush.walk {
            if let Some(slot) = self.users.walk(number) {
                return Next::User(slot, round);
            }
            flush.walk = None;
            if round == Round::Idle {
                flush.walk = Some((number, Round::Everybody));
                self.users.begin_walk(number);
            }
            return Next::Nobody;
        }
        if let Some(number) = flush.numbers.pop_front() {
            flush.walk = Some((number, Round::Idle));
            self.users.begin_walk(number);
            return Next::Nobody;
        }
        let Some(ip) = flush.ips.pop_front() else { return Next::End };
        let has_tag = |number: &HostNumber| {
            flush
                .tag
                .as_ref()
                .is_none_or(|tag| self.backends.row(*number).is_some_and(|row| row.host.tag == *tag))
        };
        flush.numbers = self.backends.numbers(ip).into_iter().filter(has_tag).collect();
        Next::Nobody
    }
}

/// Checks a limit on moves at a time.
pub(super) fn parallel_limit(limit: Option<u32>) -> Result<Option<NonZeroU32>, OperationError> {
    limit.map(|limit| NonZeroU32::new(limit).ok_or(OperationError::NoParallelMoves)).transpose()
}

/// What a step of a flush finds.
enum Next {
    User(Slot, Round),
    Nobody,
    End,
}
