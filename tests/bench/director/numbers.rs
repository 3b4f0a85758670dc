//! Numbers out of many measurements, and how they are shown.

use std::{fs, time::Duration};

use serde_json::{Value, json};

/// Times that a measurement is repeated; the median is told, the best and the worst beside it.
const ROUNDS: usize = 7;

/// Nanoseconds per call over some rounds of `calls` calls each.
pub fn per_call(name: &str, calls: u32, mut round: impl FnMut()) -> Value {
    let mut times: Vec<_> =
        (0..ROUNDS).map(|_| time(&mut round).as_nanos() as f64 / f64::from(calls)).collect();
    times.sort_by(f64::total_cmp);
    shown(name, times[ROUNDS / 2], times[0], times[ROUNDS - 1])
}

/// Nanoseconds per call of something that can be done once.
pub fn once(name: &str, calls: u32, round: impl FnOnce()) -> Value {
    let mut round = Some(round);
    let time = time(&mut || round.take().unwrap()()).as_nanos() as f64 / f64::from(calls);
    shown(name, time, time, time)
}

fn shown(name: &str, median: f64, best: f64, worst: f64) -> Value {
    eprintln!("{name:<58} {median:>7.0} ns  ({best:.0} to {worst:.0})");
    json!({ "ns": median.round(), "ns_best": best.round(), "ns_worst": worst.round() })
}

fn time(round: &mut impl FnMut()) -> Duration {
    let start = on_processor();
    round();
    on_processor() - start
}

/// How long all threads of this process have had a processor, those that have ended included; by ticks of 10 ms.
pub fn of_process() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().unwrap()).iter().sum();
    Duration::from_millis(ticks * 10)
}

/// How long this thread has had a processor, so that other programs on the machine are left out; by the kernel's tick,
/// which is fine enough for rounds of a second.
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// How long logins took.
pub fn latencies(name: &str, mut times: Vec<Duration>, during: Duration) -> Value {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_nanos() as f64 / 1000.0;
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(at);
    let (logins, secs) = (times.len(), during.as_secs_f64());
    eprintln!(
        "{name:<58} {p50:>7.1} us p50, {p99:.1} p99, {p999:.1} p99.9, {max:.0} max; {logins} in {secs:.1} s"
    );
    json!({
        "us_p50": p50, "us_p99": p99, "us_p999": p999, "us_max": max, "logins": logins, "seconds": secs,
    })
}
