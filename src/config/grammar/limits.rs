//! How large a configuration may be. An administrator writes it, so the numbers only stop accidents: a
//! device file, a loop of includes, a value that doubles itself.

/// Longest file read, including those named by `<file`: far above any real one, far below memory.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most files of one configuration; sites with one file per domain have hundreds.
pub(crate) const FILES_MAX: usize = 10_000;
/// Deepest chain of includes.
pub(crate) const INCLUDE_DEPTH_MAX: usize = 16;
/// Deepest nesting of blocks; Dovecot's own settings need five.
pub(crate) const BLOCK_DEPTH_MAX: usize = 16;
/// Most statements of one configuration.
pub(crate) const STATEMENTS_MAX: usize = 200_000;
/// Longest value after `$name` is expanded: `a = $a $a` doubles it with every line.
pub(crate) const VALUE_BYTES_MAX: usize = 256 << 10;
