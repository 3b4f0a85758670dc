//! Homing beside other proxies: logins, idle sessions, bytes, round trips, storms, shutdown. Runs every measurement for
//! all programs in turn, round after round, and prints one table. How it is measured is in `tests/bench/README.md`.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // no server
#![allow(clippy::print_stdout, clippy::print_stderr)] // that is what it is for

mod arguments;
mod chart;
mod floor;
mod loader;
mod machine;
mod measurement;
mod memory;
mod processes;
mod programs;
mod results;
mod rounds;
mod site;
mod table;

use clap::Parser;

fn main() {
    // Cargo adds arguments of its own, as `--bench`.
    let words: Vec<_> = std::env::args().filter(|word| word != "--bench").collect();
    if words.get(1).is_some_and(|word| word == "floor") {
        return floor::main(floor::Arguments::parse_from(&words[1..]));
    }
    let arguments = arguments::Arguments::parse_from(&words);
    let chosen = measurement::chosen(&arguments.words, arguments.quick);
    if arguments.list {
        for measurement in chosen {
            println!("{:<24} {}", measurement.name, measurement.title);
        }
        return;
    }
    let site = site::Site::create(&arguments);
    let programs = programs::find(&arguments, &site);
    let results = rounds::run(&arguments, &site, &programs, &chosen);
    let text = table::text(&results);
    println!("{text}");
    let folder = &arguments.results;
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("table.md"), text).unwrap();
    std::fs::write(folder.join("results.json"), format!("{:#}\n", results.as_json())).unwrap();
    for (name, svg) in chart::all(&results) {
        std::fs::write(folder.join(name), svg).unwrap();
    }
    eprintln!("table, numbers and charts are in {}", folder.display());
    if results.has_failures() {
        eprintln!("some measurements failed; see the table");
        std::process::exit(1);
    }
}
