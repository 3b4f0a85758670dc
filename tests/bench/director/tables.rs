//! The tables alone, without clock, lock and runtime, on one core.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use homing::director::core::{
    Core, Host, Moment, Naming, Rules, SessionKey, Table, UserHash, UsernameFormat,
};
use serde_json::{Value, json};

use super::numbers::{once, per_call};

/// Backends.
const HOSTS: u8 = 50;
/// Calls in a round of a measurement.
const CALLS: u32 = 1_000_000;
/// Seed of the order in which users come.
const SEED: u64 = 1;

/// Everything there is to know about tables of so many users.
pub fn measure(users: u32) -> Value {
    let now = Moment::from_millis(1_700_000_000_000);
    let mut core = Core::new(now, table());
    let new = once("placement of a new user", users, || {
        for n in 0..users {
            let session = core.place(now, b"", user(n)).unwrap().session;
            core.release(now, session);
        }
    });
    let user_bytes = core.user_bytes() as f64 / f64::from(users);
    eprintln!("{:<58} {user_bytes:>7.1} bytes", "a user without session");
    let mut state = SEED;
    let mut anybody = || {
        // Constants of Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        user((state >> 33) as u32 % users)
    };
    let few = per_call("placement and end, known user, no other session", CALLS, || {
        for _ in 0..CALLS {
            let session = core.place(now, b"", anybody()).unwrap().session;
            core.release(now, session);
        }
    });
    let mut live: VecDeque<SessionKey> = VecDeque::new();
    let growing = once("placement, known user, sessions grow to one for each", users, || {
        live.extend((0..users).map(|n| core.place(now, b"", user(n)).unwrap().session));
    });
    let session_bytes = core.session_bytes() as f64 / f64::from(users);
    eprintln!("{:<58} {session_bytes:>7.1} bytes", "a session");
    let many = per_call("placement and end, known user, all users have sessions", CALLS, || {
        for _ in 0..CALLS {
            let session = core.place(now, b"", anybody()).unwrap().session;
            core.release(now, session);
        }
    });
    let churn = per_call("placement and end of the oldest session, as many others", CALLS, || {
        for _ in 0..CALLS {
            live.push_back(core.place(now, b"", anybody()).unwrap().session);
            core.release(now, live.pop_front().unwrap());
        }
    });
    assert_eq!(core.session_count(), users as usize);
    json!({
        "bytes_per_user": user_bytes,
        "bytes_per_session": session_bytes,
        "place_and_release_new_user": new,
        "place_and_release_known_user_few_sessions": few,
        "place_known_user_while_sessions_grow": growing,
        "place_and_release_known_user_many_sessions": many,
        "place_and_release_oldest_many_sessions": churn,
    })
}

/// Hashes are spread as those of names are.
pub fn user(n: u32) -> UserHash {
    UserHash::from_number(n.wrapping_mul(2_654_435_761))
}

pub fn table() -> Table {
    let naming = Naming { format: UsernameFormat::parse("%Lu").unwrap(), master_user_separator: None };
    let rules = Rules {
        naming,
        expire: Duration::from_secs(900),
        kick_delay: Duration::from_secs(2),
        moves_max: NonZeroU32::new(100).unwrap(),
        flush_program: false,
    };
    let host = |n| Host::new([10, 1, 0, n].into(), None, Vec::new());
    Table { hosts: (1..=HOSTS).map(host).collect(), rules }
}
