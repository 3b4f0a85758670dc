//! What administrators see and do of the sessions that login processes beside Homing forward. The answers of all of
//! them are put together, so that they look like one (spec/director.md 10, W25).

use std::sync::Arc;

use homing_doveadm::{
    UserPattern,
    ipc::{Command, SessionRow},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::hub::{Hub, LIST_BYTES_MAX};

/// Names that one command line names: some 250 bytes each are far below what a login process reads at once.
const NAMES_MAX: usize = 30;

/// Lists that are made or sent at one time: each holds up to [`LIST_BYTES_MAX`] bytes. Further ones wait.
const LISTS_MAX: usize = 4;

/// The sessions of other login processes. Clones are about the same.
#[derive(Debug, Clone)]
pub struct ForeignSessions {
    hub: Arc<Hub>,
    lists: Arc<Semaphore>,
}

/// Sessions of several login processes.
#[derive(Debug)]
pub struct ForeignLists {
    /// One list of each process that answered.
    pub lists: Vec<ForeignList>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// Sessions of one login process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignList {
    /// Names of the `user_*` fields of the rows.
    pub columns: Vec<Vec<u8>>,
    /// The sessions, in the order of the process.
    pub rows: Vec<SessionRow>,
}

impl ForeignList {
    /// The value of a `user_*` field of a row, by full name.
    fn field<'a>(&self, row: &'a SessionRow, field: &[u8]) -> Option<&'a Vec<u8>> {
        let at = self.columns.iter().position(|column| column == field)?;
        row.alternatives.get(at)
    }

    /// The sessions that a kick by name or field means.
    pub fn meant_by(&self, command: &Command) -> impl Iterator<Item = &SessionRow> {
        let is_among = |wanted: &[UserPattern], value: &[u8]| wanted.iter().any(|want| want.matches(value));
        self.rows.iter().filter(move |row| match command {
            Command::Kick(users) => is_among(users, &row.user),
            Command::KickAlt { field, values } => {
                self.field(row, field).is_some_and(|value| is_among(values, value))
            }
            Command::ListFull | Command::KickHost(_) | Command::KickHash { .. } => false,
        })
    }
}

impl ForeignSessions {
    /// Without any login process.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(Arc::default())
    }

    /// Those of one login process, which is at the other end.
    #[cfg(test)]
    pub(crate) fn of(process: tokio::net::UnixStream) -> Self {
        let hub = Arc::<Hub>::default();
        tokio::spawn(super::hub::process::serve(process, Arc::clone(&hub)));
        Self::new(hub)
    }

    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, lists: Arc::new(Semaphore::new(LISTS_MAX)) }
    }

    /// True if a login process has this id.
    pub fn has_process(&self, id: u32) -> bool {
        self.hub.has(id)
    }

    /// The sessions of all login processes, or of those with one id. Processes that do not answer are missing, and
    /// told in the log, as are sessions for which there is no room.
    pub async fn list(&self, only: Option<u32>) -> ForeignLists {
        let turn = Arc::clone(&self.lists).acquire_owned().await.ok();
        let (mut lists, mut left_out) = (Vec::new(), 0);
        for (id, answer) in self.hub.ask(only, &Command::ListFull, LIST_BYTES_MAX).await {
            match answer {
                Ok(heard) => {
                    left_out += heard.left_out;
                    lists.push(ForeignList { columns: heard.columns, rows: heard.rows });
                }
                Err(trouble) => {
                    tracing::error!(target: "homing::relay", "ipc: LIST-FULL failed: login process {id} {trouble}");
                }
            }
        }
        if left_out > 0 {
            tracing::warn!(target: "homing::relay", "ipc: a list of the sessions of login processes is too long and lacks {left_out}");
        }
        ForeignLists { lists, _turn: turn }
    }

    /// Ends sessions; returns how many. Login processes compare names exactly; here they are patterns (W24).
    pub async fn kick(&self, only: Option<u32>, command: &Command) -> u64 {
        match command {
            Command::ListFull => 0,
            Command::Kick(users) => self.kick_users(only, users).await,
            Command::KickAlt { field, values } => self.kick_by_field(only, field, values).await,
            Command::KickHost(_) | Command::KickHash { .. } => self.hub.kick(only, command).await.0,
        }
    }

    async fn kick_users(&self, only: Option<u32>, users: &[UserPattern]) -> u64 {
        let names = match users.iter().any(UserPattern::has_wildcards) {
            false => exact(users),
            true => self.values(only, users, |_, row| Some(&row.user)).await,
        };
        let mut count = 0_u64;
        for names in names.chunks(NAMES_MAX) {
            count = count.saturating_add(self.hub.kick(only, &Command::Kick(names.to_vec())).await.0);
        }
        count
    }

    async fn kick_by_field(&self, only: Option<u32>, field: &[u8], wanted: &[UserPattern]) -> u64 {
        let values = match wanted.iter().any(UserPattern::has_wildcards) {
            false => exact(wanted),
            true => self.values(only, wanted, |list, row| list.field(row, field)).await,
        };
        let mut count = 0_u64;
        for values in values.chunks(NAMES_MAX) {
            let command = Command::KickAlt { field: field.to_vec(), values: values.to_vec() };
            count = count.saturating_add(self.hub.kick(only, &command).await.0);
        }
        count
    }

    /// What sessions have that fits, each once.
    async fn values(
        &self,
        only: Option<u32>,
        wanted: &[UserPattern],
        value: impl for<'a> Fn(&'a ForeignList, &'a SessionRow) -> Option<&'a Vec<u8>>,
    ) -> Vec<UserPattern> {
        let found = self.list(only).await;
        let all = found.lists.iter().flat_map(|list| list.rows.iter().filter_map(|row| value(list, row)));
        let fitting = all.filter(|value| wanted.iter().any(|want| want.matches(value)));
        let mut fitting: Vec<_> = fitting.cloned().collect();
        fitting.sort_unstable();
        fitting.dedup();
        fitting.into_iter().map(UserPattern::new).collect()
    }
}

/// As written, and as auth services write names unless told otherwise.
fn exact(patterns: &[UserPattern]) -> Vec<UserPattern> {
    let both = |pattern: &UserPattern| [pattern.as_bytes().to_vec(), pattern.as_bytes().to_ascii_lowercase()];
    let mut names: Vec<_> = patterns.iter().flat_map(both).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(UserPattern::new).collect()
}
