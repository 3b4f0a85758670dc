//! What an operation would do to users, without doing it: counted page by page against the backends as they would be
//! afterwards. Nothing here changes anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    Core, Flushing, Moment, Operation, OperationError, Origin, Ring, Table, UserCursor, UserHash, UserKey,
    backends::{Backend, HostNumber},
    drains::DrainLimits,
    flush::parallel_limit,
    users::User,
};

/// Users, and their sessions with logins in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanCount {
    /// Users.
    pub users: u64,
    /// Their sessions.
    pub sessions: u64,
}

/// Some users with the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRow {
    /// Where they are.
    pub from: IpAddr,
    /// Where they would be; `None`: nowhere, as no backend is usable.
    pub to: Option<IpAddr>,
    /// How many.
    pub count: PlanCount,
}

/// What an operation would do. Right for the tables as they were while it was counted: with users who come and go
/// meanwhile, and backends that change, it is an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Users who would be moved; their sessions would be kicked. `to` is `from` for users who would be kicked and
    /// stay.
    pub moves: Vec<PlanRow>,
    /// Users whom nobody kicks, but who would be elsewhere with their first login after all sessions and the mapping
    /// have ended.
    pub later: Vec<PlanRow>,
    /// Users of the backends in question who would stay where they are.
    pub kept: PlanCount,
    /// Those of them whom a drain cannot move, since no other backend is usable.
    pub blocked: PlanCount,
}

impl Plan {
    /// Who would be moved or kicked.
    pub fn moved(&self) -> PlanCount {
        self.moves.iter().fold(PlanCount::default(), |sum, row| sum.with(row.count))
    }
}

impl PlanCount {
    fn with(self, other: Self) -> Self {
        Self { users: self.users + other.users, sessions: self.sessions + other.sessions }
    }
}

/// A plan that is being counted.
#[derive(Debug)]
pub struct Planner {
    way: Way,
    next: Option<UserCursor>,
    moves: Rows,
    later: Rows,
    kept: PlanCount,
    blocked: PlanCount,
}

type Rows = BTreeMap<(IpAddr, Option<IpAddr>), PlanCount>;

/// What has to be asked of each user.
#[derive(Debug)]
enum Way {
    /// Those of these backends go where the ring says.
    Empty { numbers: BTreeSet<HostNumber>, ring: Ring, blocks: bool },
    /// The backends change: who has another place then?
    Change { named: BTreeSet<HostNumber>, leaving: BTreeSet<HostNumber>, before: Ring, after: Ring },
    /// Nothing.
    Counted,
}

impl Planner {
    /// True if [`Core::plan_some`] has more to count.
    pub fn is_counting(&self) -> bool {
        self.next.is_some()
    }

    /// What was counted.
    pub fn into_plan(self) -> Plan {
        let rows = |rows: Rows| {
            rows.into_iter().map(|((from, to), count)| PlanRow { from, to, count }).collect::<Vec<_>>()
        };
        Plan { moves: rows(self.moves), later: rows(self.later), kept: self.kept, blocked: self.blocked }
    }
}

impl Core {
    /// Begins to count what an operation would do, or says why it would be refused. Costs a copy of the backends, no
    /// look at users.
    pub fn begin_plan(
        &self,
        now: Moment,
        origin: Origin,
        operation: &Operation,
    ) -> Result<Planner, OperationError> {
        let mut planner = Planner {
            way: Way::Counted,
            next: None,
            moves: Rows::new(),
            later: Rows::new(),
            kept: PlanCount::default(),
            blocked: PlanCount::default(),
        };
        match operation {
            Operation::MoveUser { user, ip } => self.plan_move(now, *user, *ip, &mut planner)?,
            Operation::KickUser { user } => self.plan_kick(*user, &mut planner),
            Operation::MapUser { ip, .. } => {
                self.backends.number(*ip).ok_or(OperationError::UnknownHost(*ip))?;
            }
            Operation::FlushDone { .. } => {}
            _ => {
                planner.way = self.plan_way(now, origin, operation)?;
                planner.next = Some(UserCursor::default());
            }
        }
        Ok(planner)
    }

    /// Looks at the next `count` places of the table.
    pub fn plan_some(&self, now: Moment, planner: &mut Planner, count: usize) {
        let Some(from) = planner.next else { return };
        let (rows, next) = self.users.page(from.place(), count);
        for user in rows.filter(|user| !user.is_expired(now.max(self.now), self.expiry)) {
            if !self.is_forgotten(user) {
                self.plan_user(user, planner);
            }
        }
        planner.next = next.map(UserCursor::at);
    }

    fn plan_user(&self, user: &User, planner: &mut Planner) {
        let Some(from) = self.backends.row(user.host).map(|row| row.host.ip) else { return };
        let count = PlanCount { users: 1, sessions: u64::from(user.sessions) };
        let (tag, hash) = (self.backends.tag_name(user.key.tag), user.key.hash);
        let keep = |kept: &mut PlanCount| *kept = kept.with(count);
        match &planner.way {
            Way::Empty { numbers, .. } if !numbers.contains(&user.host) => {}
            Way::Empty { .. } if user.moving => keep(&mut planner.kept),
            Way::Empty { ring, blocks, .. } => match ring.lookup(tag, hash) {
                Some(to) if to == from => keep(&mut planner.kept),
                None if *blocks => {
                    keep(&mut planner.kept);
                    keep(&mut planner.blocked);
                }
                to => add(&mut planner.moves, from, to, count),
            },
            Way::Change { named, leaving, before, after } => {
                let to = after.lookup(tag, hash);
                let leaves = leaving.contains(&user.host) || before.lookup(tag, hash) != to;
                if leaves && to != Some(from) {
                    add(&mut planner.later, from, to, count);
                } else if named.contains(&user.host) {
                    keep(&mut planner.kept);
                }
            }
            Way::Counted => {}
        }
    }

    /// What each user has to be asked.
    fn plan_way(&self, now: Moment, origin: Origin, operation: &Operation) -> Result<Way, OperationError> {
        let after = self.after(now, origin, operation)?;
        let ring = self.backends.ring().clone();
        match operation {
            Operation::FlushHost { ip, flush: Flushing::Safe { .. } } => {
                let numbers = self.backends.numbers(*ip).into_iter().collect();
                Ok(Way::Empty { numbers, ring, blocks: false })
            }
            Operation::FlushAll { tag, flush: Flushing::Safe { .. } } => {
                let is_meant = |row: &Backend| tag.as_ref().is_none_or(|tag| row.host.tag == *tag);
                let rows = self.backends.rows().filter(|(_, row)| is_meant(row));
                Ok(Way::Empty { numbers: rows.map(|(number, _)| number).collect(), ring, blocks: false })
            }
            Operation::Drain { ip, .. } => {
                let mut ring = ring;
                self.hosts().get(*ip).into_iter().for_each(|host| ring.remove(host));
                let numbers = self.backends.numbers(*ip).into_iter().collect();
                Ok(Way::Empty { numbers, ring, blocks: true })
            }
            _ => {
                let current = |core: &Self| {
                    let rows = core.backends.rows().map(|(number, _)| number);
                    rows.filter(|number| !core.backends.is_gone(*number)).collect::<BTreeSet<_>>()
                };
                let leaving = current(self).difference(&current(&after)).copied().collect();
                let named = named_hosts(operation).into_iter().flat_map(|ip| self.backends.numbers(ip));
                let after = after.backends.ring().clone();
                Ok(Way::Change { named: named.collect(), leaving, before: ring, after })
            }
        }
    }

    /// The same backends after the operation, without users; refuses what the real ones would refuse.
    fn after(&self, now: Moment, origin: Origin, operation: &Operation) -> Result<Self, OperationError> {
        let mut core = self.without_users(now);
        let mut is_known = false;
        match operation {
            Operation::Configure(table) => self.check_naming(&table.rules)?,
            // Users who are held make known what is not in the table any more.
            Operation::Drain { ip, draining } => {
                self.check_in_use(*ip)?;
                DrainLimits::try_from(*draining)?;
                is_known = true;
            }
            Operation::FlushHost { ip, flush } => {
                self.check_in_use(*ip)?;
                if let Flushing::Safe { parallel } = flush {
                    parallel_limit(*parallel)?;
                }
                is_known = true;
            }
            Operation::StopFlush { flush } => {
                is_known = self.flushes().any(|known| known.flush == *flush && !known.walked);
            }
            _ => {}
        }
        match core.apply(now, origin, operation.clone()) {
            Err(OperationError::UnknownHost(_) | OperationError::UnknownFlush) if is_known => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        Ok(core)
    }

    fn without_users(&self, now: Moment) -> Self {
        let table = Table { hosts: Vec::new(), rules: self.rules.clone() };
        let mut core = Self::new(now.max(self.now), table);
        core.backends = self.backends.clone();
        core.configured = self.configured.clone();
        core.configured_ring = self.configured_ring.clone();
        core.drains = self.drains.clone();
        core
    }

    fn plan_move(
        &self,
        now: Moment,
        hash: UserHash,
        ip: IpAddr,
        planner: &mut Planner,
    ) -> Result<(), OperationError> {
        let (_, user) = self.resident_of(ip, hash)?;
        let Some(row) = self.mapping(now, user) else { return Ok(()) };
        let Some(from) = self.backends.row(row.host).map(|row| row.host.ip) else { return Ok(()) };
        let count = PlanCount { users: 1, sessions: u64::from(row.sessions) };
        let moving = self.moves.get(user).filter(|moving| !moving.is_stuck());
        if moving.is_some_and(|moving| moving.to != Some(ip)) {
            return Err(OperationError::BeingMoved);
        }
        if moving.is_some() || from == ip {
            planner.kept = count;
        } else {
            add(&mut planner.moves, from, Some(ip), count);
        }
        Ok(())
    }

    fn plan_kick(&self, hash: UserHash, planner: &mut Planner) {
        for (_, tag) in self.backends.tags() {
            let row = self.users.find(UserKey { tag, hash }).and_then(|slot| self.users.row(slot));
            let Some(row) = row.filter(|row| row.sessions > 0) else { continue };
            let Some(ip) = self.backends.row(row.host).map(|row| row.host.ip) else { continue };
            let count = PlanCount { users: 1, sessions: u64::from(row.sessions) };
            add(&mut planner.moves, ip, Some(ip), count);
        }
    }

    /// A mapping that still means something.
    fn mapping(&self, now: Moment, user: UserKey) -> Option<&User> {
        let row = self.users.find(user).and_then(|slot| self.users.row(slot))?;
        let over = row.is_expired(now.max(self.now), self.expiry) || self.is_forgotten(row);
        (!over).then_some(row)
    }
}

fn add(rows: &mut Rows, from: IpAddr, to: Option<IpAddr>, count: PlanCount) {
    let sum = rows.entry((from, to)).or_default();
    *sum = sum.with(count);
}

/// The backends that an operation names.
fn named_hosts(operation: &Operation) -> Vec<IpAddr> {
    match operation {
        Operation::AddHost { ip, .. }
        | Operation::SetVhosts { ip, .. }
        | Operation::Up { ip }
        | Operation::Down { ip }
        | Operation::RemoveHost { ip }
        | Operation::SetTag { ip, .. }
        | Operation::FlushHost { ip, .. }
        | Operation::StopDrain { ip, .. } => vec![*ip],
        _ => Vec::new(),
    }
}
