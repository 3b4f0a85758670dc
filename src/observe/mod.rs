//! Log lines and where they go.
