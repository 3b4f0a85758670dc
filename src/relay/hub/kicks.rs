//! Kicks that the director decides (moves, flushes, kicks of a user): all login processes are told, and once it is
//! certain that none of them forwards the user any more the director hears of it. Failing that, it keeps the user
//! waiting, and asks again (spec/director.md 10, W1, W8).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use homing_doveadm::{UserHash as ToldHash, ipc::Command};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant as TokioInstant, sleep, sleep_until},
};

use super::{Hub, logins::SETTLE_TIME};
use crate::director::{Director, core::UserHash};

/// Between two looks at whether the logins of a user can be reached by now: short at first, as most logins take no
/// time, and longer then, as many users may be moved at once.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a kick follows a login that it cannot reach: longer than logins take unless configured otherwise. The
/// director asks again for whom it moves.
const FOLLOW_TIME: Duration = Duration::from_secs(120);

/// Runs for ever. At most `parallel_max` kicks are with the login processes at one time.
pub(in crate::relay) async fn run(hub: Arc<Hub>, director: Director, parallel_max: usize) {
    let turns = Arc::new(Semaphore::new(parallel_max));
    let mut running = JoinSet::new();
    // Whether a user has to be kicked once more, as somebody wanted it meanwhile.
    let mut again: BTreeMap<UserHash, bool> = BTreeMap::new();
    let start = |running: &mut JoinSet<UserHash>, user| {
        let kick =
            Kick { hub: Arc::clone(&hub), director: director.clone(), turns: Arc::clone(&turns), user };
        running.spawn(kick.run());
    };
    loop {
        tokio::select! {
            user = director.foreign_kicked() => {
                if again.insert(user, again.contains_key(&user)).is_none() {
                    start(&mut running, user);
                }
            }
            Some(Ok(user)) = running.join_next() => {
                if again.remove(&user) == Some(true) {
                    again.insert(user, false);
                    start(&mut running, user);
                }
            }
        }
    }
}

struct Kick {
    hub: Arc<Hub>,
    director: Director,
    turns: Arc<Semaphore>,
    user: UserHash,
}

impl Kick {
    async fn run(self) -> UserHash {
        let asked = Instant::now();
        while self.once().await && self.is_meant(asked) {
            if !self.until_reachable(asked).await {
                break;
            }
        }
        self.user
    }

    /// Tells all login processes; false if some did not do it. Whoever can be reached goes at once; only if that is
    /// everybody it counts.
    async fn once(&self) -> bool {
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let (begun, reaches_all) = (Instant::now(), self.hub.reaches(self.user));
        let hash = ToldHash(self.user.number());
        let (count, is_complete) = self.hub.kick(None, &Command::KickHash { hash, except: None }).await;
        let user = self.user;
        tracing::debug!(target: "homing::relay", "ipc: user hash {user}: {count} sessions of login processes kicked");
        if is_complete
            && reaches_all
            && let Some(before) = begun.checked_sub(SETTLE_TIME)
        {
            self.director.end_foreign(user, before);
        }
        is_complete
    }

    /// True while sessions are left that were there when the kick was asked for. Who comes later is not meant.
    fn is_meant(&self, asked: Instant) -> bool {
        self.director.foreign_placed(self.user).is_some_and(|placed| placed < asked)
    }

    /// False if that takes too long.
    async fn until_reachable(&self, asked: Instant) -> bool {
        if let Some(placed) = self.director.foreign_placed(self.user) {
            sleep_until(TokioInstant::from_std(placed + SETTLE_TIME)).await;
        }
        let mut pause = LOOK_PAUSE;
        while !self.hub.reaches(self.user) && self.is_meant(asked) {
            if asked.elapsed() > FOLLOW_TIME {
                let user = self.user;
                tracing::warn!(target: "homing::relay", "ipc: user hash {user}: sessions of login processes cannot be reached");
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_PAUSE_MAX);
        }
        true
    }
}
