//! Connects to a backend and logs the user in there.
