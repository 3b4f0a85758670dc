//! Measures: every measurement, round after round, for one program after the other, each started afresh.

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    arguments::Arguments,
    loader::Loader,
    measurement::{Kind, Measurement},
    memory::Memory,
    processes::Processes,
    programs::Program,
    results::{Outcome, Results},
    site::Site,
};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// Logins before anything is measured: what a program makes once is made then.
const WARM_UP: usize = 100;

/// Measures everything. A program that fails once is asked again in the next round, and the failure is told.
pub fn run(arguments: &Arguments, site: &Site, programs: &[Program], chosen: &[Measurement]) -> Results {
    let mut results = Results::new(arguments, programs, chosen);
    for (place, measurement) in chosen.iter().enumerate() {
        for round in 1..=arguments.rounds {
            for (column, program) in programs.iter().enumerate() {
                if !program.can(measurement.way, measurement.kind) {
                    continue;
                }
                let outcome = measure(site, program, measurement);
                eprintln!(
                    "[{}/{}] {} round {round}: {} {}",
                    place + 1,
                    chosen.len(),
                    measurement.name,
                    program.name,
                    outcome.told(measurement.unit)
                );
                results.add(place, column, outcome);
            }
        }
    }
    results
}

fn measure(site: &Site, program: &Program, measurement: &Measurement) -> Outcome {
    let processes = match program.start(site, measurement.way) {
        Ok(processes) => processes,
        Err(reason) => return Outcome::failed(reason),
    };
    let measured = warmed_up(site, measurement).and_then(|()| match measurement.kind {
        Kind::Idle { sessions } => idle(site, measurement, &processes, sessions),
        Kind::Shutdown { .. } => shutdown(site, measurement, &processes),
        Kind::Login { count } => login(site, measurement, &processes, count),
        Kind::Storm { .. } => storm(site, measurement, &processes),
        Kind::Bulk { sessions, bytes, .. } => {
            work(site, measurement, &processes, "work", GIB / (sessions as f64 * bytes as f64))
        }
        Kind::Echo { sessions, rounds } => {
            work(site, measurement, &processes, "work", 1e5 / (sessions * rounds) as f64)
        }
        Kind::Mixed { .. } => work(site, measurement, &processes, "mixed", 1.0),
    });
    processes.stop();
    measured.unwrap_or_else(Outcome::failed)
}

fn warmed_up(site: &Site, measurement: &Measurement) -> Result<(), String> {
    let scenario = Kind::Login { count: WARM_UP }.scenario();
    let facts = Loader::start(site, measurement.way, &scenario, false).step("login")?;
    if facts["done"] == WARM_UP { Ok(()) } else { Err(format!("not everybody can log in: {facts}")) }
}

fn loader(site: &Site, measurement: &Measurement, gate: bool) -> Loader {
    Loader::start(site, measurement.way, &measurement.kind.scenario(), gate)
}

fn login(
    site: &Site,
    measurement: &Measurement,
    processes: &Processes,
    count: usize,
) -> Result<Outcome, String> {
    let before = processes.cpu_when_quiet();
    let facts = loader(site, measurement, false).step("login")?;
    let used = processes.cpu_when_quiet() - before;
    Ok(Outcome::measured(used * 1e3 / count as f64, facts))
}

fn idle(
    site: &Site,
    measurement: &Measurement,
    processes: &Processes,
    sessions: usize,
) -> Result<Outcome, String> {
    let mut loader = loader(site, measurement, true);
    loader.step("ready")?;
    processes.cpu_when_quiet();
    // Now, as what programs share is divided among those that run.
    let before = Memory::of(&processes.ids());
    loader.go();
    let mut facts = loader.step("held")?;
    processes.cpu_when_quiet();
    let each = Memory::of(&processes.ids()).growth_each(&before, sessions as f64);
    facts["kib"] = json!({
        "user": each.user / 1024.0, "kernel_objects": each.kernel / 1024.0, "socket_buffers": each.buffers / 1024.0,
        "program_files": each.files / 1024.0, "slab_of_machine": each.slab / 1024.0,
        "program_without_sessions": (before.of_sessions() + before.files) / 1024.0,
    });
    Ok(Outcome::measured(each.of_sessions() / 1024.0, facts))
}

/// CPU time of what comes after the logins, times a factor.
fn work(
    site: &Site,
    measurement: &Measurement,
    processes: &Processes,
    event: &str,
    factor: f64,
) -> Result<Outcome, String> {
    let mut loader = loader(site, measurement, true);
    loader.step("ready")?;
    let before = processes.cpu_when_quiet();
    loader.go();
    let facts = loader.step(event)?;
    let used = processes.cpu_when_quiet() - before;
    Ok(Outcome::measured(used * factor, facts))
}

fn storm(site: &Site, measurement: &Measurement, processes: &Processes) -> Result<Outcome, String> {
    let mut loader = loader(site, measurement, true);
    loader.step("ready")?;
    let before = processes.cpu_when_quiet();
    loader.go();
    let mut facts = loader.step("storm")?;
    facts["cpu_seconds"] = json!(processes.cpu_when_quiet() - before);
    let seconds = facts["seconds"].as_f64().unwrap_or_default();
    if facts["missing"] != 0 {
        return Err(format!("not everybody came back: {facts}"));
    }
    // Attempts that failed before one succeeded belong to a storm, and are told beside the time.
    if let Some(facts) = facts.as_object_mut() {
        let attempts = facts.remove("failed").unwrap_or_default();
        facts.insert("attempts_failed".to_owned(), attempts);
    }
    Ok(Outcome::measured(seconds, facts))
}

fn shutdown(site: &Site, measurement: &Measurement, processes: &Processes) -> Result<Outcome, String> {
    let loader = loader(site, measurement, false);
    let held: Value = loader.step("held")?;
    processes.cpu_when_quiet();
    let begin = Instant::now();
    processes.terminate();
    let mut facts = loader.step("closed")?;
    let seconds = begin.elapsed().as_secs_f64();
    facts["sessions"] = held["sessions"].clone();
    Ok(Outcome::measured(seconds, facts))
}
