//! The thread that writes. Everything that can be slow happens here.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::{Receiver, Sender},
};

use jiff::Timestamp;
use tracing::Level;

use super::{destination::Destination, record::Record, tally::tally};

/// Records that may wait. At some 500 bytes each that is about 4 MiB, and seconds of a login storm.
pub(super) const QUEUE_RECORDS_MAX: usize = 8192;

/// What the queue carries, in order.
pub(super) enum Command {
    /// Write this.
    Line(Record),
    /// Open the file anew; then tell.
    Reopen(Sender<std::io::Result<()>>),
    /// Everything before this is written: tell.
    Flush(Sender<()>),
    /// End the thread.
    Stop,
}

/// Writes records until [`Command::Stop`], or until every sender is gone.
pub(super) fn run(mut destination: Destination, queue: &Receiver<Command>, lost: &Arc<AtomicU64>) {
    let mut unwritten = 0_u64;
    while let Ok(command) = queue.recv() {
        match command {
            Command::Line(record) => {
                if !destination.write(&record) {
                    tally().log_lines_lost.count();
                    unwritten += 1;
                }
            }
            // A receiver that is gone does not wait for the answer.
            Command::Reopen(done) => drop(done.send(destination.reopen())),
            Command::Flush(done) => drop(done.send(())),
            Command::Stop => break,
        }
        unwritten += lost.swap(0, Ordering::Relaxed);
        unwritten = report(&mut destination, unwritten);
    }
    report(&mut destination, unwritten + lost.swap(0, Ordering::Relaxed));
}

/// Says how many lines are missing; returns how many are still to be told.
fn report(destination: &mut Destination, count: u64) -> u64 {
    if count == 0 {
        return 0;
    }
    let record = Record {
        at: Timestamp::now(),
        level: Level::WARN,
        process: "log".to_owned(),
        message: format!("{count} log lines were lost"),
        fields: vec![("lost", count.to_string())],
    };
    if destination.write(&record) { 0 } else { count }
}
