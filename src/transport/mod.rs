//! A byte stream, plain or TLS.
