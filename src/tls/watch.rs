//! Certificate files that change are read again, so that a renewed certificate needs no reload.

use std::{
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{ServerTls, TlsError, pem};
use crate::config::settings::TlsSettings;

/// How often files are looked at: a `stat` each, so cheap; a renewal may take this long to show.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What one look at the files led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing has changed.
    Unchanged,
    /// New handshakes use the new files.
    Reloaded,
    /// The files do not fit together (yet); the old ones stay in use, and the next look tries again.
    Failed(TlsError),
}

impl ServerTls {
    /// Looks at the files every few seconds until `stop`. Spawn it once.
    pub async fn watch(self, stop: CancellationToken) {
        self.watch_every(POLL_INTERVAL, stop).await;
    }

    pub(super) async fn watch_every(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let tls = self.clone();
            // File systems can be slow; the result is in the log.
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }

    /// Looks at the files once and loads them if any has changed, or if the last attempt failed.
    pub fn refresh(&self) -> Refresh {
        let mut reload = self.lock_reload();
        let files = FileStates::of(&reload.settings);
        if files == reload.files && reload.failed.is_none() {
            return Refresh::Unchanged;
        }
        // Taken before reading: a change in between is seen by the next look.
        reload.files = files;
        match self.replace(&reload.settings) {
            Ok(()) => {
                reload.failed = None;
                tracing::info!("ssl: certificate files have changed and are in use");
                Refresh::Reloaded
            }
            Err(error) => {
                let text = error.to_string();
                if reload.failed.as_ref() != Some(&text) {
                    tracing::error!("ssl: changed certificate files cannot be used, keeping the old: {text}");
                }
                reload.failed = Some(text);
                Refresh::Failed(error)
            }
        }
    }
}

/// The state of every file a configuration was loaded from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileStates(Vec<(PathBuf, Option<FileState>)>);

/// Device, inode, size, and modification time: a file replaced by renaming has another inode.
#[derive(Debug, PartialEq, Eq)]
struct FileState {
    id: (u64, u64),
    bytes: u64,
    modified: Option<SystemTime>,
}

impl FileStates {
    /// Looks at all files now; a missing one counts as a state, too.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let named = settings.by_name.iter().map(|named| &named.files);
        let pairs = settings.default.iter().chain(named).flat_map(|files| [&files.cert, &files.key]);
        let paths = pairs.chain(&settings.ca).filter_map(pem::path);
        Self(paths.map(|path| (path.clone(), FileState::of(path))).collect())
    }
}

impl FileState {
    fn of(path: &PathBuf) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self { id: (meta.dev(), meta.ino()), bytes: meta.len(), modified: meta.modified().ok() })
    }
}
