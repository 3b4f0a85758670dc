//! What logins see of backends, for whoever wants to hear it, and whose fault a failed connect is. It does not know
//! who listens.

use std::{io, net::SocketAddr, sync::Arc};

use homing_login::Service;

/// Hears how backends fare in real logins; called by every login, so it must be quick.
pub type Watcher = Arc<dyn Fn(&Sighting<'_>) + Send + Sync>;

/// One login has seen a backend.
#[derive(Debug)]
pub struct Sighting<'a> {
    /// The backend, and the port that the auth service has chosen.
    pub address: SocketAddr,
    /// For which protocol.
    pub service: Service,
    /// How it was.
    pub sight: Sight<'a>,
}

/// How a backend was.
#[derive(Debug)]
pub enum Sight<'a> {
    /// It took the connection.
    Connected,
    /// It did not.
    Unreachable(&'a io::Error),
    /// It let the user in.
    LoggedIn,
}

/// True if a connect failed for a reason on this machine: it says nothing about the backend.
pub fn is_fault_of_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const OURS: &[Errno] = &[
        Errno::ADDRNOTAVAIL,
        Errno::ADDRINUSE,
        Errno::AFNOSUPPORT,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::ACCESS,
        Errno::PERM,
    ];
    error.raw_os_error().is_some_and(|raw| OURS.iter().any(|ours| ours.raw_os_error() == raw))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_lacks_here_is_no_fault_of_the_backend() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for ours in [Errno::MFILE, Errno::ADDRNOTAVAIL, Errno::NETUNREACH] {
            assert!(is_fault_of_ours(&error(ours)), "{ours}");
        }
        for theirs in [Errno::CONNREFUSED, Errno::TIMEDOUT, Errno::HOSTUNREACH, Errno::CONNRESET] {
            assert!(!is_fault_of_ours(&error(theirs)), "{theirs}");
        }
    }
}
