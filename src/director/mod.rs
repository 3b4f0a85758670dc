//! Which backend a user belongs to. [`core`] decides; this room gives it time, addresses of names and a lock, and
//! hands out placements as guards. It does not know dialects, auth services or TLS.

pub mod core;
mod error;
mod expiry;
mod foreign;
mod names;
mod placement;
mod tables;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use homing_login::UserName;
use tokio::{sync::watch, time::Instant};

use self::core::{Hosts, MailServer, Naming, Table, UsernameFormat};
use crate::config::settings::DirectorSettings;
pub use error::{DirectorError, PlaceError};
use foreign::Foreign;
pub use foreign::{FOREIGN_USERS_MAX, ForeignError, ForeignPlace, ForeignUse, LOOKUP_TIME};
pub use placement::Placement;
use tables::Tables;

/// How long a login waits for a usable backend before it fails. 30 s, as the reference has it (spec/director.md 8.1),
/// though its shared timer makes that up to 60 s (W15).
const QUEUE_TIME: Duration = Duration::from_secs(30);

/// The director of this program. Clones share everything.
#[derive(Clone)]
pub struct Director {
    tables: Arc<Tables>,
    foreign: Arc<Foreign>,
    /// Tells waiting logins that the backends have changed. Its end ends the timer.
    changes: watch::Sender<()>,
}

/// A login that asks for its backend.
#[derive(Debug, Clone, Copy)]
pub struct PlaceRequest<'a> {
    /// Name at the backend, a master user behind it or not; hashed.
    pub user: &'a UserName,
    /// `director_tag` of the auth reply; empty for none.
    pub tag: &'a [u8],
}

impl Director {
    /// Resolves the backends and starts without users. Names that have no address are a warning, unless there is no
    /// backend at all.
    pub async fn new(settings: &DirectorSettings) -> Result<Self, DirectorError> {
        let table = table(settings, &Hosts::default()).await?;
        let tables = Arc::new(Tables::new(table, !settings.mail_servers.is_empty()));
        let (changes, watcher) = watch::channel(());
        tokio::spawn(expiry::run(Arc::downgrade(&tables), watcher));
        Ok(Self { tables, foreign: Foreign::start(settings.user_expire), changes })
    }

    /// Takes over changed settings, or nothing of them. Mappings and sessions survive: a backend that is gone takes
    /// no new users, and those with sessions stay there until the last one has ended.
    pub async fn reload(&self, settings: &DirectorSettings) -> Result<(), DirectorError> {
        let table = table(settings, &self.tables.hosts()).await?;
        self.tables.configure(table, !settings.mail_servers.is_empty())?;
        self.foreign.set_expire(settings.user_expire);
        self.changes.send_replace(());
        Ok(())
    }

    /// Gives a login its backend. Waits for a while if none is usable now. The session counts from here until the
    /// placement is dropped.
    pub async fn place(&self, request: PlaceRequest<'_>) -> Result<Placement, PlaceError> {
        self.place_within(QUEUE_TIME, request).await
    }

    async fn place_within(
        &self,
        patience: Duration,
        request: PlaceRequest<'_>,
    ) -> Result<Placement, PlaceError> {
        let deadline = Instant::now() + patience;
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(placement) = Placement::take(&self.tables, request)? {
                return Ok(placement);
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(PlaceError::NoHost {
                    waited_secs: patience.as_secs(),
                    hash: self.tables.hash(request.user),
                    tag: homing_wire::printable(request.tag),
                });
            }
        }
    }

    /// Ends the sessions of a user, logins in progress included. Sessions are found by what was hashed, never by
    /// a login name (spec/director.md 10, W1, W2).
    pub fn kick(&self, user: &UserName) {
        self.tables.kick(user);
    }
}

/// The table that the settings describe. `known` are the backends so far.
async fn table(settings: &DirectorSettings, known: &Hosts) -> Result<Table, DirectorError> {
    let format = UsernameFormat::parse(&settings.username_hash)?;
    let naming = Naming { format, master_user_separator: settings.master_user_separator };
    let words: Result<Vec<_>, _> = settings.mail_servers.iter().map(|word| MailServer::parse(word)).collect();
    let servers = words?;
    let hosts = self::core::hosts_of(&servers, &names::addresses(&servers, known).await)?;
    if hosts.is_empty() && !servers.is_empty() {
        return Err(DirectorError::NoHosts);
    }
    Ok(Table { hosts, naming, expire: settings.user_expire })
}
