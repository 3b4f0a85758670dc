//! Handshakes over in-memory pipes, with certificates made for each test.

mod ca;
mod with_backends;
mod with_clients;
mod with_files;

pub(super) use ca::Ca;
