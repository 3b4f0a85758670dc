//! Binds, accepts, reads PROXY headers.
