//! What integration tests share: a running Homing, scripted auth servers and backends, real ones, clients.

#![allow(dead_code)] // every test binary uses its own part
#![allow(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // parts of tests

pub mod certificate;
pub mod client;
pub mod demo;
pub mod dovecot;
pub mod fake_auth;
pub mod fake_backend;
pub mod homing;
pub mod ledger;
pub mod mail_client;
pub mod site;
