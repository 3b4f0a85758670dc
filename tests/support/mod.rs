//! What integration tests share: a running Homing, scripted auth servers and backends, a line client.

#![allow(dead_code)] // every test binary uses its own part

pub mod certificate;
pub mod client;
pub mod fake_auth;
pub mod fake_backend;
pub mod homing;
