//! Signals, reload, shutdown, privileges.
