//! The command line: `run`, `check`, `demo`, `bench`.

mod check;
mod run;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Exit status for a configuration with errors (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

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
  homing run -c /etc/homing/homing.conf";

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
    /// Tools for load tests of this or any other mail proxy.
    #[command(subcommand)]
    Bench(crate::bench::Command),
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, non_defaults, all, ignored } => {
            check::check(&config, &check::Shown { non_defaults, all, ignored })
        }
        Command::Demo => crate::demo::main(),
        Command::Bench(command) => crate::bench::main(command),
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
