//! The hub of login processes (spec/director.md 5.6): those that forward sessions connect here, and are asked to list
//! or end them. What is asked goes to all of them, and counts once all have answered. It knows no user and no backend.

pub(super) mod kicks;
pub(super) mod logins;
pub(super) mod process;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use homing_doveadm::ipc::{Answer, Command, SessionRow};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use logins::{Logins, PeerId};

/// How long a login process may take to answer. It does so from its memory; one that does not hangs.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);

/// After how long a login process that lost its connection is back: it tries every 10 s.
const RETURN_TIME: Duration = Duration::from_secs(15);

/// Rows of one list, of all login processes together, in bytes while the list is made. Some 300,000 sessions, more than
/// one machine forwards.
pub(super) const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Names of `user_*` fields of one login process; a site has a handful.
const COLUMNS_MAX: usize = 32;

/// Why a login process did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Trouble {
    /// It hangs.
    #[error("does not answer")]
    Silent,
    /// It has said something that it must not, so that its connection was closed. It lives.
    #[error("does not speak the protocol")]
    Broken,
    /// Its connection was closed here, as at the end of this program, or it left in the same moment.
    #[error("is not connected any more")]
    Left,
    /// In its words.
    #[error("refuses: {0}")]
    Refused(String),
}

/// What a login process is asked, and where the answer goes. Dropped without an answer it means nothing.
#[derive(Debug)]
pub(super) struct Ask {
    command: Command,
    /// Bytes of rows that the asker still takes; shared between all who are asked.
    room: Arc<Semaphore>,
    answer: oneshot::Sender<Result<Heard, Trouble>>,
}

/// A complete answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Names of the `user_*` fields of the rows.
    pub(super) columns: Vec<Vec<u8>>,
    pub(super) rows: Vec<SessionRow>,
    /// Rows that were over the limit.
    pub(super) left_out: u64,
    /// Sessions ended.
    pub(super) count: u64,
}

/// One login process.
#[derive(Debug, Clone)]
struct Member {
    /// As it introduces itself; what people see and give.
    told_id: u32,
    peer: PeerId,
    asks: mpsc::Sender<Ask>,
}

/// All login processes that are there.
#[derive(Debug, Default)]
pub(super) struct Hub {
    members: Mutex<Members>,
    pub(super) logins: Logins,
}

#[derive(Debug, Default)]
struct Members {
    by_number: BTreeMap<u64, Member>,
    so_far: u64,
    /// Until when some login process may live without being here.
    unsure_until: Option<Instant>,
    /// Connections that wait until others end.
    kept_waiting: usize,
}

/// A login process's place; given back on drop.
#[derive(Debug)]
pub(super) struct Membership {
    hub: Arc<Hub>,
    number: u64,
}

impl Hub {
    pub(super) fn join(self: &Arc<Self>, told_id: u32, peer: PeerId, asks: mpsc::Sender<Ask>) -> Membership {
        let mut members = self.lock();
        members.so_far += 1;
        let number = members.so_far;
        members.by_number.insert(number, Member { told_id, peer, asks });
        Membership { hub: Arc::clone(self), number }
    }

    /// A login process was sent away though it lives: kicks miss it until it is back.
    pub(super) fn sent_away(&self) {
        self.lock().unsure_until = Some(Instant::now() + RETURN_TIME);
    }

    /// Login processes forward sessions of these users, who were given their backends then by an earlier run. They come
    /// back here by themselves; as long as that takes, no kick is sure to reach them all.
    pub(super) fn take_over(
        &self,
        users: &[(crate::director::core::UserHash, Instant)],
        login_time: Duration,
    ) {
        if users.is_empty() {
            return;
        }
        self.sent_away();
        for (user, placed) in users {
            self.logins.take_over(*user, *placed, login_time);
        }
    }

    /// A connection waits for a free place: kicks miss it until the guard is dropped.
    pub(super) fn keep_waiting(&self) -> impl Drop + '_ {
        struct Waits<'a>(&'a Hub);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.lock().kept_waiting -= 1;
            }
        }
        self.lock().kept_waiting += 1;
        Waits(self)
    }

    /// True if a login process with this id is here.
    pub(super) fn has(&self, told_id: u32) -> bool {
        self.lock().by_number.values().any(|member| member.told_id == told_id)
    }

    /// True if a kick that begins now meets every session that other login processes were given for this user: no
    /// login process lives elsewhere, and nobody is logging in unseen.
    fn reaches(&self, user: crate::director::core::UserHash) -> bool {
        let members = self.lock();
        let now = Instant::now();
        let is_sure = members.unsure_until.is_none_or(|until| until <= now) && members.kept_waiting == 0;
        // As long as nobody has ever come, perhaps nobody can.
        let is_known = members.so_far > 0;
        let is_here = |peer| members.by_number.values().any(|member| member.peer == peer);
        is_sure && is_known && !self.logins.any_unseen(user, now, is_here)
    }

    /// Asks all login processes, or those with one id, at the same time. Each answer comes with the id of its process.
    pub(super) async fn ask(
        &self,
        only: Option<u32>,
        command: &Command,
        bytes_max: usize,
    ) -> Vec<(u32, Result<Heard, Trouble>)> {
        let members: Vec<_> = self.lock().by_number.values().cloned().collect();
        let room = Arc::new(Semaphore::new(bytes_max));
        let meant = members.into_iter().filter(|member| only.is_none_or(|id| member.told_id == id));
        let asked: Vec<_> = meant.map(|member| (member.told_id, send(&member, command, &room))).collect();
        let deadline = tokio::time::Instant::now() + ANSWER_TIME;
        let mut heard = Vec::with_capacity(asked.len());
        for (id, answer) in asked {
            let answer = match answer {
                Ok(answer) => match timeout(deadline - tokio::time::Instant::now(), answer).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_dropped)) => Err(Trouble::Left),
                    Err(_) => Err(Trouble::Silent),
                },
                Err(trouble) => Err(trouble),
            };
            heard.push((id, answer));
        }
        heard
    }

    /// Asks all to end sessions; how many they have ended, if all have done it. Tells who has not.
    pub(super) async fn kick(&self, only: Option<u32>, command: &Command) -> (u64, bool) {
        let (mut count, mut is_complete) = (0_u64, true);
        for (id, answer) in self.ask(only, command, 0).await {
            match answer {
                Ok(heard) => count = count.saturating_add(heard.count),
                Err(trouble) => {
                    is_complete = false;
                    let word = command.word();
                    tracing::error!(target: "homing::relay", "ipc: {word} failed: login process {id} {trouble}");
                }
            }
        }
        (count, is_complete)
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(
    member: &Member,
    command: &Command,
    room: &Arc<Semaphore>,
) -> Result<oneshot::Receiver<Result<Heard, Trouble>>, Trouble> {
    let (answer, heard) = oneshot::channel();
    let ask = Ask { command: command.clone(), room: Arc::clone(room), answer };
    match member.asks.try_send(ask) {
        Ok(()) => Ok(heard),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(Trouble::Left),
        Err(mpsc::error::TrySendError::Full(_)) => Err(Trouble::Silent),
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hub.lock().by_number.remove(&self.number);
    }
}

impl Heard {
    /// The end of the answer.
    fn ended(mut self, answer: Answer) -> Result<Self, Trouble> {
        match answer {
            Answer::Done => {}
            Answer::Count(count) => self.count = count,
            Answer::Refused(refusal) => return Err(Trouble::Refused(refusal.to_string())),
        }
        Ok(self)
    }
}
