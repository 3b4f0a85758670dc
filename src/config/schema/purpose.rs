//! What the listeners of the director's services are for: their names say it (spec/director.md 0.1, 5.6).

use crate::config::grammar::Block;

/// What somebody who connects wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `doveadm director`.
    Admin,
    /// `doveadm proxy`.
    Ipc,
    /// Another director.
    Ring,
    /// A login process, LMTP or another service of Dovecot asks for a user's backend.
    Question,
    /// A login process of Dovecot that can be told to end sessions.
    LoginProcess,
    /// Something that is not served.
    Other,
}

/// The purpose of a listener of `service director` or `service ipc`.
pub(crate) fn purpose(service: &str, listener: &Block) -> Purpose {
    let file = listener.name.rsplit('/').next().unwrap_or_default();
    let suffix = file.rsplit('-').next().unwrap_or_default();
    match (service, listener.kind.as_str(), suffix) {
        ("director", "unix_listener" | "inet_listener", "admin" | "doveadm") => Purpose::Admin,
        ("director", "inet_listener", suffix)
            if !matches!(suffix, "auth" | "userdb" | "authreply" | "notify") =>
        {
            Purpose::Ring
        }
        ("director", "unix_listener", "ring") => Purpose::Ring,
        ("director", "unix_listener" | "fifo_listener", _) => Purpose::Question,
        ("ipc", "unix_listener", "ipc" | "client") => Purpose::Ipc,
        ("ipc", "unix_listener", "proxy") => Purpose::LoginProcess,
        _ => Purpose::Other,
    }
}
