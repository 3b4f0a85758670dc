//! How a move goes: a user's sessions on the old backend end, the flush program runs, the kick delay passes, and only
//! then is the user on the new backend (spec/director.md 3.3). Unlike in the reference no timeout ends a move while a
//! session lives (10, W10), logins in progress are sessions (W1), and the delay counts from the end of the last
//! session, so that a user without session need not wait.

use std::sync::Arc;

use super::{
    Action, Cause, Core, FLUSH_PROGRAM_TIME, FlushProgram, FlushRun, MOVE_TIME, Moment, Movement, UserKey,
    backends::HostNumber,
    moves::{Move, Phase, Reason},
    users::Slot,
};

impl Core {
    /// Starts a move, and ends it at once if nothing has to be waited for. A user who is at the address already
    /// goes nowhere.
    pub(super) fn start_move(
        &mut self,
        slot: Slot,
        to: Option<HostNumber>,
        reason: Reason,
        actions: &mut Vec<Action>,
    ) {
        let Some(user) = self.users.row(slot) else { return };
        let (key, host, sessions, seen) = (user.key, user.host, user.sessions, user.seen);
        let Some(from) = self.backends.row(host).map(|row| Arc::clone(&row.host)) else { return };
        let to_ip = to.and_then(|to| self.backends.row(to)).map(|row| row.host.ip);
        if let Some(to) = to.filter(|_| to_ip == Some(from.ip)) {
            if to != host {
                self.users.assign(slot, to, self.now, reason.cause);
                // The user's logins may wait, if the backend was gone.
                actions.push(Action::Wake { user: key.hash });
            }
            return self.users.confirm(slot, self.now);
        }
        let movement = Movement { user: key, from: from.ip, to: to_ip, sessions, cause: reason.cause };
        actions.push(Action::MoveStarted(movement));
        let deadline = self.now.after(MOVE_TIME);
        let phase = Phase::Ending { stuck: false };
        let moving = Move { from, to: to_ip, cause: reason.cause, flush: reason.flush, phase, deadline };
        self.moves.set(key, moving);
        self.users.set_moving(slot, true, self.now);
        if let Some(flush) = reason.flush {
            self.flushes.note_start(flush);
        }
        if sessions > 0 {
            actions.extend(self.kicks(key));
        } else {
            self.sessions_over(slot, seen, actions);
        }
    }

    /// The last session of a moved user has ended: the mapping changes, the flush program or the delay begins.
    pub(super) fn sessions_over(&mut self, slot: Slot, ended: Moment, actions: &mut Vec<Action>) {
        let Some(key) = self.users.row(slot).map(|user| user.key) else { return };
        let Some(moving) = self.moves.get(key).cloned() else { return };
        // The backend may be gone meanwhile, or have another tag.
        let number = moving.to.and_then(|ip| self.backends.number(ip));
        let target =
            number.and_then(|n| self.backends.row(n).filter(|row| row.tag == key.tag).map(|row| (n, row)));
        let Some((number, new)) = target.map(|(number, row)| (number, Arc::clone(&row.host))) else {
            self.moves.set(key, Move { to: None, ..moving });
            return self.delay(slot, ended, actions);
        };
        self.users.assign(slot, number, self.now, moving.cause);
        if !self.rules.flush_program {
            return self.delay(slot, ended, actions);
        }
        let run = self.moves.next_run();
        let old = Arc::clone(&moving.from);
        let (phase, deadline) = (Phase::Flushing { run, ended }, self.now.after(FLUSH_PROGRAM_TIME));
        self.moves.set(key, Move { phase, deadline, ..moving });
        let run = FlushRun { user: key, number: run };
        actions.push(Action::RunFlush(FlushProgram { run, user: key.hash, old, new }));
    }

    /// The flush program has ended.
    pub(super) fn flush_done(&mut self, run: FlushRun, success: bool) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(Phase::Flushing { run: number, ended }) =
            self.moves.get(run.user).map(|moving| moving.phase)
        else {
            return actions;
        };
        if let Some(slot) = self.users.find(run.user).filter(|_| number == run.number) {
            match success {
                true => self.finish_move(slot, &mut actions),
                false => self.delay(slot, ended, &mut actions),
            }
        }
        actions
    }

    /// Waits for the rest of the kick delay.
    fn delay(&mut self, slot: Slot, ended: Moment, actions: &mut Vec<Action>) {
        let until = ended.after(self.rules.kick_delay);
        if until <= self.now {
            return self.finish_move(slot, actions);
        }
        let Some(key) = self.users.row(slot).map(|user| user.key) else { return };
        if let Some(moving) = self.moves.get(key).cloned() {
            self.moves.set(key, Move { phase: Phase::Delay, deadline: until, ..moving });
        }
    }

    /// Logins of the user go on: on the new backend, or wherever the ring says if there is none.
    fn finish_move(&mut self, slot: Slot, actions: &mut Vec<Action>) {
        let Some(user) = self.users.row(slot) else { return };
        let (key, host) = (user.key, user.host);
        let Some(moving) = self.moves.remove(key) else { return };
        let to = moving.to.filter(|_| !self.backends.is_gone(host));
        self.users.set_moving(slot, false, self.now);
        if to.is_none() {
            self.users.forget(slot);
        }
        let Move { from, cause, flush, .. } = moving;
        actions.push(Action::MoveEnded(Movement { user: key, from: from.ip, to, sessions: 0, cause }));
        actions.push(Action::Wake { user: key.hash });
        self.drains.note_moved(from.ip, to);
        if let Some(flush) = flush {
            actions.extend(self.flushes.note_end(flush));
        }
    }

    /// What the passing of time does to moves; at most `most` of them.
    pub(super) fn advance_moves(&mut self, most: usize, actions: &mut Vec<Action>) {
        for _ in 0..most {
            let Some(key) = self.moves.next_due(self.now) else { return };
            let (Some(slot), Some(moving)) = (self.users.find(key), self.moves.get(key).cloned()) else {
                // Cannot be; but a timer that nobody ends would keep the service busy for ever.
                self.moves.remove(key);
                continue;
            };
            match moving.phase {
                Phase::Ending { stuck } => {
                    let (ip, deadline) = (moving.from.ip, self.now.after(MOVE_TIME));
                    self.moves.set(key, Move { phase: Phase::Ending { stuck: true }, deadline, ..moving });
                    if !stuck {
                        let sessions = self.users.row(slot).map_or(0, |user| user.sessions);
                        actions.push(Action::Stuck { user: key, ip, sessions });
                    }
                    actions.extend(self.kicks(key));
                }
                Phase::Flushing { run, ended } => {
                    actions.push(Action::AbortFlush { run: FlushRun { user: key, number: run } });
                    self.delay(slot, ended, actions);
                }
                Phase::Delay => self.finish_move(slot, actions),
            }
        }
    }

    /// Kicks for the sessions of a user, logins in progress included.
    pub(super) fn kicks(&self, user: UserKey) -> impl Iterator<Item = Action> {
        let sessions = self.users.find(user).map(|slot| self.users.sessions(slot));
        sessions.into_iter().flatten().map(|session| Action::Kick { session })
    }

    /// Gives a stuck move another target; back to where the sessions are is the end of it.
    pub(super) fn redirect_move(
        &mut self,
        slot: Slot,
        to: HostNumber,
        cause: Cause,
        actions: &mut Vec<Action>,
    ) {
        let Some(user) = self.users.row(slot) else { return };
        let (key, from) = (user.key, user.host);
        let Some(moving) = self.moves.get(key).cloned() else { return };
        let Some(ip) = self.backends.row(to).map(|row| row.host.ip) else { return };
        if ip != moving.from.ip {
            return self.moves.set(key, Move { to: Some(ip), cause, ..moving });
        }
        self.moves.set(key, Move { to: Some(ip), cause, ..moving });
        if to != from {
            self.users.assign(slot, to, self.now, cause);
        }
        self.finish_move(slot, actions);
    }
}
