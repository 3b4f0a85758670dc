//! The loader as a process: its steps come as JSON lines, and it goes on when told.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use serde_json::Value;

use super::{programs::Way, site::Site};

/// How long a step may take.
const STEP_TIME: Duration = Duration::from_secs(300);

/// A running loader; ended on drop.
pub struct Loader {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Loader {
    pub fn start(site: &Site, way: Way, scenario: &[String], gate: bool) -> Self {
        let mut command = site.tool(&["load", "--json"]);
        command.args(way.options()).args(gate.then_some("--gate")).args(scenario);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// The next step, which must be this one.
    pub fn step(&self, event: &str) -> Result<Value, String> {
        let line =
            self.lines.recv_timeout(STEP_TIME).map_err(|_| format!("the loader does not say {event}"))?;
        let facts: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        if facts["event"] == event { Ok(facts) } else { Err(format!("not {event} but {line}")) }
    }

    /// Opens the gate.
    pub fn go(&mut self) {
        let _ = self.input.as_mut().map(|input| input.write_all(b"\n"));
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
