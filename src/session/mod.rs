//! Drives one connection from greeting to end.
