//! Command line: run, check, demo.
