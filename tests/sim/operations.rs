//! Which operations there are and how often they come.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use homing::director::core::{
    Action, FlushRun, Flushing, Host, Naming, Operation, OperationError, Origin, Rules, Table, UserHash,
    UsernameFormat,
};

use super::{
    drains,
    driver::{Sim, user},
    model::{Flow, HOSTS, Life, Model, TAGS, VHOSTS, Who, address},
    plans,
    random::Random,
};

/// A history from its first table.
pub fn begin(seed: u64, traced: bool) -> Sim {
    let mut random = Random::new(seed);
    let mut model = Model { now: 1_700_000_000_000 + seed % 1000, ..Model::default() };
    let table = table(&mut random, &mut model);
    model.change(Origin::Configuration, &Operation::Configure(table.clone())).unwrap();
    Sim::new(seed, random, table, model, traced)
}

/// A configuration; the model learns its rules.
fn table(random: &mut Random, model: &mut Model) -> Table {
    model.expire = 10_000 + 1000 * random.below(50);
    // Now and then longer than the flush program may run.
    model.kick_delay = if random.one_in(6) { 40_000 } else { 500 * random.below(8) };
    model.moves_max = 1 + random.below(4);
    model.script = random.one_in(3);
    let mut hosts = Vec::new();
    for n in 1..=HOSTS {
        if !random.one_in(4) {
            hosts.push(host(random, address(n)));
        }
    }
    Table { hosts, rules: rules(model) }
}

fn rules(model: &Model) -> Rules {
    let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
    Rules {
        naming,
        expire: Duration::from_millis(model.expire),
        kick_delay: Duration::from_millis(model.kick_delay),
        moves_max: NonZeroU32::new(model.moves_max as u32).unwrap(),
        flush_program: model.script,
    }
}

/// The configuration in force.
fn same_table(model: &Model) -> Table {
    Table { hosts: model.said.clone(), rules: rules(model) }
}

fn host(random: &mut Random, ip: IpAddr) -> Host {
    let tag = if random.one_in(2) { "" } else { random.one(&TAGS) };
    let vhosts = random.below(u64::from(VHOSTS) + 1) as u32;
    Host { vhosts, up: !random.one_in(6), ..Host::new(ip, None, tag.into()) }
}

/// One random step.
pub fn step(sim: &mut Sim) {
    match sim.random.below(110) {
        0..28 => {
            let who = who(sim);
            sim.login(who);
        }
        28..48 => end_a_session(sim),
        48..66 => pass_time(sim),
        66..73 => move_user(sim),
        73..75 => map_user(sim),
        75..77 => kick_user(sim),
        77..81 => flush(sim),
        81..82 => stop_flush(sim),
        82..86 => end_a_script(sim),
        86..88 => refresh(sim),
        88..89 => {
            // With other rules mappings that are too old by these are gone before.
            sim.model.forget_strays();
            let same = sim.random.one_in(2);
            let kick_delay = sim.model.kick_delay;
            let mut table =
                if same { same_table(&sim.model) } else { table(&mut sim.random, &mut sim.model) };
            // A longer one calls back who had left by the old one, of whom nobody knows if they are written down.
            let since = sim.model.now - sim.model.left_before;
            sim.model.kick_delay = sim.model.kick_delay.min(kick_delay).min(since);
            sim.model.left_before = 0;
            table.rules = rules(&sim.model);
            sim.restart(table);
        }
        100..104 => {
            let ip = ip(sim);
            drains::drain(sim, ip);
        }
        104..105 => {
            let ip = ip(sim);
            drains::stop(sim, ip);
        }
        105..110 => drains::traffic(sim),
        _ => change_backends(sim),
    }
}

fn who(sim: &mut Sim) -> Who {
    let tag = if sim.random.one_in(2) { "" } else { *sim.random.one(&TAGS) };
    (tag, user(&mut sim.random))
}

/// One of the addresses, rarely one that no backend ever had.
fn ip(sim: &mut Sim) -> IpAddr {
    let unknown = u64::from(sim.random.one_in(20));
    address(1 + sim.random.below(u64::from(HOSTS) + unknown) as u8)
}

/// Kicked sessions mostly end soon, some late, some never.
fn end_a_session(sim: &mut Sim) {
    let kicked: Vec<_> = sim.kicked.difference(&sim.immortal).copied().collect();
    let live: Vec<_> = sim.live.keys().filter(|key| !sim.immortal.contains(key)).copied().collect();
    let from = if kicked.is_empty() || sim.random.one_in(3) { live } else { kicked };
    if !from.is_empty() {
        let session = *sim.random.one(&from);
        sim.release(session);
    }
}

/// Time passes, jumps or is set back; the timer of the service mostly notices.
fn pass_time(sim: &mut Sim) {
    sim.clock = match sim.random.below(20) {
        0 => sim.clock.saturating_sub(1000 * sim.random.below(100)),
        1 => sim.clock + 1000 * sim.random.below(120),
        _ => sim.clock + sim.random.below(6000),
    };
    sim.model.pass_to(sim.clock);
    // The core learns the time by a lookup of nobody.
    sim.core.refresh(sim.now(), UserHash::from_number(7));
    if sim.random.one_in(4) {
        sim.note(|| "time passes unseen".to_owned());
    } else {
        sim.look_at_the_time();
    }
}

fn move_user(sim: &mut Sim) {
    // A stuck user is led elsewhere often enough.
    let stuck = sim.model.people.iter().find(|p| matches!(p.life, Life::Ending { stuck: true, .. }));
    let stuck = stuck.map(|person| (person.who.1, person.from));
    let (mut hash, mut ip) = (user(&mut sim.random), ip(sim));
    if let Some((stuck, from)) = stuck.filter(|_| sim.random.one_in(3)) {
        hash = stuck;
        if sim.random.one_in(2) {
            ip = from;
        }
    }
    let expected = match sim.model.in_table(ip) {
        None => Err(OperationError::UnknownHost(ip)),
        Some(to) => sim.model.order_move((sim.model.tag_of(to), hash), to).map(drop),
    };
    sim.apply(Origin::Operator, Operation::MoveUser { user: hash, ip }, expected);
}

fn map_user(sim: &mut Sim) {
    let (hash, ip) = (user(&mut sim.random), ip(sim));
    let expected = match sim.model.in_table(ip) {
        None => Err(OperationError::UnknownHost(ip)),
        Some(to) => {
            let who = (sim.model.tag_of(to), hash);
            match sim.model.person(who) {
                Some(_) => Ok(()),
                None => sim.model.order_move(who, to).map(drop),
            }
        }
    };
    sim.apply(Origin::Restored, Operation::MapUser { user: hash, ip }, expected);
}

fn kick_user(sim: &mut Sim) {
    let hash = user(&mut sim.random);
    let sessions = sim.live.iter().filter(|(_, (who, _))| who.1 == hash).map(|(session, _)| *session);
    sim.model.owed_kicks.extend(sessions);
    sim.apply(Origin::Operator, Operation::KickUser { user: hash }, Ok(()));
}

fn refresh(sim: &mut Sim) {
    let hash = user(&mut sim.random);
    let now = sim.model.now;
    for person in sim.model.people.iter_mut().filter(|p| p.who.1 == hash && p.life == Life::Settled) {
        if person.sessions.is_empty() {
            person.seen = now;
        }
    }
    sim.note(|| format!("refresh {hash}"));
    sim.core.refresh(sim.now(), hash);
    sim.hear(&[]);
}

fn flush(sim: &mut Sim) {
    let all = sim.random.one_in(3);
    let tag = if all && sim.random.one_in(2) { Some(*sim.random.one(&TAGS)) } else { None };
    let ip = ip(sim);
    let model = &sim.model;
    let is_there = |at: usize| model.backends[at].in_table || model.people.iter().any(|p| p.backend == at);
    let is_meant =
        |at: usize| (all || model.ip_of(at) == ip) && tag.is_none_or(|tag| tag == model.tag_of(at));
    let mut ips: Vec<_> = (0..model.backends.len())
        .filter(|at| is_there(*at) && is_meant(*at))
        .map(|at| model.ip_of(at))
        .collect();
    ips.sort_unstable();
    ips.dedup();
    let limit = if sim.random.one_in(2) { None } else { Some(sim.random.below(4) as u32) };
    let forced = sim.random.one_in(4);
    let flush = if forced { Flushing::Forced } else { Flushing::Safe { parallel: limit } };
    let operation = match all {
        true => Operation::FlushAll { tag: tag.map(Into::into), flush },
        false => Operation::FlushHost { ip, flush },
    };
    if ips.is_empty() && !all {
        return sim.apply(Origin::Operator, operation, Err(OperationError::UnknownHost(ip)));
    }
    if forced {
        for ip in ips.into_iter().filter(|ip| sim.model.in_table(*ip).is_some()).collect::<Vec<_>>() {
            let at = sim.model.in_table(ip).unwrap();
            if tag.is_none_or(|tag| tag == sim.model.tag_of(at)) {
                sim.model.replace(ip, |_| {});
            }
        }
        sim.model.version += 1;
        sim.model.forget_strays();
        return sim.apply(Origin::Operator, operation, Ok(()));
    }
    if limit == Some(0) {
        return sim.apply(Origin::Operator, operation, Err(OperationError::NoParallelMoves));
    }
    start_flush(sim, operation, ips, tag, limit);
}

fn start_flush(
    sim: &mut Sim,
    operation: Operation,
    ips: Vec<IpAddr>,
    tag: Option<&'static str>,
    limit: Option<u32>,
) {
    let plan = plans::plan(sim, Origin::Operator, &operation).unwrap();
    sim.seen.plans += u64::from(!plan.moves.is_empty());
    plans::check(&sim.model, &operation, &plan);
    let actions = sim.core.apply(sim.now(), Origin::Operator, operation.clone()).unwrap();
    sim.note(|| format!("{operation:?}: {actions:?}"));
    let Some(Action::FlushStarted { flush: id, .. }) = actions.first() else { panic!("{actions:?}") };
    let model = &mut sim.model;
    let is_meant = |at: usize| {
        ips.contains(&model.backends[at].host.ip)
            && tag.is_none_or(|tag| tag.as_bytes() == model.backends[at].host.tag)
    };
    let there = model.people.iter().filter(|p| p.life == Life::Settled && is_meant(p.backend));
    let present = there.map(|p| (p.who, p.arrived)).collect();
    let (limit, version) = (limit.map(u64::from), model.version);
    model.flows.push(Flow { id: *id, limit, tag, ips, walked: false, present, version });
    sim.hear(&actions);
}

fn stop_flush(sim: &mut Sim) {
    let walking: Vec<_> = sim.model.flows.iter().filter(|flow| !flow.walked).map(|flow| flow.id).collect();
    if !walking.is_empty() {
        let id = *sim.random.one(&walking);
        let flow = sim.model.flows.iter_mut().find(|flow| flow.id == id).unwrap();
        // Nobody can be missed by it any more.
        flow.present.clear();
        sim.apply(Origin::Operator, Operation::StopFlush { flush: id }, Ok(()));
        let again = Operation::StopFlush { flush: id };
        sim.apply(Origin::Operator, again, Err(OperationError::UnknownFlush));
    }
}

fn end_a_script(sim: &mut Sim) {
    if sim.runs.is_empty() {
        return;
    }
    let run: FlushRun = *sim.random.one(&sim.runs);
    if !sim.random.one_in(4) {
        sim.runs.retain(|other| *other != run);
    }
    let success = sim.random.one_in(2);
    let is_it = |life: &Life| matches!(life, Life::Script { run: Some(other), .. } if *other == run);
    if let Some(at) = sim.model.people.iter().position(|person| is_it(&person.life)) {
        match (success, sim.model.people[at].life.clone()) {
            (false, Life::Script { ended, .. }) => sim.model.pause(at, ended),
            _ => sim.model.people[at].life = Life::Done,
        }
    }
    sim.apply(Origin::Operator, Operation::FlushDone { run, success }, Ok(()));
}

fn change_backends(sim: &mut Sim) {
    let ip = ip(sim);
    let random = &mut sim.random;
    let vhosts = random.below(u64::from(VHOSTS) + 1) as u32;
    let tag = *random.one(&TAGS);
    let origin = *random.one(&[Origin::Operator, Origin::Operator, Origin::Health]);
    let operation = match random.below(12) {
        0..2 => {
            let tag = if random.one_in(2) { None } else { Some(tag.into()) };
            Operation::AddHost { ip, hostname: None, tag, vhosts: Some(vhosts) }
        }
        2..4 => Operation::SetVhosts { ip, vhosts },
        4..6 => Operation::Up { ip },
        6..8 => Operation::Down { ip },
        8..9 => Operation::RemoveHost { ip },
        9..10 => Operation::SetTag { ip, tag: tag.into() },
        _ => {
            // Mappings that are too old by the old rules are gone before the new ones count.
            sim.model.forget_strays();
            let kick_delay = sim.model.kick_delay;
            let table = table(random, &mut sim.model);
            if sim.model.kick_delay != kick_delay {
                sim.model.left_before = sim.model.left_before.max(sim.model.now - kick_delay);
            }
            Operation::Configure(table)
        }
    };
    let expected = sim.model.change(origin, &operation);
    sim.apply(origin, operation, expected);
}
