//! What integration tests share: a running Homing, temporary folders, certificates.

#![allow(dead_code)] // every test binary uses its own part

pub mod homing;
