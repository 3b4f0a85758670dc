//! The table, as Markdown.

use super::results::Results;

/// Head with date, machine, versions and command, then a line per measurement.
pub fn text(results: &Results) -> String {
    let machine = &results.machine;
    let word = |key: &str| machine[key].as_str().unwrap_or_default().to_owned();
    let mut text = format!(
        "{}; {}, {} cores, {} GiB; {}\n\nCommand: `{}`\n\n",
        word("date"),
        word("cpu"),
        machine["cores"],
        machine["memory_gib"],
        word("kernel"),
        word("command")
    );
    if results.quick {
        text += "**Quick mode: the numbers mean nothing.**\n\n";
    }
    for (name, version) in &results.programs {
        text += &format!("- {name}: {version}\n");
    }
    text += &format!(
        "\nMedians of {} rounds, least and most in brackets, `x` is the ratio to Dovecot. Less is better everywhere.\n\n",
        results.rounds
    );
    let names: Vec<_> = results.programs.iter().map(|(name, _)| name.as_str()).collect();
    text += &format!("| what | unit | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (m, measurement) in results.measurements.iter().enumerate() {
        let cells: Vec<_> = (0..names.len()).map(|p| cell(results, m, p)).collect();
        text += &format!("| {} | {} | {} |\n", measurement.title, measurement.unit, cells.join(" | "));
    }
    text
}

fn cell(results: &Results, m: usize, p: usize) -> String {
    let (rounds, sessions) = results.failures(m, p);
    let mut parts = Vec::new();
    if let Some(s) = results.summary(m, p) {
        parts.push(format!("{} [{}-{}]", digits(s.median), digits(s.least), digits(s.most)));
    }
    parts.extend(results.ratio(m, p).map(|ratio| format!("x{ratio:.2}")));
    if rounds > 0 {
        parts.push(format!("({rounds} rounds failed)"));
    }
    if sessions > 0 {
        parts.push(format!("({sessions} sessions failed)"));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(" ") }
}

/// Three digits that count.
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}
