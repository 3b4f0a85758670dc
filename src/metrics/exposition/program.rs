//! The program itself: version, reloads, the log.

use std::fmt;

use super::{
    Sources,
    sheet::{Sheet, by_one, only},
};
use crate::observe::tally::tally;

pub(super) fn write(_: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let m = tally();
    let version = vec![("version", env!("CARGO_PKG_VERSION").into())];
    sheet.info("build", "The version of Homing.", version)?;
    sheet.counter("reloads", "Reloads of the configuration, by result.", by_one(&m.reloads))?;
    let help = "Log lines that found no room or could not be written.";
    sheet.counter("log_lines_lost", help, only(m.log_lines_lost.value()))
}
