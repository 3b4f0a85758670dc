//! A plan before every operation: it is refused like the operation, and says who would move where.

use std::{collections::BTreeMap, net::IpAddr};

use homing::director::core::{Flushing, Operation, OperationError, Origin, Plan};

use super::{
    driver::Sim,
    model::{Life, Model},
};

type Rows = BTreeMap<(IpAddr, Option<IpAddr>), (u64, u64)>;

/// Counts, some places of the table at a time.
pub fn plan(sim: &Sim, origin: Origin, operation: &Operation) -> Result<Plan, OperationError> {
    let mut planner = sim.core.begin_plan(sim.now(), origin, operation)?;
    while planner.is_counting() {
        sim.core.plan_some(sim.now(), &mut planner, 3);
    }
    Ok(planner.into_plan())
}

/// Compares a plan with what the model expects, which has not heard of the operation yet.
pub fn check(model: &Model, operation: &Operation, plan: &Plan) {
    let expected = match operation {
        Operation::FlushHost { ip, flush: Flushing::Safe { .. } } => {
            model.flushed(|at| model.ip_of(at) == *ip)
        }
        Operation::FlushAll { tag, flush: Flushing::Safe { .. } } => {
            model.flushed(|at| tag.as_ref().is_none_or(|tag| model.tag_of(at).as_bytes() == tag))
        }
        _ => return,
    };
    let told: Rows = plan.moves.iter().map(|r| ((r.from, r.to), (r.count.users, r.count.sessions))).collect();
    assert_eq!(told, expected, "{operation:?}");
}

impl Model {
    fn flushed(&self, is_meant: impl Fn(usize) -> bool) -> Rows {
        let mut rows = Rows::new();
        for person in self.people.iter().filter(|p| p.life == Life::Settled && is_meant(p.backend)) {
            if let Some(to) = self.flush_target(person) {
                let row = rows.entry((self.ip_of(person.backend), to)).or_default();
                row.0 += 1;
                row.1 += person.sessions.len() as u64;
            }
        }
        rows
    }
}
