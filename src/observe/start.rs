//! Starting and ending the log.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::AtomicU64,
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
};

use jiff::tz::TimeZone;
use tracing::{Dispatch, level_filters::LevelFilter};
use tracing_subscriber::{Layer as _, Registry, filter::Targets, layer::SubscriberExt};

use super::{
    destination::{Destination, Journal, LogFile, Syslog},
    format::LineFormat,
    layer::QueueLayer,
    writer::{self, Command, QUEUE_RECORDS_MAX},
};
use crate::config::settings::{LogSettings, LogTarget};

/// Where syslog daemons listen.
const SYSLOG_SOCKET: &str = "/dev/log";

/// The log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `syslog_facility` is none.
    #[error("syslog_facility: no such facility: {0}")]
    Facility(String),
    /// The log file cannot be opened.
    #[error("log_path: {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// No journal listens on this machine.
    #[error("the systemd journal cannot be reached: {0}")]
    Journal(io::Error),
    /// No thread for writing.
    #[error("the log's thread cannot be started: {0}")]
    Thread(io::Error),
    /// There is a log already.
    #[error("the log has been started before")]
    Started,
}

/// The running log. Keep it until the very end: dropping it writes what is queued and ends the thread.
#[derive(Debug)]
pub struct LogHandle {
    queue: SyncSender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// Sends all events of the program to the configured destination from now on. `instance_name` is the syslog
/// identifier; log readers expect `dovecot`. While syslog cannot be reached, lines go to standard error.
pub fn start(settings: &LogSettings, instance_name: &str) -> Result<LogHandle, LogError> {
    let (dispatch, handle) = build(settings, instance_name, SYSLOG_SOCKET.into())?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::Started)?;
    // The first look at the numbers is the start of the process.
    let _ = super::tally::tally();
    Ok(handle)
}

/// The same without touching the process: for tests.
pub(super) fn build(
    settings: &LogSettings,
    instance_name: &str,
    syslog_socket: PathBuf,
) -> Result<(Dispatch, LogHandle), LogError> {
    let destination = destination(settings, instance_name, syslog_socket)?;
    let (queue, records) = mpsc::sync_channel(QUEUE_RECORDS_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let layer = QueueLayer { queue: queue.clone(), lost: Arc::clone(&lost) };
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer::run(destination, &records, &lost))
        .map_err(LogError::Thread)?;
    let subscriber = Registry::default().with(layer.with_filter(filter(settings.debug)));
    Ok((Dispatch::new(subscriber), LogHandle { queue, thread: Some(thread) }))
}

impl LogHandle {
    /// Opens the log file anew, after rotation. Waits until it is done; on error the old file stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        let (done, result) = mpsc::channel();
        let gone = || io::Error::other("the log has ended");
        self.queue.send(Command::Reopen(done)).map_err(|_| gone())?;
        result.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Waits until everything logged so far is written.
    pub fn flush(&self) {
        let (done, written) = mpsc::channel();
        if self.queue.send(Command::Flush(done)).is_ok() {
            // An error means that the thread has ended, which it does only when all is written.
            let _ = written.recv();
        }
    }
}

impl Drop for LogHandle {
    fn drop(&mut self) {
        // Queued behind every line. The layer keeps a sender, so the thread would not end by itself.
        let _ = self.queue.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn destination(
    settings: &LogSettings,
    identifier: &str,
    syslog_socket: PathBuf,
) -> Result<Destination, LogError> {
    let zone = TimeZone::system();
    let lines =
        LineFormat { format: settings.format, timestamp: settings.timestamp.clone(), zone: zone.clone() };
    Ok(match &settings.target {
        LogTarget::Stderr => Destination::Stderr(lines),
        LogTarget::File(path) => {
            let failed = |cause| LogError::File { path: path.clone(), cause };
            Destination::File(LogFile::open(path.clone()).map_err(failed)?, lines)
        }
        LogTarget::Journal => Destination::Journal(Journal::connect(identifier).map_err(LogError::Journal)?),
        LogTarget::Syslog => {
            let facility = &settings.syslog_facility;
            Destination::Syslog(
                Syslog::new(syslog_socket, facility, identifier, zone)
                    .ok_or_else(|| LogError::Facility(facility.clone()))?,
            )
        }
    })
}

/// Our own events down to info or debug; of libraries only what somebody should look at. Their debug lines may
/// show what passes through them.
fn filter(debug: bool) -> Targets {
    let own = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    Targets::new().with_target("homing", own).with_default(LevelFilter::WARN)
}
