//! What the health checks think. Without checks there are no rows.

use std::fmt;

use super::{
    Sources,
    sheet::{Labels, Sheet, seconds},
};
use crate::{health::Verdict, metrics::BACKENDS_MAX, observe::tally::Label};

pub(super) fn write(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let mut verdicts = sources.health.verdicts();
    verdicts.truncate(3 * BACKENDS_MAX);
    let rows = || verdicts.iter().map(|verdict| (labels(verdict), verdict));
    let up = rows().map(|(labels, verdict)| (labels, u64::from(verdict.up)));
    sheet.gauge(
        "health_up",
        "0 once enough checks in a row have failed, 1 once enough have succeeded.",
        up,
    )?;
    let since = rows().map(|(labels, verdict)| (labels, verdict.since.unix_secs()));
    let help = "Since when the verdict is as it is, in Unix time.";
    sheet.gauge(seconds("health_since_timestamp"), help, since)?;
    let failures = rows().map(|(labels, verdict)| (labels, verdict.failures));
    sheet.gauge("health_failures_in_a_row", "Checks and logins that have failed in a row.", failures)?;
    let latency = rows().filter_map(|(labels, verdict)| Some((labels, verdict.latency?.as_secs_f64())));
    sheet.gauge(seconds("health_check_duration"), "Time of the last check.", latency)
}

fn labels(verdict: &Verdict) -> Labels {
    vec![
        ("backend", verdict.ip.to_string().into()),
        (homing_login::Service::NAME, verdict.service.text().into()),
    ]
}
