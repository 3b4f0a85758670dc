//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Compare Homing with other mail proxies.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run", after_help = HELP)]
pub struct Arguments {
    /// What to measure: names, or the beginnings of names, of `--list`; everything without one.
    pub words: Vec<String>,
    /// List the measurements and end.
    #[arg(long)]
    pub list: bool,
    /// Small numbers: to see that it works. The results mean nothing.
    #[arg(long)]
    pub quick: bool,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Which programs, by the names in the table; all that are installed without it.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub programs: Vec<String>,
    /// The program that is measured as `homing`, and whose tools do the measuring.
    #[arg(long, value_name = "FILE", default_value = "target/release/homing")]
    pub homing: PathBuf,
    /// One more Homing, to compare a change with what was before. Repeatable.
    #[arg(long, value_name = "NAME=FILE")]
    pub also: Vec<String>,
    /// Where table, numbers and charts go.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    pub results: PathBuf,
    /// The core of the program that is measured.
    #[arg(long, default_value_t = 0)]
    pub program_core: usize,
    /// The core of loader, backends and auth service.
    #[arg(long, default_value_t = 1)]
    pub tools_core: usize,
    /// Put configurations and logs into this folder, which must not exist, and leave them there.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

const HELP: &str = "`tests/bench/run director` is another benchmark, see tests/bench/README.md.

Examples:
  tests/bench/run --quick                     does it work here?
  tests/bench/run --results docs/bench        everything, for the README
  tests/bench/run login-imap idle-1k          some of it
  tests/bench/run --also before=/tmp/homing --programs homing,before login";
