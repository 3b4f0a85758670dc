//! What forwarding has done so far, for all sessions together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Sums since the start of the program; cheap to read at any time.
#[derive(Debug, Default)]
pub struct Counters {
    started: AtomicU64,
    live: AtomicU64,
    spliced: AtomicU64,
    copied: AtomicU64,
    pipes_missing: AtomicU64,
}

static COUNTERS: Counters = Counters::new();

/// The program's counters.
pub fn counters() -> &'static Counters {
    &COUNTERS
}

impl Counters {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            started: AtomicU64::new(0),
            live: AtomicU64::new(0),
            spliced: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            pipes_missing: AtomicU64::new(0),
        }
    }

    /// Sessions that have begun to forward.
    pub fn sessions_started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// Sessions that forward now.
    pub fn sessions_live(&self) -> u64 {
        self.live.load(Relaxed)
    }

    /// Bytes that went through a pipe.
    pub fn bytes_spliced(&self) -> u64 {
        self.spliced.load(Relaxed)
    }

    /// Bytes that went through our memory.
    pub fn bytes_copied(&self) -> u64 {
        self.copied.load(Relaxed)
    }

    /// How often a step was copied because no pipe was to be had.
    pub fn pipes_missing(&self) -> u64 {
        self.pipes_missing.load(Relaxed)
    }

    pub(super) fn enter(&self) -> Live<'_> {
        self.started.fetch_add(1, Relaxed);
        self.live.fetch_add(1, Relaxed);
        Live(self)
    }

    pub(super) fn count_spliced(&self, bytes: usize) {
        self.spliced.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn count_copied(&self, bytes: usize) {
        self.copied.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn count_missing_pipe(&self) {
        self.pipes_missing.fetch_add(1, Relaxed);
    }
}

/// A session that counts as live until dropped.
pub(super) struct Live<'a>(&'a Counters);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Relaxed);
    }
}
