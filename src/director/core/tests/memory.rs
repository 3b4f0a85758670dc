//! What a million users cost, and that no call does the work of many.

use super::*;

/// Bytes per user without session, everything included.
const USER_BYTES_MAX: usize = 64;
/// Bytes per session in these tables.
const SESSION_BYTES_MAX: usize = 32;

fn user(n: u32) -> UserHash {
    UserHash::from_number(n.wrapping_mul(2_654_435_761))
}

fn core_with_users(users: u32) -> (Core, Moment) {
    let now = Moment::from_millis(1_700_000_000_000);
    let hosts: Vec<_> = (1..=50).map(|n| format!("10.1.0.{n}=100")).collect();
    let mut core = Core::new(now, table(&hosts.join(",")));
    for n in 1..=users {
        let session = core.place(now, b"", user(n)).unwrap().session;
        core.release(now, session);
    }
    assert_eq!(core.user_count(), users as usize);
    (core, now)
}

#[test]
fn a_million_users_take_64_bytes_each_and_leave_in_small_steps() {
    const USERS: u32 = 1_000_000;
    let (mut core, now) = core_with_users(USERS);
    let bytes = core.user_bytes();
    println!("{} bytes per user at {USERS} users", bytes as f64 / f64::from(USERS));
    assert!(bytes <= USER_BYTES_MAX * USERS as usize, "{bytes}");
    let end = now.after(Duration::from_secs(EXPIRE_SECS));
    let before = core.user_count();
    core.step(end);
    assert_eq!(core.user_count(), before - STEP_USERS_MAX);
    assert_eq!(core.next_step(), Some(end), "there is more to do");
    assert!(core.lookup(end, b"", user(USERS)).current.is_none(), "what waits to be taken out means nothing");
    assert_eq!(core.users(end, UserCursor::default(), usize::MAX), (Vec::new(), None));
}

/// The index is emptiest just after it has grown, here at 256 * 448 users.
#[test]
fn users_stay_small_after_the_growth_of_the_index() {
    const USERS: u32 = 118_000;
    let bytes = core_with_users(USERS).0.user_bytes();
    println!("{} bytes per user at {USERS} users", bytes as f64 / f64::from(USERS));
    assert!(bytes <= USER_BYTES_MAX * USERS as usize, "{bytes}");
}

#[test]
fn sessions_are_small() {
    const SESSIONS: u32 = 100_000;
    let now = Moment::from_millis(1_700_000_000_000);
    let mut core = Core::new(now, table(THREE));
    let sessions: Vec<_> =
        (0..SESSIONS).map(|n| core.place(now, b"", user(n / 2)).unwrap().session).collect();
    assert!(core.session_bytes() <= SESSION_BYTES_MAX * SESSIONS as usize, "{}", core.session_bytes());
    let places: std::collections::BTreeSet<_> = sessions.iter().map(|session| session.place()).collect();
    assert_eq!((places.len(), places.last().copied()), (sessions.len(), Some(sessions.len() - 1)));
    assert!(size_of::<SessionKey>() <= 24);
    assert!(size_of::<Option<users::User>>() <= 48);
}

/// A change of the backends walks over nobody, a flush over a bounded number at a time, and others log in meanwhile.
#[test]
fn dr_63_a_flush_of_many_users_goes_in_small_steps() {
    const USERS: u32 = 50_000;
    let (mut core, now) = core_with_users(USERS);
    let later = now.after(Duration::from_secs(60));
    let operator = |core: &mut Core, operation| core.apply(later, Origin::Operator, operation).unwrap();
    operator(&mut core, Operation::SetVhosts { ip: ip("10.1.0.1"), vhosts: 0 });
    let there = core.backend_rows()[0].users;
    assert!(there > 500, "{there}");
    let flush = Flushing::Safe { parallel: Some(1) };
    let mut actions = operator(&mut core, Operation::FlushHost { ip: ip("10.1.0.1"), flush });
    let mut steps = 0;
    while core.next_step() == Some(later) {
        let step = core.step(later);
        assert!(step.len() <= 4 * STEP_USERS_MAX, "{}", step.len());
        actions.extend(step);
        steps += 1;
        let session = core.place(later, b"", user(steps)).unwrap().session;
        core.release(later, session);
    }
    assert!(steps as usize >= there / STEP_USERS_MAX, "{steps}");
    assert!(matches!(actions.last(), Some(Action::FlushEnded { .. })), "{:?}", actions.last());
    assert_eq!(core.backend_rows()[0].users, 0);
    assert_eq!(core.contradictions(), Vec::<String>::new());
}

#[test]
fn a_list_in_pages_has_every_user_once() {
    let (core, now) = core_with_users(10_000);
    let (mut seen, mut next) = (std::collections::BTreeSet::new(), Some(UserCursor::default()));
    while let Some(from) = next {
        let (rows, after) = core.users(now, from, 999);
        assert!(rows.len() <= 999);
        assert!(rows.iter().all(|row| seen.insert(row.user)));
        next = after;
    }
    assert_eq!(seen.len(), 10_000);
}
