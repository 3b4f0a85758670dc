//! The command line: `run`, `check`, `demo`; and the commands that ask a running program over its sockets. Those know
//! what is spoken there, and nothing of what is behind it.

mod check;
mod completion;
mod director;
mod exit;
mod link;
mod place;
mod proxy;
mod run;
mod show;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use exit::{EXIT_CONFIG, EXIT_USAGE, Fault};

/// Mail login proxy for IMAP, POP3 and ManageSieve with an embedded director.
#[derive(Debug, Parser)]
#[command(name = "homing", version, about, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  homing demo                            try it: users, backends and certificate included
  homing check -c /etc/homing/homing.conf
  homing run -c /etc/homing/homing.conf
  homing director status                 backends of the program that runs
  homing who '*@example.org'             who is connected";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve in the foreground until SIGTERM; SIGHUP reloads.
    Run {
        /// Configuration file in dovecot.conf's syntax.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration and report every problem with file and line.
    Check {
        /// Configuration file in dovecot.conf's syntax.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Print the settings that differ from their defaults, secrets hidden.
        #[arg(short = 'n', long)]
        non_defaults: bool,
        /// Print all settings, secrets hidden.
        #[arg(short = 'a', long, conflicts_with = "non_defaults")]
        all: bool,
        /// List the settings of Dovecot that do nothing here, and why.
        #[arg(short = 'i', long)]
        ignored: bool,
    },
    /// Serve a few users from tiny backends inside the program, on loopback.
    Demo,
    Director(director::Director),
    Who(director::Who),
    Kick(proxy::Kick),
    Proxy(proxy::Proxy),
    Completion(completion::Completion),
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, non_defaults, all, ignored } => {
            check::check(&config, &check::Shown { non_defaults, all, ignored })
        }
        Command::Demo => crate::demo::main(),
        Command::Director(command) => ask(command.run()),
        Command::Who(command) => ask(command.run()),
        Command::Kick(command) => ask(command.run()),
        Command::Proxy(command) => ask(command.run()),
        Command::Completion(command) => command.print(),
    }
}

/// Runs a command that asks a running program.
fn ask(command: impl Future<Output = Result<(), Fault>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let asked = runtime.block_on(command);
    // A slow resolver need not be waited for.
    runtime.shutdown_background();
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault.to_string());
            fault.exit()
        }
    }
}

/// Writes to standard output; a closed pipe is not an error worth reporting.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes one line to standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "homing: {text}");
}
