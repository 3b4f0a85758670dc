//! `homing check`.

use std::{path::Path, process::ExitCode};

use super::{EXIT_CONFIG, print};
use crate::config;

pub(super) fn check(path: &Path, non_defaults: bool, all: bool) -> ExitCode {
    let outcome = config::load(path);
    if non_defaults || all {
        print(&config::dump(&outcome.parsed, all));
    }
    print(&outcome.report.to_string());
    if outcome.settings.is_some() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}
