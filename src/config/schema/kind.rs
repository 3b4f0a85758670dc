//! Kinds of values: how each is read, and what to say when it cannot be. Typed settings are read with the same
//! functions, so a value that passed the check here can be read there.

use std::{net::IpAddr, time::Duration};

use homing_login::parse_duration;
use ipnet::IpNet;

use super::variables::{self, Variables};

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything.
    Text,
    /// Anything, but never shown.
    Secret,
    /// `yes`, `no`.
    Flag,
    /// A number, at least this.
    Count(u32),
    /// A time, at least this many milliseconds.
    Time(u64),
    /// Permissions in octal, 0 to 0777.
    Mode,
    /// 0 to 65535.
    Port,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Networks and addresses, separated by spaces or commas.
    Networks,
    /// `<file`, or PEM text.
    Pem,
    /// Text with variables of these names.
    Template(&'static Variables),
    /// Words, each perhaps with `@tag`, none with a port.
    MailServers,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// Usable, but it must be told.
    Doubtful(String),
    Wrong(String),
}

impl Kind {
    /// Checks a value.
    pub(crate) fn check(self, text: &str) -> Verdict {
        match self {
            Self::Text | Self::Secret => Verdict::Fine,
            Self::Flag => wrong_unless(flag(text).is_some(), || format!("'{text}' is neither yes nor no")),
            Self::Count(least) => check_count(text, least),
            Self::Time(least) => check_time(text, least),
            Self::Mode => wrong_unless(mode(text).is_some(), || {
                format!("'{text}' is no mode (octal with a leading 0, like 0600; 0 for no socket)")
            }),
            Self::Port => wrong_unless(port(text).is_some(), || {
                format!("'{text}' is no port (1 to 65535, or 0 for no listener)")
            }),
            Self::Choice(words) => wrong_unless(words.contains(&text), || {
                format!("'{text}' is not one of: {}", words.join(", "))
            }),
            Self::Networks => match networks(text) {
                Ok(_) => Verdict::Fine,
                Err(word) => {
                    Verdict::Wrong(format!("'{word}' is no network (like 10.0.0.0/8) or IP address"))
                }
            },
            Self::Pem => check_pem(text),
            Self::Template(known) => variables::check(text, known),
            Self::MailServers => check_mail_servers(text),
        }
    }
}

fn wrong_unless(fine: bool, text: impl FnOnce() -> String) -> Verdict {
    if fine { Verdict::Fine } else { Verdict::Wrong(text()) }
}

fn check_count(text: &str, least: u32) -> Verdict {
    match count(text) {
        None => Verdict::Wrong(format!("'{text}' is no number (0 to {})", u32::MAX)),
        Some(number) if number < least => {
            Verdict::Wrong(format!("{number} is too low, it must be at least {least}"))
        }
        Some(_) => Verdict::Fine,
    }
}

fn check_time(text: &str, least: u64) -> Verdict {
    let Some(time) = duration(text) else {
        return Verdict::Wrong(format!("'{text}' is no time (like 500 ms, 30 s, 15 mins, 2 h, 1 days)"));
    };
    if time < Duration::from_millis(least) {
        return Verdict::Wrong(format!("{text} is too low, it must be at least {} s", least / 1000));
    }
    let unitless = text.trim().chars().all(|c| c.is_ascii_digit());
    if unitless && !time.is_zero() {
        return Verdict::Doubtful(format!("{text} is taken as seconds; add a unit, Dovecot demands one"));
    }
    Verdict::Fine
}

fn check_pem(text: &str) -> Verdict {
    if text.is_empty() || text.contains("-----BEGIN") {
        return Verdict::Fine;
    }
    match text.starts_with('/') {
        true => Verdict::Wrong(format!("a file is named with '<' before it: <{text}")),
        false => Verdict::Wrong("neither '<file' nor PEM text".to_owned()),
    }
}

/// The director resolves names and ranges; here only what cannot be either.
fn check_mail_servers(text: &str) -> Verdict {
    for word in text.split_whitespace() {
        let host = word.split('@').next().unwrap_or_default();
        let ends = [host].into_iter().chain(host.split('-'));
        let is_address = ends.into_iter().any(|end| address(end).is_some());
        if host.is_empty() {
            return Verdict::Wrong(format!("'{word}' has no host before '@'"));
        }
        if host.contains(':') && !is_address {
            return Verdict::Wrong(format!(
                "'{word}': no port can be given here (the passdb field port= sets it, else the protocol's own is used)"
            ));
        }
    }
    Verdict::Fine
}

/// As the reference: `yes`, `y`, `1`; `no`.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "1" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

pub(crate) fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

pub(crate) fn duration(text: &str) -> Option<Duration> {
    parse_duration(text)
}

/// The leading 0 is demanded, since the reference takes a number without it as decimal.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let digits = text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777)
}

pub(crate) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

/// Words separated by spaces or commas.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', '\t']).filter(|word| !word.is_empty())
}

/// An IP address, IPv6 perhaps in brackets.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// Networks; the first word that is none as an error.
pub(crate) fn networks(text: &str) -> Result<Vec<IpNet>, &str> {
    words(text).map(|word| network(word).ok_or(word)).collect()
}

fn network(word: &str) -> Option<IpNet> {
    match word.split_once('/') {
        None => address(word).map(IpNet::from),
        Some((ip, bits)) => IpNet::new(address(ip)?, bits.parse().ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(kind: Kind, text: &str) -> String {
        match kind.check(text) {
            Verdict::Wrong(text) => text,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn flags_as_the_reference_reads_them() {
        for (text, value) in
            [("yes", true), ("YES", true), ("y", true), ("1", true), ("no", false), ("No", false)]
        {
            assert_eq!(flag(text), Some(value), "{text}");
        }
        for text in ["true", "on", "n", "0", ""] {
            assert_eq!(wrong(Kind::Flag, text), format!("'{text}' is neither yes nor no"));
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(count("010"), Some(10));
        assert_eq!(wrong(Kind::Count(0), "x"), "'x' is no number (0 to 4294967295)");
        assert_eq!(wrong(Kind::Count(0), "-1"), "'-1' is no number (0 to 4294967295)");
        assert_eq!(wrong(Kind::Count(1), "0"), "0 is too low, it must be at least 1");
        assert_eq!((mode("0"), mode("0660"), mode("660"), mode("01777")), (Some(0), Some(0o660), None, None));
        assert!(wrong(Kind::Mode, "+7").starts_with("'+7' is no mode (octal with a leading 0"));
        assert_eq!(Kind::Port.check("0"), Verdict::Fine);
        assert_eq!(wrong(Kind::Port, "70000"), "'70000' is no port (1 to 65535, or 0 for no listener)");
    }

    #[test]
    fn times() {
        let kind = Kind::Time(10_000);
        assert_eq!(kind.check("1m"), Verdict::Fine);
        assert_eq!(wrong(kind, "abc"), "'abc' is no time (like 500 ms, 30 s, 15 mins, 2 h, 1 days)");
        assert_eq!(wrong(kind, "9 secs"), "9 secs is too low, it must be at least 10 s");
        let told = "30 is taken as seconds; add a unit, Dovecot demands one";
        assert_eq!(kind.check("30"), Verdict::Doubtful(told.into()));
        assert_eq!(Kind::Time(0).check("0"), Verdict::Fine);
    }

    #[test]
    fn choices_and_networks() {
        let kind = Kind::Choice(&["no", "yes"]);
        assert_eq!(kind.check("no"), Verdict::Fine);
        assert_eq!(wrong(kind, "maybe"), "'maybe' is not one of: no, yes");
        let nets = networks("10.0.0.0/8, 192.0.2.1 [2001:db8::]/32,::1").unwrap();
        assert_eq!(nets.len(), 4);
        assert_eq!(
            wrong(Kind::Networks, "10.0.0.0/8 x"),
            "'x' is no network (like 10.0.0.0/8) or IP address"
        );
        assert!(wrong(Kind::Networks, "1.2.3.4/99").starts_with("'1.2.3.4/99' is no network"));
    }

    #[test]
    fn a_forgotten_file_sign_is_pointed_out() {
        assert_eq!(wrong(Kind::Pem, "/etc/x.pem"), "a file is named with '<' before it: </etc/x.pem");
        assert_eq!(wrong(Kind::Pem, "x"), "neither '<file' nor PEM text");
        assert_eq!(Kind::Pem.check("-----BEGIN CERTIFICATE-----"), Verdict::Fine);
    }

    #[test]
    fn mail_servers_have_no_ports() {
        for text in
            ["", "10.0.0.1 10.0.0.2-10.0.0.9@a b.example.org@b@c ::1 [2001:db8::1]@x 2001:db8::1-2001:db8::9"]
        {
            assert_eq!(Kind::MailServers.check(text), Verdict::Fine, "{text}");
        }
        for text in ["10.0.0.1:143", "a.example.org:993@tag", "[::1]:143"] {
            assert!(wrong(Kind::MailServers, text).contains("no port can be given here"), "{text}");
        }
        assert_eq!(wrong(Kind::MailServers, "@tag"), "'@tag' has no host before '@'");
    }
}
