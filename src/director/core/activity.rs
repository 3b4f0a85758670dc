//! What a drain has to know of sessions beside that they live: whether now is a moment to end one. Told like the time,
//! by whoever sees the bytes.

use super::{Moment, SessionKey};

/// How busy sessions are.
pub trait Activity {
    /// Since when nothing has moved in a session whose client has been answered, as far as one can see: it is between
    /// two commands. `None`: in the middle of something, as a login in progress is.
    fn quiet_since(&self, session: SessionKey) -> Option<Moment>;
}

/// Sessions of which nothing is known count as quiet.
#[derive(Debug, Clone, Copy)]
pub struct AllQuiet;

impl Activity for AllQuiet {
    fn quiet_since(&self, _: SessionKey) -> Option<Moment> {
        Some(Moment::default())
    }
}
