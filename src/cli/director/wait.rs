//! `--wait`: returns when something has really ended, which the answer of a director does not say (spec/director.md
//! 10, W22).

use homing_doveadm::own::{Awaited, Command, Row};

use super::Connection;
use crate::cli::exit::Fault;

/// Seconds of one request; it is repeated, so that a connection or a director that is gone is noticed.
const STEP_SECS: u32 = 20;

/// To be asked before something is begun that is to be waited for.
pub(super) async fn check(connection: &mut Connection, wait: bool) -> Result<(), Fault> {
    if wait && !connection.knows("X-WAIT").await? {
        return Err(Fault::Protocol(format!(
            "{}: this director cannot tell when something has ended; do it without --wait",
            connection.place()
        )));
    }
    Ok(())
}

/// However long it takes.
pub(super) async fn until_ended(connection: &mut Connection, what: Awaited) -> Result<(), Fault> {
    let command = Command::Wait { what, secs: STEP_SECS };
    while let Some(Row::Waiting(_)) = connection.own(&command).await?.last() {}
    Ok(())
}
