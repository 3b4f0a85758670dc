//! How a drain goes: the backend gets no new users, its users are moved away at a bounded pace, and it is told when
//! nothing of them is left. Users are walked over in rounds until nobody is there, so that those who come in between by
//! other ways are met, too. While a flush walks over the same backend the drain waits: both want the same.

use std::{collections::VecDeque, net::IpAddr};

use super::{
    Action, Activity, Cause, Core, DRAIN_PAUSE, DRAIN_QUIET, DrainEnd, DrainProgress, DrainState, Draining,
    Moment, OperationError, Origin, UserKey,
    backends::HostNumber,
    drains::{Drain, DrainLimits, Round, Walk},
    moves::Reason,
    pace::Pace,
    users::Slot,
};

impl Core {
    /// Starts a drain, or gives the one under way other limits.
    pub(super) fn drain(
        &mut self,
        origin: Origin,
        ip: IpAddr,
        draining: Draining,
    ) -> Result<Vec<Action>, OperationError> {
        self.check_in_use(ip)?;
        let limits = DrainLimits::try_from(draining)?;
        let now = self.now;
        self.drains.is_changed = true;
        if let Some(drain) = self.drains.active.get_mut(&ip) {
            drain.limits = limits;
            drain.pace.set(limits.per_sec, now);
            return Ok(Vec::new());
        }
        self.drains.make_room()?;
        let drain = Drain {
            origin,
            started: now,
            limits,
            vhosts_before: None,
            users_at_start: self.users_at(ip).users,
            moved: 0,
            pace: Pace::new(limits.per_sec, now),
            walk: Walk::begin(self.backends.numbers(ip)),
            waiting_since: None,
            told: DrainState::Moving,
        };
        self.drains.active.insert(ip, drain);
        let mut actions = vec![Action::DrainStarted { ip, origin }];
        self.close_to_new_users(ip, &mut actions);
        Ok(actions)
    }

    /// Ends a drain. Moves under way go on.
    pub(super) fn stop_drain(
        &mut self,
        origin: Origin,
        ip: IpAddr,
        restore: bool,
    ) -> Result<Vec<Action>, OperationError> {
        let mut actions = Vec::new();
        let drain = self.end_drain(ip, DrainEnd::Stopped(origin), &mut actions);
        let before = drain.ok_or(OperationError::UnknownDrain(ip))?.vhosts_before;
        if let Some(vhosts) = before.filter(|_| restore) {
            actions.extend(self.change_host(origin, ip, |host| host.vhosts = vhosts));
        }
        Ok(actions)
    }

    pub(super) fn end_drain(
        &mut self,
        ip: IpAddr,
        end: DrainEnd,
        actions: &mut Vec<Action>,
    ) -> Option<Drain> {
        let drain = self.drains.end(ip, end)?;
        actions.push(Action::DrainChanged { ip, state: DrainState::Ended(end) });
        Some(drain)
    }

    /// Ends the drains of backends that take new users again. A backend that was removed, or that somebody else has given
    /// the weight 0, takes none and has no other weight to be restored.
    pub(super) fn end_contradicted_drains(&mut self, origin: Origin, actions: &mut Vec<Action>) {
        let table = self.backends.table();
        let has_weight = |ip: &IpAddr| table.get(*ip).is_some_and(|host| host.vhosts > 0);
        for (_, drain) in self.drains.active.iter_mut().filter(|(ip, _)| !has_weight(ip)) {
            self.drains.is_changed |= drain.vhosts_before.is_none();
            drain.vhosts_before.get_or_insert(0);
        }
        let closed = self.drains.active.iter().filter(|(_, drain)| drain.vhosts_before.is_some());
        let over: Vec<_> = closed.map(|(ip, _)| *ip).filter(has_weight).collect();
        for ip in over {
            self.end_drain(ip, DrainEnd::BackInUse(origin), actions);
        }
    }

    /// What passes for drains now: at most `most` users are looked at.
    pub(super) fn advance_drains(&mut self, most: usize, activity: &dyn Activity, actions: &mut Vec<Action>) {
        let ips: Vec<_> = self.drains.active.keys().copied().collect();
        let share = most.div_ceil(ips.len().max(1));
        for ip in ips {
            self.close_to_new_users(ip, actions);
            self.walk_drain(ip, share, activity, actions);
            self.tell_drain(ip, actions);
        }
    }

    /// When a drain has something to do.
    pub(super) fn next_drain_step(&self) -> Option<Moment> {
        let due = |(ip, drain): (&IpAddr, &Drain)| {
            let is_news = self.drain_state(*ip, drain) != drain.told;
            if is_news || self.can_close(*ip, drain) {
                return Some(self.now);
            }
            match &drain.walk {
                _ if !self.may_drain(*ip, drain) => self.leavers_until(*ip).filter(|_| self.is_empty(*ip)),
                Walk::Pause { until } => Some(*until),
                Walk::Round { round: Round::Vacant, .. } => Some(self.now),
                Walk::Round { round: Round::Held, .. } => Some(drain.pace.ready().max(self.now)),
            }
        };
        self.drains.active.iter().filter_map(due).min()
    }

    /// The drains, those that have ended included, by address.
    pub fn drains(&self, now: Moment) -> Vec<DrainProgress> {
        let active = self.drains.active.iter().map(|(ip, drain)| (*ip, drain, None));
        let ended = self.drains.ended.iter().map(|(ip, drain, end)| (*ip, drain, Some(*end)));
        let ended = ended.filter(|(ip, ..)| !self.drains.active.contains_key(ip));
        let mut rows: Vec<_> =
            active.chain(ended).map(|(ip, drain, end)| self.drain_progress(now, ip, drain, end)).collect();
        rows.sort_by_key(|row| super::hosts::order(row.ip));
        rows
    }

    /// The drain of one backend.
    pub fn drain_of(&self, now: Moment, ip: IpAddr) -> Option<DrainProgress> {
        if let Some(drain) = self.drains.active.get(&ip) {
            return Some(self.drain_progress(now, ip, drain, None));
        }
        let (_, drain, end) = self.drains.ended.iter().find(|(other, ..)| *other == ip)?;
        Some(self.drain_progress(now, ip, drain, Some(*end)))
    }

    /// True if a backend has no users, no session, no login in progress, no move away from it, and gets no new users.
    /// Where users were forgotten, the kick delay has passed since the last session ended.
    pub fn is_safe_to_power_off(&self, now: Moment, ip: IpAddr) -> bool {
        self.is_empty(ip) && self.leavers_until(ip).is_none_or(|until| until <= now)
    }

    fn is_empty(&self, ip: IpAddr) -> bool {
        self.gets_no_new_users(ip) && self.users_at(ip).users == 0 && self.moves.away_from(ip).moving == 0
    }

    /// Until when users count who were forgotten at this address.
    fn leavers_until(&self, ip: IpAddr) -> Option<Moment> {
        let gone = self.backends.numbers(ip).into_iter().filter(|number| self.backends.is_gone(*number));
        gone.filter_map(|number| self.left_until(number)).max()
    }

    fn drain_progress(&self, now: Moment, ip: IpAddr, drain: &Drain, end: Option<DrainEnd>) -> DrainProgress {
        let (left, away) = (self.users_at(ip), self.moves.away_from(ip));
        DrainProgress {
            ip,
            origin: drain.origin,
            started: drain.started,
            seen: now.max(self.now),
            state: end.map_or_else(|| self.drain_state(ip, drain), DrainState::Ended),
            vhosts_before: drain.vhosts_before,
            users_at_start: drain.users_at_start,
            users_left: left.users,
            sessions_left: left.sessions,
            moving: away.moving,
            stuck: away.stuck,
            moved: drain.moved,
            safe: self.is_safe_to_power_off(now, ip),
            parallel: drain.limits.parallel.unwrap_or(self.rules.moves_max).get(),
            per_sec: drain.limits.per_sec.get(),
            grace: drain.limits.grace,
        }
    }

    /// Whether every user is held up is not asked of each of them: a tag has usable backends or not.
    fn drain_state(&self, ip: IpAddr, drain: &Drain) -> DrainState {
        if self.is_safe_to_power_off(self.now, ip) {
            return DrainState::Safe;
        }
        let with_users = |number: &HostNumber| self.left(*number).users > 0;
        let mut places = self.backends.numbers(ip).into_iter().filter(with_users).peekable();
        let nobody = places.peek().is_none() && !self.gets_no_new_users(ip);
        if nobody || (places.peek().is_some() && !places.any(|number| self.has_another(ip, number))) {
            return DrainState::Blocked;
        }
        match drain.patience().filter(|until| *until > self.now) {
            Some(until) => DrainState::Waiting { until },
            None => DrainState::Moving,
        }
    }

    /// The weight goes to 0 as soon as that leaves new users a backend: what a person wants is an empty backend, not
    /// an outage.
    fn close_to_new_users(&mut self, ip: IpAddr, actions: &mut Vec<Action>) {
        let Some(drain) = self.drains.active.get(&ip).filter(|drain| self.can_close(ip, drain)) else {
            return;
        };
        let (origin, host) = (drain.origin, self.hosts().get(ip).cloned());
        if let Some(host) = host {
            actions.extend(self.change_host(origin, ip, |host| host.vhosts = 0));
            self.drains.active.entry(ip).and_modify(|drain| drain.vhosts_before = Some(host.vhosts));
            self.drains.is_changed = true;
        }
    }

    fn can_close(&self, ip: IpAddr, drain: &Drain) -> bool {
        let Some(host) = self.hosts().get(ip).filter(|_| drain.vhosts_before.is_none()) else { return false };
        !host.is_usable() || self.backends.ring().has_other(&host.tag, ip)
    }

    fn gets_no_new_users(&self, ip: IpAddr) -> bool {
        self.hosts().get(ip).is_none_or(|host| host.vhosts == 0)
    }

    /// True if users of a backend can go to another address.
    fn has_another(&self, ip: IpAddr, number: HostNumber) -> bool {
        self.backends.row(number).is_some_and(|row| self.backends.ring().has_other(&row.host.tag, ip))
    }

    fn may_drain(&self, ip: IpAddr, drain: &Drain) -> bool {
        let limit = drain.limits.parallel.unwrap_or(self.rules.moves_max);
        let away = self.moves.away_from(ip);
        let numbers = self.backends.numbers(ip);
        away.moving - away.stuck < u64::from(limit.get())
            && numbers.iter().any(|number| self.left(*number).users > 0 && self.has_another(ip, *number))
            && !numbers.iter().any(|number| self.flushes.is_walking(*number))
    }

    fn walk_drain(&mut self, ip: IpAddr, most: usize, activity: &dyn Activity, actions: &mut Vec<Action>) {
        for _ in 0..most {
            let Some(drain) = self.drains.active.get(&ip) else { return };
            if !self.may_drain(ip, drain) {
                return self.lose_place(ip);
            }
            let held = matches!(drain.walk, Walk::Round { round: Round::Held, .. });
            if held && drain.pace.ready() > self.now {
                return;
            }
            match self.next_drained(ip) {
                Step::User(slot, round) => self.drain_user(ip, slot, round, activity, actions),
                Step::Nobody => {}
                Step::Pause => return,
            }
        }
    }

    /// A backend has one walk at a time: if a flush has taken it, the round begins anew.
    fn lose_place(&mut self, ip: IpAddr) {
        let numbers = self.backends.numbers(ip);
        if numbers.iter().any(|number| self.flushes.is_walking(*number)) {
            self.drains.active.entry(ip).and_modify(|drain| drain.walk = Walk::begin(numbers));
        }
    }

    fn next_drained(&mut self, ip: IpAddr) -> Step {
        let numbers = self.backends.numbers(ip);
        let now = self.now;
        let Some(drain) = self.drains.active.get_mut(&ip) else { return Step::Pause };
        let (round, left, at, busy) = match &mut drain.walk {
            Walk::Pause { until } if *until > now => return Step::Pause,
            Walk::Pause { .. } => {
                drain.walk = Walk::begin(numbers);
                return Step::Nobody;
            }
            Walk::Round { round, numbers, at, busy } => (*round, numbers, at, *busy),
        };
        if let Some(number) = *at {
            match self.users.walk(number) {
                Some(slot) => return Step::User(slot, round),
                None => *at = None,
            }
        } else if let Some(number) = left.pop_front() {
            *at = Some(number);
            self.users.begin_walk(number);
        } else {
            drain.end_round(round, busy, numbers, now);
        }
        Step::Nobody
    }

    fn drain_user(
        &mut self,
        ip: IpAddr,
        slot: Slot,
        round: Round,
        activity: &dyn Activity,
        actions: &mut Vec<Action>,
    ) {
        let Some(user) = self.users.row(slot) else { return };
        let (key, held) = (user.key, user.is_held());
        if user.moving || held != (round == Round::Held) || self.is_forgotten(user) {
            return;
        }
        let target = self.backends.hashed(self.backends.tag_name(key.tag), key.hash);
        let target_ip = target.and_then(|number| self.backends.row(number)).map(|row| row.host.ip);
        if target_ip.is_none_or(|target| target == ip) {
            return;
        }
        let is_busy = held && !self.is_quiet(key, activity);
        let now = self.now;
        let Some(drain) = self.drains.active.get_mut(&ip) else { return };
        if is_busy && drain.patience().is_none_or(|patience| now < patience) {
            return drain.note_busy();
        }
        if held {
            drain.pace.take(now);
        }
        let reason = Reason { cause: Cause::Drained(drain.origin), flush: None };
        self.start_move(slot, target, reason, actions);
    }

    fn is_quiet(&self, user: UserKey, activity: &dyn Activity) -> bool {
        let is_quiet =
            |session| activity.quiet_since(session).is_some_and(|since| since.after(DRAIN_QUIET) <= self.now);
        self.kicks(user).all(|kick| matches!(kick, Action::Kick { session } if is_quiet(session)))
    }

    /// Says what is new about a drain.
    fn tell_drain(&mut self, ip: IpAddr, actions: &mut Vec<Action>) {
        let Some(drain) = self.drains.active.get(&ip) else { return };
        let state = self.drain_state(ip, drain);
        if state != drain.told {
            self.drains.active.entry(ip).and_modify(|drain| drain.told = state);
            actions.push(Action::DrainChanged { ip, state });
        }
        if state == DrainState::Safe && !self.hosts().contains(ip) {
            self.end_drain(ip, DrainEnd::Removed, actions);
        }
    }

    /// Who is still at an address, as good as it is known.
    fn users_at(&self, ip: IpAddr) -> Left {
        let numbers = self.backends.numbers(ip).into_iter().map(|number| self.left(number));
        numbers.fold(Left::default(), |sum, left| Left {
            users: sum.users + left.users,
            sessions: sum.sessions + left.sessions,
        })
    }

    fn left(&self, number: HostNumber) -> Left {
        let census = self.users.census(number);
        // Mappings without session mean nothing on a backend that is gone.
        let users = if self.backends.is_gone(number) { census.held } else { census.users };
        Left { users: users as u64, sessions: census.sessions as u64 }
    }
}

/// Who is still there.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    users: u64,
    sessions: u64,
}

/// What the walk of a drain finds.
enum Step {
    User(Slot, Round),
    Nobody,
    Pause,
}

impl Walk {
    pub(super) fn begin(numbers: VecDeque<HostNumber>) -> Self {
        Self::Round { round: Round::Vacant, numbers, at: None, busy: 0 }
    }
}

impl Drain {
    fn note_busy(&mut self) {
        if let Walk::Round { busy, .. } = &mut self.walk {
            *busy += 1;
        }
    }

    /// The grace begins when everybody who is quiet has been moved, and ends with the round behind it.
    fn end_round(&mut self, round: Round, busy: u64, numbers: VecDeque<HostNumber>, now: Moment) {
        if round == Round::Vacant {
            self.walk = Walk::Round { round: Round::Held, numbers, at: None, busy: 0 };
            return;
        }
        self.waiting_since = if busy == 0 { None } else { self.waiting_since.or(Some(now)) };
        let pause = now.after(DRAIN_PAUSE);
        let until =
            self.patience().filter(|patience| now < *patience).map_or(pause, |patience| pause.min(patience));
        self.walk = Walk::Pause { until };
    }
}
