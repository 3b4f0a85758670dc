//! Tools for load tests: backends that accept anybody, an auth service that accepts anybody, and a loader. What
//! `tests/bench/run` compares programs with, and what an operator can point at a set-up of their own. They share
//! nothing with the rooms that serve mail clients, so that neither side bends the other.

mod auth;
mod backend;
mod load;
mod protocol;
mod socket;

use std::{io::Write, process::ExitCode};

use clap::Subcommand;

use self::protocol::Protocol;

/// One of the tools.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Backends that let anybody in and move bytes on request.
    #[command(after_help = backend::HELP)]
    Backend(backend::Arguments),
    /// An auth service that lets anybody in: Dovecot's protocol on a socket, nginx's over HTTP.
    #[command(after_help = auth::HELP)]
    Auth(auth::Arguments),
    /// Many mail clients: logins, idle sessions, bulk transfers, round trips, reconnect storms.
    #[command(after_help = load::HELP)]
    Load(load::Arguments),
}

/// Runs one tool on one thread, so that it can be pinned to a core.
pub fn main(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let outcome = runtime.block_on(async {
        match command {
            Command::Backend(arguments) => backend::run(&arguments).await.map_err(|e| e.to_string()),
            Command::Auth(arguments) => auth::run(arguments).await.map_err(|e| e.to_string()),
            Command::Load(arguments) => load::run(arguments).await.map_err(|e| e.to_string()),
        }
    });
    // A thread may wait for a line of standard input.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(text) => failed(&text),
    }
}

fn failed(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "homing bench: {text}");
    ExitCode::FAILURE
}

/// Writes a line to standard output at once; a closed pipe is not an error worth reporting.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
