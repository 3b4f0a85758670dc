//! One backend as the health checks know it: its row in the director's table, its checks, and what is under way.

use std::collections::BTreeMap;

use homing_login::Service;

use super::ramp::Ramp;
use crate::{
    director::core::{BackendRow, Moment, Origin},
    health::watch::Watch,
};

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) watch: Watch,
    pub(super) due: Moment,
    pub(super) under_way: bool,
}

/// One backend.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) tag: Vec<u8>,
    pub(super) up: bool,
    pub(super) vhosts: u32,
    changed: Option<(Moment, Origin)>,
    pub(super) checks: BTreeMap<Service, Check>,
    /// The weight that is coming back.
    pub(super) ramp: Option<Ramp>,
    /// Its users are to be moved away, if the rules say so.
    pub(super) flush_due: bool,
    /// It was told that it has failed and stays up.
    pub(super) told_held: bool,
}

impl Host {
    pub(super) fn new(row: &BackendRow) -> Self {
        let mut host = Self {
            tag: row.host.tag.clone(),
            up: row.host.up,
            vhosts: row.host.vhosts,
            changed: row.changed,
            checks: BTreeMap::new(),
            ramp: None,
            flush_due: false,
            told_held: false,
        };
        // An earlier run has taken it down; nobody knows how far it came with the users.
        host.flush_due = host.is_held_by_us();
        host
    }

    pub(super) fn update(&mut self, now: Moment, row: &BackendRow) {
        let is_new = row.changed != self.changed;
        (self.up, self.vhosts, self.changed) = (row.host.up, row.host.vhosts, row.changed);
        self.tag.clone_from(&row.host.tag);
        let by_us = self.changed.is_some_and(|(_, origin)| origin == Origin::Health);
        if is_new && self.up && !by_us {
            self.checks.values_mut().for_each(|check| check.watch.forgive(now));
            self.told_held = false;
        }
        if self.up {
            self.flush_due = false;
        } else if is_new && by_us {
            self.flush_due = true;
        }
    }

    /// True if it is down and nobody else has said so.
    pub(super) fn is_held_by_us(&self) -> bool {
        !self.up && self.changed.is_some_and(|(_, origin)| origin == Origin::Health)
    }

    /// A protocol that was not checked before, the first time at `first`.
    pub(super) fn add_service(&mut self, now: Moment, service: Service, first: Moment) {
        let down = self.is_held_by_us();
        self.checks.entry(service).or_insert_with(|| Check {
            watch: Watch::new(now, down),
            due: first,
            under_way: false,
        });
    }

    pub(super) fn keep_services(&mut self, is_kept: impl Fn(Service) -> bool) {
        self.checks.retain(|service, _| is_kept(*service));
    }
}
