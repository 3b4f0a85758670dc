//! Drains: what of them is written down, and how they go on. Whatever they knew of a round is found out anew.

use super::SavedDrain;
use crate::director::core::{
    Action, Core, DRAINS_MAX, DrainState, Draining, Origin,
    drains::{Drain, DrainLimits, Walk},
    pace::Pace,
};

impl Core {
    pub(super) fn saved_drains(&self) -> Vec<SavedDrain> {
        let drains = self.drains.active.iter();
        let saved = drains.map(|(ip, drain)| SavedDrain {
            ip: *ip,
            origin: drain.origin,
            started: drain.started,
            limits: Draining {
                parallel: drain.limits.parallel.map(Into::into),
                per_sec: Some(drain.limits.per_sec.get()),
                grace: Some(drain.limits.grace),
            },
            vhosts_before: drain.vhosts_before,
            users_at_start: drain.users_at_start,
            moved: drain.moved,
        });
        saved.collect()
    }

    /// Goes on with the drains; what the configuration has put back into use is not drained any more.
    pub(super) fn restore_drains(&mut self, saved: &[SavedDrain], told: &mut Vec<Action>) {
        for saved in saved.iter().take(DRAINS_MAX) {
            let Ok(limits) = DrainLimits::try_from(saved.limits) else { continue };
            let (ip, origin) = (saved.ip, saved.origin);
            let drain = Drain {
                origin,
                started: saved.started.min(self.now),
                limits,
                vhosts_before: saved.vhosts_before,
                users_at_start: saved.users_at_start,
                moved: saved.moved,
                pace: Pace::new(limits.per_sec, self.now),
                walk: Walk::begin(self.backends.numbers(ip)),
                waiting_since: None,
                told: DrainState::Moving,
            };
            self.drains.active.insert(ip, drain);
            told.push(Action::DrainStarted { ip, origin });
        }
        self.end_contradicted_drains(Origin::Configuration, told);
    }
}
