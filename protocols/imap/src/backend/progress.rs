//! How far the dialogue has come: the commands that wait for a reply, and the last reply
//! (spec/login-proxy.md 8.4). Knows no bytes.

use std::collections::BTreeSet;

/// What is sent to a backend, in the order in which log lines name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Command {
    Id,
    StartTls,
    Capability,
    Authenticate,
    AuthContinue,
    Login,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::StartTls => "starttls",
            Self::Capability => "capability",
            Self::Authenticate => "authenticate",
            Self::AuthContinue => "auth-continue",
            Self::Login => "login",
        }
    }
}

/// What a backend has sent last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Received {
    #[default]
    Nothing,
    Banner,
    Id,
    StartTls,
    Capability,
    AuthContinue,
    Login,
}

impl Received {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Banner => "banner",
            Self::Id => "id",
            Self::StartTls => "starttls",
            Self::Capability => "capability",
            Self::AuthContinue => "auth-continue",
            Self::Login => "login",
        }
    }
}

/// Commands waiting for a reply, and the last reply.
#[derive(Debug, Default)]
pub(super) struct Progress {
    waiting: BTreeSet<Command>,
    received: Received,
}

impl Progress {
    pub(super) fn sent(&mut self, command: Command) {
        self.waiting.insert(command);
    }

    /// True while no reply to `command` has come.
    pub(super) fn waits_for(&self, command: Command) -> bool {
        self.waiting.contains(&command)
    }

    /// Takes a reply; true if `command` waited for it.
    pub(super) fn received(&mut self, received: Received, command: Command) -> bool {
        self.received = received;
        self.waiting.remove(&command)
    }

    /// Takes the banner, which answers nothing.
    pub(super) fn greeted(&mut self) {
        self.received = Received::Banner;
    }

    /// True until the banner has come.
    pub(super) fn is_silent(&self) -> bool {
        self.received == Received::Nothing
    }

    /// `SENT/RECEIVED` for log lines.
    pub(super) fn name(&self) -> String {
        let waiting: Vec<_> = self.waiting.iter().map(|c| c.name()).collect();
        format!("{}/{}", waiting.join("+"), self.received.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_8_4_names() {
        let mut progress = Progress::default();
        assert!(progress.is_silent());
        assert_eq!(progress.name(), "/none");
        progress.greeted();
        progress.sent(Command::Login);
        progress.sent(Command::Id);
        progress.sent(Command::Capability);
        assert_eq!(progress.name(), "id+capability+login/banner");
        assert!(progress.received(Received::Id, Command::Id));
        assert!(!progress.received(Received::Id, Command::Id));
        assert_eq!(progress.name(), "capability+login/id");
        assert!(progress.waits_for(Command::Login) && !progress.waits_for(Command::Id));
    }
}
