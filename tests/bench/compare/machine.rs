//! What the numbers were measured on.

use std::{fs, process::Command};

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

/// Descriptors of a program that are not those of sessions: listeners, logs, pipes.
const FILES_BESIDE: usize = 300;

/// Date, machine, kernel, command.
pub fn facts() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    json!({
        "date": said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": cpu.matches("processor\t").count(),
        "memory_gib": kib / 1024 / 1024,
        "kernel": said("uname", &["-srm"]),
        "files_max": files_max(),
        "load_at_start": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "command": command(),
    })
}

/// Open files a program may have here.
pub fn files_max() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

/// Sessions a program may have here: each takes two sockets.
pub fn sessions_max() -> usize {
    files_max().saturating_sub(FILES_BESIDE) / 2
}

/// The command as it was typed; the script knows it.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "))
}

/// First line that a command says, on either output; empty if it cannot be run.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
