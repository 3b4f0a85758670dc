//! What numbers are told apart by. Every label is an enumeration, so that nothing a peer or an operator says can add a
//! row: no names of users, no addresses.

use homing_login::Service;

/// A set of values that a number may be told apart by.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Its values.
    const ALL: &'static [Self];

    /// Place in [`Label::ALL`].
    fn index(self) -> usize;

    /// As shown.
    fn text(self) -> &'static str;
}

/// One `T` for each value of a label.
#[derive(Debug)]
pub struct By<L, T> {
    first: T,
    others: Vec<T>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label, T: Default> Default for By<L, T> {
    fn default() -> Self {
        let others = L::ALL.iter().skip(1).map(|_| T::default()).collect();
        Self { first: T::default(), others, label: std::marker::PhantomData }
    }
}

impl<L: Label, T> By<L, T> {
    /// That of one value.
    pub fn of(&self, label: L) -> &T {
        let behind = label.index().checked_sub(1);
        behind.and_then(|index| self.others.get(index)).unwrap_or(&self.first)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (L, &T)> {
        L::ALL.iter().map(|label| (*label, self.of(*label)))
    }
}

impl Label for Service {
    const NAME: &'static str = "protocol";
    const ALL: &'static [Self] = &[Self::Imap, Self::Pop3, Self::Sieve];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        self.auth_name()
    }
}

macro_rules! labels {
    ($($(#[$about:meta])* $name:ident $key:literal { $($(#[$what:meta])* $value:ident $text:literal)* })*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$what])* $value),* }

        impl Label for $name {
            const NAME: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$value => $text),* }
            }
        }
    )* };
}

labels! {
    /// What came of an attempt to log in.
    LoginResult "result" {
        /// The backend accepted.
        Ok "ok"
        /// The auth service refused: wrong password, disabled user.
        AuthFailed "auth_failed"
        /// The auth service could not tell.
        TempFail "temp_fail"
        /// Not asked: no password without TLS, or a mechanism that is not on offer.
        Disallowed "disallowed"
        /// The auth service accepted, but its reply cannot be followed.
        Refused "refused"
        /// The director had no usable backend in time.
        NoHost "no_host"
        /// The director was moving the user for too long.
        Moving "moving"
        /// The backend could not be reached or did not behave.
        BackendFailed "backend_failed"
        /// The backend refused the user.
        BackendRefused "backend_refused"
        /// Ended by the director or by a person.
        Kicked "kicked"
        /// The client gave up or left, or the program stopped.
        Aborted "aborted"
    }
    /// What a login spends its time with. The wait for the director is counted by [`WaitReason`].
    LoginPhase "phase" {
        /// The TLS handshake with the client.
        Tls "tls"
        /// The auth service's turns.
        Auth "auth"
        /// Connecting to the backend.
        Connect "connect"
        /// TLS and login at the backend.
        BackendLogin "backend_login"
    }
    /// Where a session is.
    SessionPhase "phase" {
        /// Nothing is under way.
        Connected "connected"
        /// TLS handshake.
        Tls "tls"
        /// The auth service has been asked.
        Auth "auth"
        /// The director has been asked.
        Director "director"
        /// The backend is logged in to.
        Backend "backend"
        /// Logged in.
        Forwarding "forwarding"
    }
    /// Why a login waited for its backend.
    WaitReason "reason" {
        /// It did not.
        None "none"
        /// No usable backend with the tag.
        NoHost "no_host"
        /// The user was being moved and old sessions had not ended.
        Moved "moved"
        /// The flush program ran.
        FlushProgram "flush_program"
        /// `director_user_kick_delay`.
        KickDelay "kick_delay"
    }
    /// Why a connection was not served.
    Refusal "reason" {
        /// All places are taken by users who are logged in.
        ClientLimit "client_limit"
        /// Told to go before login, since a newer connection needed the place.
        Evicted "evicted"
        /// The sender is not in `haproxy_trusted_networks`.
        ProxyUntrusted "haproxy_untrusted"
        /// The PROXY header was wrong or late.
        ProxyHeader "haproxy_header"
    }
    /// Why a logged-in session ended.
    SessionEnd "reason" {
        /// The client closed or broke.
        Client "client"
        /// The backend did.
        Server "server"
        /// The director moved or kicked the user.
        Director "kicked_by_director"
        /// A person kicked the session.
        Admin "kicked_by_admin"
        /// The program stopped, or a reload ended sessions.
        Shutdown "shutdown"
    }
    /// Why an attempt at a backend failed.
    BackendFailure "cause" {
        /// No connection.
        Connect "connect"
        /// Known to be down, so not tried.
        HostDown "host_down"
        /// The time limit.
        TimedOut "timed_out"
        /// The connection ended, or TLS failed.
        Disconnected "disconnected"
        /// The backend refused the user.
        Refused "refused"
        /// The backend did not speak as it should.
        Protocol "protocol"
    }
    /// What the auth service said.
    AuthResult "result" {
        /// Accepted.
        Ok "ok"
        /// Refused.
        Fail "fail"
        /// It could not tell.
        TempFail "temp_fail"
        /// It went away, did not answer in time, or could not be asked.
        Lost "lost"
    }
    /// Why a user was moved.
    MoveCause "cause" {
        /// A move of this user.
        Move "move"
        /// The backend was flushed.
        Flush "flush"
        /// The backend was drained.
        Drain "drain"
        /// Anything else.
        Other "other"
    }
    /// Who wanted a change.
    ChangeOrigin "origin" {
        /// The configuration file.
        Configuration "configuration"
        /// A person.
        Operator "operator"
        /// A health check.
        Health "health"
        /// An earlier run.
        Restored "restored"
        /// Nobody: the ring.
        Ring "ring"
    }
    /// What was changed about a backend.
    HostChange "change" {
        /// New.
        Added "added"
        /// Up or down, vhosts, tag, name.
        Changed "changed"
        /// Gone.
        Removed "removed"
    }
    /// What came of a reload.
    ReloadResult "result" {
        /// The new configuration is in use.
        Ok "ok"
        /// The old one stays.
        Refused "refused"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_consistent<L: Label>() {
        for (at, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), at, "{} {}", L::NAME, label.text());
        }
        let mut texts: Vec<_> = L::ALL.iter().map(|label| label.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), L::ALL.len(), "{}", L::NAME);
    }

    #[test]
    fn every_value_has_its_own_row() {
        is_consistent::<Service>();
        is_consistent::<LoginResult>();
        is_consistent::<WaitReason>();
        let by = By::<WaitReason, std::cell::Cell<u32>>::default();
        by.of(WaitReason::KickDelay).set(1);
        by.of(WaitReason::None).set(2);
        let rows: Vec<_> = by.iter().map(|(label, cell)| (label.text(), cell.get())).collect();
        assert_eq!(
            rows,
            [("none", 2), ("no_host", 0), ("moved", 0), ("flush_program", 0), ("kick_delay", 1)]
        );
    }
}
