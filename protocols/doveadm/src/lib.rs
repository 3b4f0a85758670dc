//! What `doveadm director` and `doveadm proxy` speak (spec/director.md 5.6, 6): [`director`] is the protocol of the
//! `director-admin` socket, [`ipc`] the one behind `proxy list` and `proxy kick`. Each has the serving and the asking
//! side as pure state machines. [`own`] are the words that Homing adds to the former.
//!
//! Nothing here knows a socket, a clock, or what a director does with a request.

pub mod director;
pub mod ipc;
pub mod own;

mod fields;
mod lines;
mod pattern;
mod version;

pub use fields::UserHash;
pub use lines::{
    ADMIN_LINE_BYTES_MAX, ANSWER_LINE_BYTES_MAX, IPC_LINE_BYTES_MAX, LineTooLong, OUTPUT_BYTES_MAX,
};
pub use pattern::UserPattern;
