//! The three mail protocols as far as a load test needs them: names, final lines, the commands that only
//! `homing bench backend` knows. No sockets.

use clap::ValueEnum;

/// A mail protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
    /// RFC 5804.
    Sieve,
}

/// `XDOWN n`: n bytes come, then the final line.
pub(super) const DOWN: &str = "XDOWN";
/// `XUP n`, then n bytes: the final line comes.
pub(super) const UP: &str = "XUP";
/// `XECHO text`: the whole line comes back.
pub(super) const ECHO: &str = "XECHO";

impl Protocol {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Imap, Self::Pop3, Self::Sieve];

    /// The name that auth services know it by.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Sieve => "sieve",
        }
    }

    /// A command line: IMAP's has a tag in front.
    pub(super) fn command(self, tag: &str, rest: &str) -> String {
        match self {
            Self::Imap => format!("{tag} {rest}\r\n"),
            Self::Pop3 | Self::Sieve => format!("{rest}\r\n"),
        }
    }

    /// The last line of a positive answer to the command with that tag.
    pub(super) fn done(self, tag: &str) -> String {
        match self {
            Self::Imap => format!("{tag} OK done\r\n"),
            Self::Pop3 => "+OK done\r\n".to_owned(),
            Self::Sieve => "OK \"done\"\r\n".to_owned(),
        }
    }

    /// What is said to a command that is unknown or out of place.
    pub(super) fn refused(self, tag: &str) -> String {
        match self {
            Self::Imap if tag.is_empty() => "* BAD not here\r\n".to_owned(),
            Self::Imap => format!("{tag} BAD not here\r\n"),
            Self::Pop3 => "-ERR not here\r\n".to_owned(),
            Self::Sieve => "NO \"not here\"\r\n".to_owned(),
        }
    }

    /// Whether a line ends the answer to the command with that tag, and how. An IMAP greeting is the answer to
    /// the tag `*`.
    pub(super) fn verdict(self, tag: &str, line: &str) -> Option<Verdict> {
        let text = match self {
            Self::Imap => line.strip_prefix(tag)?.strip_prefix(' ')?,
            Self::Pop3 | Self::Sieve => line,
        };
        let word = text.split([' ', '\r', '\n']).next().unwrap_or_default().to_ascii_uppercase();
        match (self, word.as_str()) {
            (Self::Imap | Self::Sieve, "OK") | (Self::Pop3, "+OK") => Some(Verdict::Good),
            (Self::Imap, "NO" | "BAD" | "BYE") | (Self::Pop3, "-ERR") | (Self::Sieve, "NO" | "BYE") => {
                Some(Verdict::Bad)
            }
            _ => None,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Done.
    Good,
    /// Refused.
    Bad,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_understood_as_done() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.verdict("a", &protocol.done("a")), Some(Verdict::Good), "{protocol:?}");
            assert_eq!(protocol.verdict("a", &protocol.refused("a")), Some(Verdict::Bad), "{protocol:?}");
            assert_eq!(protocol.verdict("a", "\"SIEVE\" \"fileinto\"\r\n"), None);
        }
        assert_eq!(Protocol::Imap.verdict("a", "* OK done\r\n"), None);
        assert_eq!(Protocol::Imap.verdict("*", "* OK [CAPABILITY X] hello\r\n"), Some(Verdict::Good));
        assert_eq!(Protocol::Imap.verdict("a", "* BYE shutting down\r\n"), None);
    }
}
