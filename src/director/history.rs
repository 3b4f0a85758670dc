//! What happened lately, for people who ask why a user is where they are. Fed with what the core tells, in rings of
//! fixed size. A login of a user who is mapped leaves nothing here.

use std::{collections::VecDeque, net::IpAddr};

use super::core::{Action, Cause, DrainState, Host, Moment, Origin, UserHash, UserKey};

/// New mappings that are remembered; beside the other events, so that a storm of logins does not wash those away.
/// 1 MiB.
pub const HISTORY_PLACED_MAX: usize = 16 * 1024;
/// Moves, kicks and the like that are remembered: 3 MiB, and twice the users of a full backend.
pub const HISTORY_USERS_MAX: usize = 48 * 1024;
/// Events of backends that are remembered: half a MiB, and more than an operator reads.
pub const HISTORY_HOSTS_MAX: usize = 4 * 1024;
/// Events that one answer has at most, the latest ones.
pub const HISTORY_SHOWN_MAX: usize = 100;

/// Something that happened to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When.
    pub at: Moment,
    /// To whom.
    pub user: UserKey,
    /// What.
    pub event: UserEvent,
}

/// What can happen to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserEvent {
    /// The user has a new mapping: by the first login, or since somebody said so.
    Placed {
        /// Where.
        ip: IpAddr,
        /// Why there.
        cause: Cause,
    },
    /// A move began; sessions were kicked.
    MoveStarted {
        /// Where they were.
        from: IpAddr,
        /// `None`: nowhere.
        to: Option<IpAddr>,
        /// How many.
        sessions: u32,
        /// Why.
        cause: Cause,
    },
    /// It is complete. The only event of a move that ended as soon as it began.
    MoveEnded {
        /// Where the user was.
        from: IpAddr,
        /// `None`: nowhere, the mapping is forgotten.
        to: Option<IpAddr>,
        /// Why.
        cause: Cause,
    },
    /// Sessions did not end in time; the move went on waiting.
    Stuck {
        /// Where they are.
        ip: IpAddr,
        /// How many.
        sessions: u32,
    },
    /// Sessions were ended; the mapping stayed.
    Kicked {
        /// Where they were.
        ip: IpAddr,
        /// How many.
        sessions: u32,
        /// Who wanted it.
        origin: Origin,
    },
}

/// Something that happened to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEntry {
    /// When.
    pub at: Moment,
    /// To which one.
    pub ip: IpAddr,
    /// What.
    pub event: HostEvent,
}

/// What can happen to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEvent {
    /// It came.
    Added {
        /// Who added it.
        origin: Origin,
    },
    /// It is different.
    Changed {
        /// As it was.
        before: HostLook,
        /// As it is.
        after: HostLook,
        /// Who changed it.
        origin: Origin,
    },
    /// It is gone.
    Removed {
        /// Users whose sessions stayed until they ended.
        users: usize,
        /// Who removed it.
        origin: Origin,
    },
    /// A forced flush.
    Forgotten {
        /// Mappings without session.
        users: usize,
        /// Users whose sessions stayed until they ended.
        staying: usize,
        /// Who wanted it.
        origin: Origin,
    },
    /// A drain began.
    DrainStarted {
        /// Who wanted it.
        origin: Origin,
    },
    /// A drain did something else from then on.
    Drain(DrainState),
}

/// What changes about a backend while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLook {
    /// Up or down.
    pub up: bool,
    /// Weight.
    pub vhosts: u32,
}

/// The rings.
#[derive(Debug)]
pub(super) struct History {
    placed: Last<HistoryEntry>,
    users: Last<HistoryEntry>,
    hosts: Last<HostEntry>,
}

impl History {
    pub(super) const fn new() -> Self {
        Self {
            placed: Last::new(HISTORY_PLACED_MAX),
            users: Last::new(HISTORY_USERS_MAX),
            hosts: Last::new(HISTORY_HOSTS_MAX),
        }
    }

    /// A login made a mapping.
    pub(super) fn note_placed(&mut self, at: Moment, user: UserKey, ip: IpAddr, cause: Cause) {
        self.placed.add(HistoryEntry { at, user, event: UserEvent::Placed { ip, cause } });
    }

    /// Notes what of these is worth it.
    pub(super) fn note(&mut self, at: Moment, actions: &[Action]) {
        for action in actions {
            if let Some((user, event)) = user_event(action) {
                self.users.add(HistoryEntry { at, user, event });
            } else if let Some((ip, event)) = host_event(action) {
                self.hosts.add(HostEntry { at, ip, event });
            }
        }
    }

    /// What happened to a user under all tags, oldest first.
    pub(super) fn of_user(&self, hash: UserHash) -> Vec<HistoryEntry> {
        let is_theirs = |entry: &HistoryEntry| entry.user.hash() == hash;
        let mut entries = self.placed.latest(is_theirs);
        entries.extend(self.users.latest(is_theirs));
        // Stable: what happened in the same millisecond stays in order within its ring.
        entries.sort_by_key(|entry| entry.at);
        entries.drain(..entries.len().saturating_sub(HISTORY_SHOWN_MAX));
        entries
    }

    /// What happened to a backend, oldest first.
    pub(super) fn of_host(&self, ip: IpAddr) -> Vec<HostEntry> {
        self.hosts.latest(|entry| entry.ip == ip)
    }
}

/// The last ones of something.
#[derive(Debug)]
struct Last<T> {
    entries: VecDeque<T>,
    most: usize,
}

impl<T: Copy> Last<T> {
    const fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most }
    }

    fn add(&mut self, entry: T) {
        if self.entries.len() >= self.most {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The latest that fit, oldest first.
    fn latest(&self, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let found = self.entries.iter().rev().filter(|entry| fits(entry)).take(HISTORY_SHOWN_MAX);
        let mut found: Vec<_> = found.copied().collect();
        found.reverse();
        found
    }
}

fn user_event(action: &Action) -> Option<(UserKey, UserEvent)> {
    Some(match *action {
        // A user without session is moved in a moment: one event is enough.
        Action::MoveStarted(m) if m.sessions > 0 => {
            let (from, to, sessions, cause) = (m.from, m.to, m.sessions, m.cause);
            (m.user, UserEvent::MoveStarted { from, to, sessions, cause })
        }
        Action::MoveEnded(m) => (m.user, UserEvent::MoveEnded { from: m.from, to: m.to, cause: m.cause }),
        Action::Stuck { user, ip, sessions } => (user, UserEvent::Stuck { ip, sessions }),
        Action::UserKicked { user, ip, sessions, origin } => {
            (user, UserEvent::Kicked { ip, sessions, origin })
        }
        Action::UserMapped { user, ip, cause } => (user, UserEvent::Placed { ip, cause }),
        _ => return None,
    })
}

fn host_event(action: &Action) -> Option<(IpAddr, HostEvent)> {
    let look = |host: &Host| HostLook { up: host.up, vhosts: host.vhosts };
    Some(match action {
        Action::HostAdded { host, origin } => (host.ip, HostEvent::Added { origin: *origin }),
        Action::HostChanged { before, after, origin } => {
            (after.ip, HostEvent::Changed { before: look(before), after: look(after), origin: *origin })
        }
        Action::HostRemoved { ip, users, origin } => {
            (*ip, HostEvent::Removed { users: *users, origin: *origin })
        }
        Action::UsersForgotten { ip, users, staying, origin } => {
            (*ip, HostEvent::Forgotten { users: *users, staying: *staying, origin: *origin })
        }
        Action::DrainStarted { ip, origin } => (*ip, HostEvent::DrainStarted { origin: *origin }),
        Action::DrainChanged { ip, state } => (*ip, HostEvent::Drain(*state)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::director::core::Movement;

    fn key(number: u32) -> UserKey {
        UserKey::of_hash(UserHash::from_number(number))
    }

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 1, 0, n])
    }

    fn movement(user: u32, sessions: u32) -> Movement {
        let cause = Cause::Moved(Origin::Operator);
        Movement { user: key(user), from: ip(1), to: Some(ip(2)), sessions, cause }
    }

    #[test]
    fn entries_are_a_few_dozen_bytes_and_their_number_is_bounded() {
        assert!(size_of::<HistoryEntry>() <= 64 && size_of::<HostEntry>() <= 80);
        let mut history = History::new();
        for n in 0..HISTORY_PLACED_MAX as u32 + 5 {
            history.note_placed(at(u64::from(n)), key(n), ip(1), Cause::Hashed);
        }
        let moves = vec![Action::MoveEnded(movement(1, 0)); 1000];
        for n in 0..HISTORY_USERS_MAX as u64 / 1000 + 2 {
            history.note(at(n), &moves);
        }
        let changes =
            vec![Action::DrainStarted { ip: ip(1), origin: Origin::Operator }; HISTORY_HOSTS_MAX + 1];
        history.note(at(1), &changes);
        assert_eq!(history.placed.entries.len(), HISTORY_PLACED_MAX);
        assert_eq!(history.users.entries.len(), HISTORY_USERS_MAX);
        assert_eq!(history.hosts.entries.len(), HISTORY_HOSTS_MAX);
        assert_eq!(history.of_user(key(4).hash()), [], "the oldest go first");
        assert_eq!(history.of_user(key(5).hash()).len(), 1);
        assert_eq!(history.of_user(key(1).hash()).len(), HISTORY_SHOWN_MAX);
        assert_eq!(history.of_host(ip(1)).len(), HISTORY_SHOWN_MAX);
    }

    /// Moves of users without session end as they begin.
    #[test]
    fn a_move_without_sessions_is_one_event() {
        let mut history = History::new();
        history.note(at(1), &[Action::MoveStarted(movement(1, 0)), Action::MoveEnded(movement(1, 0))]);
        history.note(at(2), &[Action::MoveStarted(movement(2, 3)), Action::MoveEnded(movement(2, 0))]);
        assert_eq!(history.of_user(key(1).hash()).len(), 1);
        assert_eq!(history.of_user(key(2).hash()).len(), 2);
    }

    #[test]
    fn events_of_both_rings_are_told_in_order() {
        let mut history = History::new();
        history.note(at(1), &[Action::MoveEnded(movement(1, 0))]);
        history.note_placed(at(2), key(1), ip(1), Cause::Hashed);
        history.note(at(3), &[Action::MoveEnded(movement(1, 0))]);
        let times: Vec<_> = history.of_user(key(1).hash()).iter().map(|entry| entry.at.millis()).collect();
        assert_eq!(times, [1, 2, 3]);
    }
}
