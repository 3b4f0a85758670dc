//! `homing`: arguments, then the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    homing::cli::main()
}
