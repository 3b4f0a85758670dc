//! Calls for logins that wait. Users share a bell with few others, so that the end of one move does not wake everybody
//! who waits: a flush ends hundreds of moves in a second, while thousands wait.

use tokio::sync::watch;

use super::core::{Action, UserHash};

/// As many users wait at one time in a large flush that each bell has some dozens; 30 kB.
const BELLS: usize = 64;

/// The bells, by the hash of the user.
pub(super) struct Wakes(Vec<watch::Sender<()>>);

impl Wakes {
    pub(super) fn new() -> Self {
        Self((0..BELLS).map(|_| watch::Sender::new(())).collect())
    }

    /// Hears everything from now on that may end the waiting of a user.
    pub(super) fn of(&self, user: UserHash) -> watch::Receiver<()> {
        let bell = self.0.get(bell(user));
        // There is always one; a closed one would end the waiting.
        bell.map_or_else(|| watch::channel(()).1, watch::Sender::subscribe)
    }

    /// Rings where somebody may ask again.
    pub(super) fn ring(&self, actions: &[Action]) {
        let mut called = [false; BELLS];
        for action in actions {
            match action {
                Action::WakeAll => called = [true; BELLS],
                Action::Wake { user } => called.get_mut(bell(*user)).into_iter().for_each(|it| *it = true),
                _ => {}
            }
        }
        for (bell, _) in self.0.iter().zip(called).filter(|(_, called)| *called) {
            bell.send_replace(());
        }
    }

    /// Logins that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.0.iter().map(watch::Sender::receiver_count).sum()
    }
}

/// Hashes are spread evenly.
fn bell(user: UserHash) -> usize {
    user.number() as usize % BELLS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_hears_what_is_meant_for_the_user_and_for_all() {
        let wakes = Wakes::new();
        let user = UserHash::from_number(7);
        let mut heard = wakes.of(user);
        let mut told = |actions: &[Action]| {
            wakes.ring(actions);
            let is_told = heard.has_changed().unwrap();
            heard.mark_unchanged();
            is_told
        };
        let wake = |number| Action::Wake { user: UserHash::from_number(number) };
        assert!(told(&[wake(8), wake(7)]) && told(&[Action::WakeAll]));
        assert!(!told(&[wake(8)]) && !told(&[]));
        assert_eq!(wakes.waiting(), 1);
    }
}
