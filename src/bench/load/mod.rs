//! `homing bench load`: arguments, and which scenario they mean.

mod client;
mod connect;
mod crowd;
mod gate;
mod report;
mod scenario;
mod site;
mod tally;

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use thiserror::Error;

use self::{report::Reporter, site::Site};

pub(super) const HELP: &str = "Bulk transfers and round trips need `homing bench backend` behind the proxy. Certificates are not checked.
Each step is a line on standard output, with --json an object.

Examples:
  homing bench load --to 127.0.0.1:143 login --count 2000
  homing bench load --to 127.0.0.1:993 --tls implicit hold --sessions 10000
  homing bench load --to 127.0.0.1:993 --tls implicit storm --sessions 5000";

/// Whom to load, as whom, with what.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: site::Common,
    #[command(subcommand)]
    scenario: Scenario,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
enum Scenario {
    /// Log in and out, again and again.
    Login {
        /// How often.
        #[arg(long, default_value_t = 1000)]
        count: usize,
    },
    /// Log in and stay, until a line (or the end) of standard input or until the server has closed everything.
    Hold {
        /// How many sessions.
        #[arg(long, default_value_t = 1000)]
        sessions: usize,
    },
    /// Move bytes through a few sessions at once.
    Bulk {
        /// Which way.
        #[arg(long, value_enum, default_value_t = Direction::Down)]
        direction: Direction,
        /// How many sessions.
        #[arg(long, default_value_t = 4)]
        sessions: usize,
        /// Bytes per session.
        #[arg(long, default_value_t = 256 * 1024 * 1024)]
        bytes: u64,
    },
    /// Short lines to the backend and back.
    Echo {
        /// How many sessions.
        #[arg(long, default_value_t = 50)]
        sessions: usize,
        /// Round trips of each session.
        #[arg(long, default_value_t = 2000)]
        rounds: usize,
        /// Bytes of a line.
        #[arg(long, default_value_t = 100)]
        size: usize,
    },
    /// Log in, drop everything at once, and come back all at once, again and again until in.
    Storm {
        /// How many sessions.
        #[arg(long, default_value_t = 1000)]
        sessions: usize,
    },
    /// Everything at once: idle sessions, logins, transfers both ways, round trips.
    Mixed {
        /// Idle sessions; a tenth as many do round trips, and there are twice as many logins.
        #[arg(long, default_value_t = 500)]
        sessions: usize,
        /// Bytes moved by each of two sessions down and of two sessions up.
        #[arg(long, default_value_t = 32 * 1024 * 1024)]
        bytes: u64,
    },
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// From the backend to the client.
    Down,
    /// From the client to the backend.
    Up,
}

/// Why nothing could be measured, or why a session failed.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    /// Options that do not go together, or TLS that cannot be set up.
    #[error("{0}")]
    Setup(String),
    /// No connection.
    #[error("connect: {0}")]
    Connect(std::io::Error),
    /// No TLS.
    #[error("tls: {0}")]
    Tls(std::io::Error),
    /// The connection broke.
    #[error("broken: {0}")]
    Broken(#[from] std::io::Error),
    /// The other side closed in the middle.
    #[error("closed: {0}")]
    Closed(&'static str),
    /// A negative answer.
    #[error("refused: {0}")]
    Refused(String),
    /// It took longer than `--patience`.
    #[error("timeout: {0}")]
    Timeout(&'static str),
}

/// Runs one scenario; the exit status is bad if any session failed.
pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, LoadError> {
    let reporter = Reporter::new(arguments.common.json);
    let site = Arc::new(Site::new(arguments.common)?);
    let failed = scenario::run(&site, &reporter, arguments.scenario).await?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
