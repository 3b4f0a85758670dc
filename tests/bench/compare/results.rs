//! What was measured: every outcome, medians, spread, ratios.

use serde_json::{Value, json};

use super::{
    arguments::Arguments,
    machine,
    measurement::Measurement,
    programs::{Program, REFERENCE},
};

/// One measurement of one program in one round.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The number, or why there is none.
    pub value: Result<f64, String>,
    /// What the loader said, and parts of the number.
    pub facts: Value,
}

impl Outcome {
    /// A number, with what the loader said.
    pub fn measured(value: f64, facts: Value) -> Self {
        Self { value: Ok(value), facts }
    }

    /// No number.
    pub fn failed(reason: String) -> Self {
        Self { value: Err(reason), facts: Value::Null }
    }

    /// Sessions that failed while it was measured.
    pub fn failures(&self) -> u64 {
        self.facts["failed"].as_u64().unwrap_or_default()
    }

    /// For people who watch.
    pub fn told(&self, unit: &str) -> String {
        let failures = match self.failures() {
            0 => String::new(),
            count => format!(", {count} FAILED: {}", self.facts["reasons"]),
        };
        match &self.value {
            Ok(value) => format!("{value:.4} {unit}{failures}"),
            Err(reason) => format!("FAILED: {reason}"),
        }
    }
}

/// The numbers of a program in all rounds.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// Everything.
pub struct Results {
    pub machine: Value,
    pub quick: bool,
    pub rounds: usize,
    /// Names and versions.
    pub programs: Vec<(String, String)>,
    pub measurements: Vec<Measurement>,
    /// By measurement, program, round.
    outcomes: Vec<Vec<Vec<Outcome>>>,
}

impl Results {
    pub fn new(arguments: &Arguments, programs: &[Program], measurements: &[Measurement]) -> Self {
        Self {
            machine: machine::facts(),
            quick: arguments.quick,
            rounds: arguments.rounds,
            programs: programs.iter().map(|p| (p.name.clone(), p.version.clone())).collect(),
            measurements: measurements.to_vec(),
            outcomes: vec![vec![Vec::new(); programs.len()]; measurements.len()],
        }
    }

    pub fn add(&mut self, measurement: usize, program: usize, outcome: Outcome) {
        self.outcomes[measurement][program].push(outcome);
    }

    /// Median and spread; `None` where nothing was measured.
    pub fn summary(&self, measurement: usize, program: usize) -> Option<Summary> {
        let outcomes = &self.outcomes[measurement][program];
        let mut values: Vec<f64> = outcomes.iter().filter_map(|o| o.value.clone().ok()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Summary { median, least, most })
    }

    /// The median's ratio to that of the reference.
    pub fn ratio(&self, measurement: usize, program: usize) -> Option<f64> {
        let reference = self.programs.iter().position(|(name, _)| name == REFERENCE)?;
        let theirs = self.summary(measurement, reference)?.median;
        Some(self.summary(measurement, program)?.median / theirs).filter(|ratio| ratio.is_finite())
    }

    /// Rounds without a number, and sessions that failed.
    pub fn failures(&self, measurement: usize, program: usize) -> (usize, u64) {
        let outcomes = &self.outcomes[measurement][program];
        let rounds = outcomes.iter().filter(|o| o.value.is_err()).count();
        (rounds, outcomes.iter().map(Outcome::failures).sum())
    }

    /// True if anything failed anywhere.
    pub fn has_failures(&self) -> bool {
        let cells = (0..self.measurements.len()).flat_map(|m| (0..self.programs.len()).map(move |p| (m, p)));
        cells.into_iter().any(|(m, p)| self.failures(m, p) != (0, 0))
    }

    /// Everything for machines.
    pub fn as_json(&self) -> Value {
        let measurements: Vec<_> =
            (0..self.measurements.len()).map(|m| self.measurement_as_json(m)).collect();
        let versions: serde_json::Map<_, _> =
            self.programs.iter().map(|(name, version)| (name.clone(), json!(version))).collect();
        json!({
            "machine": self.machine, "quick": self.quick, "rounds": self.rounds, "programs": versions,
            "measurements": measurements,
        })
    }

    fn measurement_as_json(&self, m: usize) -> Value {
        let measurement = &self.measurements[m];
        let cell = |p: usize| {
            let summary =
                self.summary(m, p).map(|s| json!({"median": s.median, "least": s.least, "most": s.most}));
            let rounds: Vec<_> = self.outcomes[m][p].iter().map(outcome_as_json).collect();
            json!({ "summary": summary, "ratio": self.ratio(m, p), "rounds": rounds })
        };
        let programs: serde_json::Map<_, _> = (0..self.programs.len())
            .filter(|p| !self.outcomes[m][*p].is_empty())
            .map(|p| (self.programs[p].0.clone(), cell(p)))
            .collect();
        json!({
            "name": measurement.name, "title": measurement.title, "unit": measurement.unit,
            "scenario": measurement.kind.scenario().join(" "), "programs": programs,
        })
    }
}

fn outcome_as_json(outcome: &Outcome) -> Value {
    match &outcome.value {
        Ok(value) => json!({ "value": value, "facts": outcome.facts }),
        Err(reason) => json!({ "failed": reason }),
    }
}
