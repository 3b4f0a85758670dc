//! The configuration: `dovecot.conf` read, checked and turned into typed settings.
//!
//! - `grammar`: files, lines, blocks, variables; makes a tree and knows no setting.
//! - `schema`: names, kinds, defaults; tells what is unknown, wrong or not needed.
//! - `typed`: what each room needs, one file per room; the types are in [`settings`].
//!
//! It must not know any room.

mod dump;
mod grammar;
mod load;
mod report;
mod schema;
pub mod settings;
#[cfg(test)]
mod tests;
mod typed;

pub use dump::dump;
pub use load::{Outcome, Parsed, admin_sockets, load};
pub use report::Report;
