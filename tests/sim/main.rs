//! Random histories of the director's core against a plain model, with a clock that the test owns. A failure prints
//! seed and step; `HOMING_SIM_SEED=<seed>` runs that history alone and prints every step,
//! `HOMING_SIM_SEEDS=<number>` runs more of them.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // tests

mod changes;
mod drains;
mod driver;
mod model;
mod operations;
mod plans;
mod random;
mod restart;
mod told;

use std::{env, panic::resume_unwind, thread};

use driver::{Seen, Sim};

/// Histories per run of the test.
const SEEDS: u64 = 2000;
/// Operations per history. Short ones find as much as long ones, and are read when they fail.
const STEPS: u64 = 120;
const THREADS: u64 = 2;

/// Tells where a history was when it failed.
struct Place {
    sim: Sim,
    seed: u64,
    step: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if thread::panicking() {
            let (seed, step) = (self.seed, self.step);
            for (n, line) in self.sim.trace.iter().flatten().enumerate() {
                eprintln!("{n:4} {line}");
            }
            eprintln!(
                "simulation failed: seed {seed}, step {step}; HOMING_SIM_SEED={seed} prints the history"
            );
        }
    }
}

fn run(seed: u64, traced: bool) -> Seen {
    let mut place = Place { sim: operations::begin(seed, traced), seed, step: 0 };
    while place.step < STEPS {
        place.step += 1;
        place.sim.model.step = place.step;
        operations::step(&mut place.sim);
    }
    place.step += 1;
    place.sim.finish();
    place.sim.seen
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn random_histories_agree_with_the_model() {
    if let Some(seed) = number("HOMING_SIM_SEED") {
        println!("{:?}", run(seed, true));
        return;
    }
    let seeds = number("HOMING_SIM_SEEDS").unwrap_or(SEEDS);
    let seen: Vec<Seen> = thread::scope(|scope| {
        let part = |n| (0..seeds).filter(move |seed| seed % THREADS == n).map(|seed| run(seed, false));
        let threads: Vec<_> =
            (0..THREADS).map(|n| scope.spawn(move || part(n).collect::<Vec<_>>())).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|failure| resume_unwind(failure)))
            .collect()
    });
    check_variety(&seen);
}

/// What must have been met more than a few times over all histories.
fn check_variety(seen: &[Seen]) {
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    let numbers = [
        ("placed", sum(|s| s.placed)),
        ("placed on a leaving backend", sum(|s| s.placed_on_leaving)),
        ("no host", sum(|s| s.no_host)),
        ("being moved", sum(|s| s.moving)),
        ("flush program", sum(|s| s.flushing)),
        ("kick delay", sum(|s| s.delayed)),
        ("kick delay behind a backend that is gone", sum(|s| s.leaving)),
        ("stuck", sum(|s| s.stuck)),
        ("refused", sum(|s| s.refused)),
        ("moved", sum(|s| s.moved)),
        ("flushed", sum(|s| s.flushed)),
        ("moved to nowhere", sum(|s| s.nowhere)),
        ("ended flushes", sum(|s| s.ended_flushes)),
        ("aborted programs", sum(|s| s.aborted)),
        ("forced flushes", sum(|s| s.forgotten)),
        ("restarts", sum(|s| s.restarts)),
        ("moves that went on after a restart", sum(|s| s.restarted_moves)),
        ("foreign sessions behind a restart", sum(|s| s.outlived)),
        ("those that a move waits for", sum(|s| s.outlived_moving)),
        ("drains", sum(|s| s.drains)),
        ("drained users", sum(|s| s.drained)),
        ("drained users with sessions", sum(|s| s.drained_held)),
        ("drains that waited", sum(|s| s.drains_waited)),
        ("blocked drains", sum(|s| s.drains_blocked)),
        ("safe backends", sum(|s| s.drains_safe)),
        ("drains that ended by themselves", sum(|s| s.drains_contradicted)),
        ("plans with moves", sum(|s| s.plans)),
    ];
    println!("{} histories: {numbers:?}", seen.len());
    for (what, number) in numbers {
        assert!(number > seen.len() as u64 / 20, "{what}: only {number} in {} histories", seen.len());
    }
}
