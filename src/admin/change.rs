//! What an administrator wants done or looked up, and the one line that answers it (spec/director.md 6.2).

use std::{
    collections::BTreeMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use homing_doveadm::{
    director::{HostArgument, Refusal, Reply, Request, Scope, UserArgument, UserPlace, VHOSTS_MAX},
    ipc::Command,
};
use homing_wire::printable;

use super::{Access, ipc};
use crate::director::core::{Action, FlushId, Flushing, Operation, OperationError, Origin, UserHash};

/// Does it. Kicks and moves are answered when they have begun, a flush when all its users have been looked at. Our
/// kicks never wait for others, so `nowait` makes no difference.
pub(super) async fn perform(access: &Access, request: Request) -> Reply {
    let apply = |operation| reply(access.director.apply(Origin::Operator, operation).map(|_| ()));
    match request {
        Request::HostSet { host, vhosts } => set(access, host, vhosts),
        Request::HostUpdate { host, vhosts } => update(access, host, vhosts),
        Request::HostUp(ip) => apply(Operation::Up { ip }),
        Request::HostDown(ip) => apply(Operation::Down { ip }),
        Request::HostRemove(ip) => apply(Operation::RemoveHost { ip }),
        Request::HostFlush(scope) => flush(access, scope, Flushing::Forced).await,
        Request::HostResetUsers { scope, max_parallel } => {
            let parallel = max_parallel.map(NonZeroU32::get);
            flush(access, scope, Flushing::Safe { parallel }).await
        }
        Request::UserLookup { user, tag } => Reply::Place(look_up(access, &user, &tag)),
        Request::UserMove { user, host } => {
            let user = moved_user(access, &user);
            apply(Operation::MoveUser { user, ip: host })
        }
        Request::UserKick { user, .. } => {
            let whom = printable(user.as_bytes());
            kick(access, &whom, Command::Kick(vec![user])).await
        }
        Request::UserKickAlt { field, value, .. } => {
            let whom = format!("{}={}", printable(&field), printable(value.as_bytes()));
            kick(access, &whom, Command::KickAlt { field, values: vec![value] }).await
        }
        Request::UserKickHash { hash, .. } => {
            let whom = format!("user hash {hash}");
            kick(access, &whom, Command::KickHash { hash, except: None }).await
        }
        Request::DirectorAdd(_) => Reply::Refused(Refusal::Other("this director runs alone".to_owned())),
        Request::DirectorRemove(_) => Reply::NotFound,
        // These are answered with rows.
        Request::HostList
        | Request::HostListRemoved
        | Request::UserList(_)
        | Request::DirectorList
        | Request::Own(_) => Reply::TryAgain,
    }
}

/// An empty tag is none, as in the reference; a known backend keeps its tag then.
fn tag_of(host: &HostArgument) -> Option<Vec<u8>> {
    host.tag.clone().filter(|tag| !tag.is_empty())
}

/// The number is checked first, as in the reference.
fn set(access: &Access, host: HostArgument, vhosts: Option<u32>) -> Reply {
    if vhosts.is_some_and(|vhosts| vhosts > VHOSTS_MAX) {
        return Reply::Refused(Refusal::VhostsTooLarge);
    }
    let tag = tag_of(&host);
    let operation = Operation::AddHost { ip: host.ip, hostname: None, tag, vhosts };
    reply(access.director.apply(Origin::Operator, operation).map(|_| ()))
}

/// Unlike adding, this gives a known backend another tag (spec/director.md 10, W33).
fn update(access: &Access, host: HostArgument, vhosts: u32) -> Reply {
    if vhosts > VHOSTS_MAX {
        return Reply::Refused(Refusal::VhostsTooLarge);
    }
    let (ip, director) = (host.ip, &access.director);
    let retag = tag_of(&host)
        .map_or(Ok(()), |tag| director.apply(Origin::Operator, Operation::SetTag { ip, tag }).map(|_| ()));
    let weigh = || director.apply(Origin::Operator, Operation::SetVhosts { ip, vhosts }).map(|_| ());
    reply(retag.and_then(|()| weigh()))
}

/// The latest flush of each backend and of all, as long as it goes on: whoever waits for its end knows it by these.
#[derive(Debug, Default)]
pub(super) struct LatestFlushes(Mutex<BTreeMap<Option<IpAddr>, FlushId>>);

impl LatestFlushes {
    fn note(&self, access: &Access, scope: Scope, flush: FlushId) {
        // Few go on at one time, so this has few entries, too.
        let going_on = access.director.flushes();
        let mut flushes = self.lock();
        flushes.retain(|_, known| going_on.iter().any(|progress| progress.flush == *known));
        flushes.insert(scope.host(), flush);
    }

    /// The one to wait for.
    pub(super) fn of(&self, scope: Scope) -> Option<FlushId> {
        self.lock().get(&scope.host()).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<IpAddr>, FlushId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes on without the one who asked, should the connection end.
async fn flush(access: &Access, scope: Scope, flush: Flushing) -> Reply {
    let Ok(_place) = access.waiting.try_acquire() else { return Reply::TryAgain };
    let operation = match scope {
        Scope::All => Operation::FlushAll { tag: None, flush },
        Scope::Host(ip) => Operation::FlushHost { ip, flush },
    };
    let begun = access.director.apply(Origin::Operator, operation);
    let started = begun.as_ref().ok().and_then(|actions| {
        actions.iter().find_map(|action| match action {
            Action::FlushStarted { flush, .. } => Some(*flush),
            _ => None,
        })
    });
    if let Some(flush) = started {
        access.flushes.note(access, scope, flush);
        access.director.flush_walked(flush).await;
    }
    reply(begun.map(|_| ()))
}

/// doveadm sends names here.
fn look_up(access: &Access, user: &UserArgument, tag: &[u8]) -> UserPlace {
    let lookup = access.director.lookup(tag, user_of(access, user, tag));
    let current = lookup.current.map(|row| (row.ip, row.expires.unix_secs()));
    UserPlace { current, hashed: lookup.hashed, initial: lookup.initial }
}

/// A number may be a user's name all the same: it is one if such a user is mapped (spec/director.md 10, W23); else it is
/// the hash that lists of users show.
pub(super) fn user_of(access: &Access, user: &UserArgument, tag: &[u8]) -> UserHash {
    let named = access.director.hash(user.as_bytes());
    let is_mapped = || access.director.lookup(tag, named).current.is_some();
    match user.hash() {
        Some(number) if !is_mapped() => UserHash::from_number(number.0),
        _ => named,
    }
}

/// doveadm sends hashes here, which it has made itself.
pub(super) fn moved_user(access: &Access, user: &UserArgument) -> UserHash {
    let hash = user.hash().map(|hash| UserHash::from_number(hash.0));
    hash.unwrap_or_else(|| access.director.hash(user.as_bytes()))
}

/// Whoever is not there is as good as kicked. The answer comes when the sessions are told to end, those of other login
/// processes included.
async fn kick(access: &Access, whom: &str, command: Command) -> Reply {
    let own = ipc::kick_own(access, &command);
    let sessions = own.saturating_add(access.foreign.kick(None, &command).await);
    tracing::info!(
        target: "homing::admin", event = "kicked", origin = %Origin::Operator, sessions, reason = whom,
        "kick of {whom}: sessions told to end: {sessions}"
    );
    Reply::Ok
}

fn reply(outcome: Result<(), OperationError>) -> Reply {
    match outcome {
        Ok(()) => Reply::Ok,
        Err(OperationError::UnknownHost(_)) => Reply::NotFound,
        Err(OperationError::BeingMoved | OperationError::TooManyFlushes) => Reply::TryAgain,
        Err(OperationError::VhostsTooMany) => Reply::Refused(Refusal::VhostsTooLarge),
        Err(OperationError::TagDiffers) => Reply::Refused(Refusal::TagFixed),
        Err(other) => Reply::Refused(Refusal::Other(other.to_string())),
    }
}
