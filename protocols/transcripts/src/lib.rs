//! What the tests of the three dialects share, and nothing else uses: reading and replaying conversations recorded
//! with the reference, and drivers that play scripts to a frontend or a backend dialogue. It knows no dialect.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "for tests: they read files, and stop at the first surprise"
)]

pub mod actors;
pub mod backend;
pub mod client;
mod fixtures;
pub mod recording;
pub mod replay;

pub use fixtures::{identity, mechanism, mechanisms, pieces};
