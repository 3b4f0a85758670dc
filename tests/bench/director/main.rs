//! What the director's tables cost: memory for each user and session, time for each placement, and what a flush of
//! everybody does to the logins of others. Lines for people go to standard error, JSON to standard output. How it is
//! measured is in `tests/bench/README.md`.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // no server
#![allow(clippy::print_stdout, clippy::print_stderr)] // that is what it is for

mod flush;
mod numbers;
mod state;
mod tables;

use serde_json::json;

/// Users in the tables, unless an argument says so.
const USERS: u32 = 1_000_000;

fn main() {
    // Cargo adds arguments of its own, as `--bench`.
    let argument = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let users = argument.unwrap_or(USERS);
    let state = state::measure(users);
    let tables = tables::measure(users);
    let flush = flush::measure(users);
    println!(
        "{:#}",
        json!({ "bench": "director", "users": users, "state": state, "tables": tables, "flush": flush })
    );
}
