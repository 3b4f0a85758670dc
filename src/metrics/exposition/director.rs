//! Users, backends, moves. Backends are told apart by address and tag, up to a limit.

use std::{collections::HashMap, fmt, net::IpAddr};

use super::{
    Sources,
    sheet::{Labels, Sheet, by_one, by_two, only},
};
use crate::{
    director::core::{BackendRow, DrainState},
    metrics::BACKENDS_MAX,
    observe::tally::tally,
};

/// The label of backends beyond the limit.
const OTHERS: &str = "others";

pub(super) fn write(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let census = sources.director.census();
    sheet.gauge("director_users", "Users who have a backend.", only(census.users as u64))?;
    let help =
        "Sessions that hold their user's backend, logins in progress and those of other programs included.";
    sheet.gauge("director_sessions", help, only(census.sessions as u64))?;
    sheet.gauge("director_moves", "Users being moved.", only(census.moves as u64))?;
    sheet.gauge(
        "director_moves_stuck",
        "Users being moved whose sessions do not end.",
        only(census.stuck as u64),
    )?;
    sheet.gauge("director_flushes", "Flushes that have not ended.", only(census.flushes as u64))?;
    drains(sources, sheet)?;
    let m = tally();
    sheet.counter(
        "director_moves_started",
        "Moves of users, by cause and who wanted them.",
        by_two(&m.moves),
    )?;
    let help = "Moves whose sessions did not end within 30 s.";
    sheet.counter("director_moves_overdue", help, only(m.moves_stuck.value()))?;
    sheet.counter("director_kicks", "Sessions that the director ended.", only(m.kicks.value()))?;
    sheet.counter(
        "director_flushes_started",
        "Flushes of backends, by who wanted them.",
        by_one(&m.flushes),
    )?;
    let help = "Changes of backends, by who wanted them.";
    sheet.counter("director_backend_changes", help, by_two(&m.host_changes))?;
    backends(&Backends::of(&sources.director.backends()), sheet)
}

fn drains(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let drains = sources.director.drains();
    let count = |state: &'static str, is_so: fn(&DrainState) -> bool| {
        (vec![("state", state.into())], drains.iter().filter(|drain| is_so(&drain.state)).count() as u64)
    };
    let states = [
        count("moving", |state| matches!(state, DrainState::Moving)),
        count("waiting", |state| matches!(state, DrainState::Waiting { .. })),
        count("blocked", |state| matches!(state, DrainState::Blocked)),
        count("safe", |state| matches!(state, DrainState::Safe)),
    ];
    sheet.gauge("director_drains", "Drains of backends by state; safe: can be powered off.", states)
}

fn backends(backends: &Backends, sheet: &mut Sheet<'_>) -> fmt::Result {
    let state = |state: &'static str, count: usize| (vec![("state", state.into())], count as u64);
    let (up, down, leaving) = (backends.up, backends.down, backends.leaving);
    let states = [state("up", up), state("down", down), state("leaving", leaving)];
    sheet.gauge("backends", "Backends by state; leaving: removed, but with sessions.", states)?;
    let hosts = || backends.rows.iter().filter_map(|row| Some((row.labels(), row.host?)));
    let up = hosts().map(|(labels, host)| (labels, u64::from(host.up)));
    sheet.gauge(
        "backend_up",
        "1 if a backend is marked up; with the weight 0 it takes no new users even so.",
        up,
    )?;
    let vhosts = hosts().map(|(labels, host)| (labels, u64::from(host.vhosts)));
    sheet.gauge("backend_vhosts", "Weight of a backend.", vhosts)?;
    let users = backends.rows.iter().map(|row| (row.labels(), row.users as u64));
    sheet.gauge("backend_users", "Users who have this backend.", users)?;
    let sessions = backends.rows.iter().map(|row| (row.labels(), row.sessions as u64));
    sheet.gauge("backend_sessions", "Sessions that hold a place on this backend.", sessions)
}

/// The backends with their labels.
#[derive(Debug, Default)]
struct Backends {
    rows: Vec<Row>,
    up: usize,
    down: usize,
    leaving: usize,
}

/// One backend; one that is in the table and, with another number, still leaving is one row. `None`: those beyond the
/// limit.
#[derive(Debug, Default)]
struct Row {
    key: Option<(IpAddr, Vec<u8>)>,
    /// State in the table.
    host: Option<State>,
    users: usize,
    sessions: usize,
}

#[derive(Debug, Clone, Copy)]
struct State {
    up: bool,
    vhosts: u32,
}

impl Backends {
    fn of(table: &[BackendRow]) -> Self {
        let mut backends = Self::default();
        let mut places = HashMap::new();
        let mut others = Row::default();
        for backend in table {
            backends.count(backend);
            let key = (backend.host.ip, backend.host.tag.clone());
            let place = *places.entry(key.clone()).or_insert(backends.rows.len());
            if place == backends.rows.len() && place < BACKENDS_MAX {
                backends.rows.push(Row { key: Some(key), ..Row::default() });
            }
            backends.rows.get_mut(place).unwrap_or(&mut others).add(backend);
        }
        if table.len() > BACKENDS_MAX {
            backends.rows.push(others);
        }
        backends
    }

    fn count(&mut self, backend: &BackendRow) {
        let count = match (backend.leaving, backend.host.up) {
            (true, _) => &mut self.leaving,
            (false, true) => &mut self.up,
            (false, false) => &mut self.down,
        };
        *count += 1;
    }
}

impl Row {
    fn add(&mut self, backend: &BackendRow) {
        if !backend.leaving && self.key.is_some() {
            self.host = Some(State { up: backend.host.up, vhosts: backend.host.vhosts });
        }
        self.users += backend.users;
        self.sessions += backend.sessions;
    }

    fn labels(&self) -> Labels {
        let (backend, tag) = match &self.key {
            Some((ip, tag)) => (ip.to_string(), homing_wire::printable(tag)),
            None => (OTHERS.to_owned(), String::new()),
        };
        vec![("backend", backend.into()), ("tag", tag.into())]
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use super::*;
    use crate::director::core::Host;

    fn row(ip: u32, tag: &str, leaving: bool) -> BackendRow {
        let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + ip));
        let host = Host { ip, hostname: None, tag: tag.into(), vhosts: 50, up: ip.to_string() != "10.0.0.2" };
        BackendRow { host: Arc::new(host), leaving, users: 3, held: 1, sessions: 2, changed: None }
    }

    #[test]
    fn a_backend_that_left_and_came_back_is_one_row() {
        let table = [row(1, "", false), row(2, "", false), row(1, "", true), row(1, "old", true)];
        let backends = Backends::of(&table);
        assert_eq!((backends.up, backends.down, backends.leaving), (1, 1, 2));
        let seen: Vec<_> = backends
            .rows
            .iter()
            .map(|row| {
                (
                    row.labels()[0].1.to_string(),
                    row.labels()[1].1.to_string(),
                    row.sessions,
                    row.host.is_some(),
                )
            })
            .collect();
        let row = |ip: &str, tag: &str, sessions, there| (ip.to_owned(), tag.to_owned(), sessions, there);
        assert_eq!(
            seen,
            [row("10.0.0.1", "", 4, true), row("10.0.0.2", "", 2, true), row("10.0.0.1", "old", 2, false)]
        );
    }

    #[test]
    fn the_number_of_rows_is_bounded_and_no_user_is_lost() {
        let count = BACKENDS_MAX as u32 + 500;
        let backends = Backends::of(&(0..count).map(|n| row(n, "", false)).collect::<Vec<_>>());
        assert_eq!(backends.rows.len(), BACKENDS_MAX + 1);
        assert_eq!(backends.rows.iter().map(|row| row.users).sum::<usize>(), 3 * count as usize);
        let others = backends.rows.last().unwrap();
        assert_eq!((others.labels()[0].1.as_ref(), others.host.is_some()), (OTHERS, false));
    }
}
