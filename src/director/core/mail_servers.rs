//! The words of `director_mail_servers` (spec/director.md 1.4): addresses, ranges, names, tags.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

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
                None => ServerHost::Name(host.to_owned()),
            },
        };
        Ok(Self { host, tag: tag.as_bytes().to_vec() })
    }
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
        assert_eq!(addresses("10.0.0.1:143"), ["name 10.0.0.1:143"]);
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
    }
}
