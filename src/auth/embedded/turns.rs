//! Whose password is verified next. Verifying takes a core and much memory for a moment, and anybody may ask for it:
//! one address must not use up all of it. Knows no passwords.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Passwords verified at one time. Some hashes are made to take tens of megabytes and a whole core for a moment: more
/// at once would only fill the memory.
const VERIFICATIONS_MAX: usize = 8;

/// Of those, for one address: half, so that a webmail server is fast enough and an attacker leaves the others room.
const VERIFICATIONS_PER_ADDRESS_MAX: usize = 4;

/// Addresses remembered without need. Beyond it, those that nobody waits for are forgotten.
const IDLE_ADDRESSES_MAX: usize = 1024;

/// The right to verify, until dropped.
pub(super) type Turn = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Gives out turns.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    by_address: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(VERIFICATIONS_MAX)), by_address: Mutex::default() }
    }

    /// Waits for a turn: in order among the requests of an address, and then among those of all.
    pub(super) async fn next(&self, client: IpAddr) -> Option<Turn> {
        let own = self.of(client).acquire_owned().await.ok()?;
        let any = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some((own, any))
    }

    fn of(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() > IDLE_ADDRESSES_MAX {
            // Whoever has a turn or waits for one holds a reference.
            by_address.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let new = || Arc::new(Semaphore::new(VERIFICATIONS_PER_ADDRESS_MAX));
        Arc::clone(by_address.entry(network(client)).or_insert_with(new))
    }
}

/// With IPv6 the /64 counts: that is what one customer has at least.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context, task::Waker};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn waits<T>(future: impl Future<Output = T>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_others() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for n in 0..VERIFICATIONS_PER_ADDRESS_MAX {
            taken.push(turns.next(ip(&format!("2001:db8::{n}"))).await.unwrap());
        }
        assert!(waits(turns.next(ip("2001:db8::ffff"))), "the same network");
        for _ in VERIFICATIONS_PER_ADDRESS_MAX..VERIFICATIONS_MAX {
            taken.push(turns.next(ip("192.0.2.1")).await.unwrap());
        }
        assert!(waits(turns.next(ip("192.0.2.2"))), "all are taken");
        taken.clear();
        assert!(!waits(turns.next(ip("2001:db8::ffff"))));
    }

    #[tokio::test]
    async fn addresses_are_forgotten_but_not_their_turns() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..VERIFICATIONS_PER_ADDRESS_MAX {
            taken.push(turns.next(ip("192.0.2.1")).await.unwrap());
        }
        for n in 0..10_000_u32 {
            drop(turns.next(IpAddr::from((n + 0x0a00_0000).to_be_bytes())).await);
        }
        assert!(turns.by_address.lock().unwrap().len() <= IDLE_ADDRESSES_MAX + 1);
        assert!(waits(turns.next(ip("192.0.2.1"))));
    }
}
