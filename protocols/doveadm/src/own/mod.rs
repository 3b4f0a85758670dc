//! Homing's own words of the admin protocol: what its command line asks beyond what `doveadm director` can. Requests
//! are [`Command`], answers tables of [`Row`]; both are read and written here. What a director does about them is not
//! known here.
//!
//! A request is `X-WORD` and its arguments. An answer has at least one row, so that an empty one means a director that
//! takes any own word and knows none. The last row of a request that was not done is [`Row::Failure`]. Dovecot's
//! director closes the connection instead.

mod command;
mod drain;
mod explain;
mod failure;
mod host;
mod plan;
mod record;
mod row;
mod session;
mod state;

#[cfg(test)]
mod tests;

pub use command::{Awaited, Command, DrainPace, Planned, Unreadable, WAIT_SECS_MAX, WORDS};
pub use drain::{DrainRow, DrainState};
pub use explain::{CurrentRow, EventRow, MovingRow, RingRow};
pub use failure::{Failure, FailureKind};
pub use host::HostRow;
pub use plan::{PlanEffect, PlanRow};
pub use record::VALUE_BYTES_MAX;
pub use row::{HashRow, Row};
pub use session::SessionRow;
pub use state::{LOAD_USERS_MAX, LoadRequest, LoadRow, LoadedRow, StateHostRow, StateUserRow};
