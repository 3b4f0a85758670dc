//! The words of `director_mail_servers` (spec/director.md 1.4): addresses, ranges, names, tags.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use thiserror::Error;

use super::Host;

/// One word, split up. Names are still to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// What stands before the first `@`.
    pub host: ServerHost,
    /// Everything behind the first `@`.
    pub tag: Vec<u8>,
}

/// The host part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHost {
    /// One address, or the addresses of a range.
    Addresses(Vec<IpAddr>),
    /// A name: one backend for each of its addresses.
    Name(String),
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MailServerError {
    /// `10.0.0.1-::1`.
    #[error("director_mail_servers: {0}: address family mismatch")]
    FamilyMismatch(String),
    /// `10.0.0.9-10.0.0.1`.
    #[error("director_mail_servers: {0}: addresses are reversed")]
    Reversed(String),
    /// More than the last byte (IPv4) or the last two bytes (IPv6) differ.
    #[error("director_mail_servers: {0}: range is too large")]
    RangeTooLarge(String),
    /// Nothing before the `@`.
    #[error("director_mail_servers: {0}: host is missing")]
    NoHost(String),
    /// Something that is no name, such as `10.0.0.1:143`.
    #[error(
        "director_mail_servers: {0}: neither an address nor a name (a port is given by the auth service, field port)"
    )]
    NotAName(String),
    /// One address under two tags.
    #[error("director_mail_servers: {0} has two tags")]
    TwoTags(IpAddr),
}

impl MailServer {
    /// Parses one word.
    pub fn parse(word: &str) -> Result<Self, MailServerError> {
        let (host, tag) = word.split_once('@').unwrap_or((word, ""));
        if host.is_empty() {
            return Err(MailServerError::NoHost(word.to_owned()));
        }
        let host = match range(word, host)? {
            Some(addresses) => ServerHost::Addresses(addresses),
            None => match address(host) {
                Some(ip) => ServerHost::Addresses(vec![ip]),
                None if is_name(host) => ServerHost::Name(host.to_owned()),
                None => return Err(MailServerError::NotAName(word.to_owned())),
            },
        };
        Ok(Self { host, tag: tag.as_bytes().to_vec() })
    }
}

/// The backends of all words. `answers` has the addresses of the names; a name without answer has no backend. An
/// address that is given twice is one backend, unlike in the reference (spec/director.md 10, W28).
pub fn hosts_of(
    servers: &[MailServer],
    answers: &BTreeMap<String, Vec<IpAddr>>,
) -> Result<Vec<Host>, MailServerError> {
    let mut hosts: BTreeMap<IpAddr, Host> = BTreeMap::new();
    for server in servers {
        let (addresses, name) = match &server.host {
            ServerHost::Addresses(addresses) => (Some(addresses), None),
            ServerHost::Name(name) => (answers.get(name), Some(name)),
        };
        for ip in addresses.into_iter().flatten() {
            let new = || Host::new(*ip, name.cloned(), server.tag.clone());
            if hosts.entry(*ip).or_insert_with(new).tag != server.tag {
                return Err(MailServerError::TwoTags(*ip));
            }
        }
    }
    Ok(hosts.into_values().collect())
}

/// Letters, digits, dots, hyphens and, as resolvers take them, underscores.
fn is_name(host: &str) -> bool {
    host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// `ip1-ip2`, inclusive; `None` if the text is not of that form.
fn range(word: &str, host: &str) -> Result<Option<Vec<IpAddr>>, MailServerError> {
    let Some((first, last)) = host.split_once('-') else { return Ok(None) };
    let word = || word.to_owned();
    match (address(first), address(last)) {
        (Some(IpAddr::V4(first)), Some(IpAddr::V4(last))) => {
            let (first, last) = (u32::from(first), u32::from(last));
            check(u128::from(first), u128::from(last), 8, word)?;
            Ok(Some((first..=last).map(|ip| Ipv4Addr::from(ip).into()).collect()))
        }
        (Some(IpAddr::V6(first)), Some(IpAddr::V6(last))) => {
            let (first, last) = (u128::from(first), u128::from(last));
            check(first, last, 16, word)?;
            Ok(Some((first..=last).map(|ip| Ipv6Addr::from(ip).into()).collect()))
        }
        (Some(_), Some(_)) => Err(MailServerError::FamilyMismatch(word())),
        _ => Ok(None),
    }
}

fn check(first: u128, last: u128, free_bits: u32, word: impl Fn() -> String) -> Result<(), MailServerError> {
    if first > last {
        return Err(MailServerError::Reversed(word()));
    }
    if first >> free_bits != last >> free_bits {
        return Err(MailServerError::RangeTooLarge(word()));
    }
    Ok(())
}

/// An address: IPv6 with or without brackets, IPv4 in the forms of the C library (`127.1`, leading zeros
/// read as decimal).
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = inner.parse::<Ipv6Addr>() {
        return Some(ip.into());
    }
    short_v4(text).map(IpAddr::V4)
}

/// One to four decimal numbers; the last one fills the rest.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let decimal = |part: &str| -> Option<u32> {
        let plain = !part.is_empty() && part.len() <= 10 && part.bytes().all(|b| b.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    let numbers: Vec<u32> = text.split('.').map(decimal).collect::<Option<_>>()?;
    let (last, front) = numbers.split_last()?;
    if front.is_empty() || front.len() > 3 || front.iter().any(|n| *n > 255) {
        return None;
    }
    let free_bits = 32 - 8 * u32::try_from(front.len()).ok()?;
    if u64::from(*last) >= 1 << free_bits {
        return None;
    }
    let front = front.iter().zip([24, 16, 8]).fold(0, |ip, (n, shift)| ip | (n << shift));
    Some(Ipv4Addr::from(front | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(word: &str) -> Vec<String> {
        match MailServer::parse(word).unwrap().host {
            ServerHost::Addresses(ips) => ips.iter().map(ToString::to_string).collect(),
            ServerHost::Name(name) => vec![format!("name {name}")],
        }
    }

    #[test]
    fn words_as_the_reference_reads_them() {
        assert_eq!(addresses("10.0.0.1"), ["10.0.0.1"]);
        assert_eq!(addresses("127.1"), ["127.0.0.1"]);
        assert_eq!(addresses("127.0.0.061"), ["127.0.0.61"]);
        assert_eq!(addresses("[2001:DB8::1]"), ["2001:db8::1"]);
        assert_eq!(addresses("2001:db8::1"), ["2001:db8::1"]);
        assert_eq!(addresses("10.0.0.254-10.0.0.255"), ["10.0.0.254", "10.0.0.255"]);
        assert_eq!(addresses("2001:db8::fe-2001:db8::ff").len(), 2);
        assert_eq!(addresses("be-1.example.org"), ["name be-1.example.org"]);
        assert_eq!(addresses("10.0.0.1-be"), ["name 10.0.0.1-be"]);
        assert_eq!(MailServer::parse("10.0.0.1@a@b").unwrap().tag, b"a@b");
        assert_eq!(MailServer::parse("10.0.0.1@").unwrap().tag, b"");
    }

    #[test]
    fn wrong_ranges_are_refused() {
        let error = |word: &str| MailServer::parse(word).unwrap_err();
        assert!(matches!(error("10.0.0.1-::1"), MailServerError::FamilyMismatch(_)));
        assert!(matches!(error("10.0.0.9-10.0.0.1"), MailServerError::Reversed(_)));
        assert!(matches!(error("10.0.0.1-10.0.1.1"), MailServerError::RangeTooLarge(_)));
        assert!(matches!(error("@blue"), MailServerError::NoHost(_)));
        for word in ["10.0.0.1:143", "[::1]:143", "imap://be", "be,be2", "b\u{e4}ckend"] {
            assert!(matches!(error(word), MailServerError::NotAName(_)), "{word}");
        }
    }

    #[test]
    fn names_become_one_backend_per_address() {
        let hosts = |words: &[&str]| {
            let servers: Vec<_> = words.iter().map(|word| MailServer::parse(word).unwrap()).collect();
            let pool = ["10.0.0.2", "10.0.0.1"].map(|ip| ip.parse().unwrap()).to_vec();
            hosts_of(&servers, &BTreeMap::from([("pool.test".to_owned(), pool)]))
        };
        let shown = |words: &[&str]| -> Vec<String> {
            let show = |h: Host| {
                let hostname = h.hostname.unwrap_or_default();
                format!("{} {hostname} {}", h.ip, String::from_utf8(h.tag).unwrap())
            };
            hosts(words).unwrap().into_iter().map(show).collect()
        };
        assert_eq!(
            shown(&["pool.test@blue", "unknown.test", "::1"]),
            ["10.0.0.1 pool.test blue", "10.0.0.2 pool.test blue", "::1  "]
        );
        assert_eq!(shown(&["10.0.0.1", "10.0.0.1", "10.0.0.1-10.0.0.2"]), ["10.0.0.1  ", "10.0.0.2  "]);
        let error = hosts(&["10.0.0.1@a", "10.0.0.1@b"]).unwrap_err();
        assert_eq!(error.to_string(), "director_mail_servers: 10.0.0.1 has two tags");
    }

    #[test]
    fn any_word_is_parsed_or_refused() {
        bolero::check!().for_each(|input: &[u8]| {
            let _ = MailServer::parse(&String::from_utf8_lossy(input));
        });
    }
}
