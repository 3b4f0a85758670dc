//! The end of `tracing` and the beginning of the queue.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::{SyncSender, TrySendError},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::{record::Record, tally::tally, writer::Command};

/// Queues every event; never waits.
pub(super) struct QueueLayer {
    pub(super) queue: SyncSender<Command>,
    /// Lines that found the queue full since the writer last reported.
    pub(super) lost: Arc<AtomicU64>,
}

impl<S: Subscriber> Layer<S> for QueueLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Command::Line(Record::of(event))) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tally().log_lines_lost.count();
        }
    }
}
