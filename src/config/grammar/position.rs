//! Where in the configuration something stands.

use std::{fmt, sync::Arc};

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the file in the order of reading; sorts problems as an administrator reads.
    order: usize,
    file: Arc<str>,
    /// From 1; the first one of a statement that goes on over several.
    line: usize,
}

impl Position {
    pub(crate) fn new(order: usize, file: Arc<str>, line: usize) -> Self {
        Self { order, file, line }
    }

    /// Another line of the same file.
    pub(crate) fn at(&self, line: usize) -> Self {
        Self { line, ..self.clone() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
