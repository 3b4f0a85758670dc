//! Homing.
fn main() {}
