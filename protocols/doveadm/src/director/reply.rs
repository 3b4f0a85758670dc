//! Answers of one line (spec/director.md 6.2).

use std::{fmt, net::IpAddr};

use homing_wire::printable;

use super::AnswerShape;
use crate::fields::{FieldReader, FieldWriter, ip, number};

/// One answer line. Exit codes are what doveadm makes of it, for most commands (spec/director.md 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done. Exit code 0.
    Ok,
    /// There is no such host or director. Exit code 68, for `update` and `kick` 75.
    NotFound,
    /// The user is being moved, or too many kicks are waiting. Exit code 75.
    TryAgain,
    /// Not done. Exit code 75.
    Refused(Refusal),
    /// Where a user is.
    Place(UserPlace),
}

/// Why something was not done. The texts are the reference's; doveadm shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// More than [`super::VHOSTS_MAX`] vhosts.
    VhostsTooLarge,
    /// The host has another tag.
    TagFixed,
    /// The host is not in sync with the ring yet.
    HostBusy,
    /// The ring did not get in sync in time; the change itself stays.
    RingSyncTimeout,
    /// Any other text. Empty, `OK` and the like would be taken for something else.
    Other(String),
}

/// Answer to [`super::Request::UserLookup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserPlace {
    /// Where the user is, and the Unix time in seconds at which that is forgotten; `None` without a mapping.
    pub current: Option<(IpAddr, u64)>,
    /// Where a new mapping would be now; `None` without usable host.
    pub hashed: Option<IpAddr>,
    /// Where a new mapping would be with the hosts as configured.
    pub initial: Option<IpAddr>,
}

impl Reply {
    /// True if an answer of this shape may be this one.
    pub(super) fn fits(&self, shape: AnswerShape) -> bool {
        match shape {
            AnswerShape::Line => !matches!(self, Self::Place(_)),
            AnswerShape::Place => matches!(self, Self::Place(_)),
            AnswerShape::Table(_) => false,
        }
    }

    /// The line without its LF.
    pub fn to_line(&self) -> Vec<u8> {
        match self {
            Self::Ok => b"OK".to_vec(),
            Self::NotFound => b"NOTFOUND".to_vec(),
            Self::TryAgain => b"TRYAGAIN".to_vec(),
            Self::Refused(refusal) => printable(refusal.to_string().as_bytes()).into_bytes(),
            Self::Place(place) => place.to_line(),
        }
    }

    /// Reads an answer of [`AnswerShape::Line`].
    pub(super) fn parse(line: &[u8]) -> Self {
        match line {
            b"OK" => Self::Ok,
            b"NOTFOUND" => Self::NotFound,
            b"TRYAGAIN" => Self::TryAgain,
            other => Self::Refused(Refusal::parse(other)),
        }
    }
}

impl Refusal {
    const KNOWN: [Self; 4] = [Self::VhostsTooLarge, Self::TagFixed, Self::HostBusy, Self::RingSyncTimeout];

    fn parse(text: &[u8]) -> Self {
        let known = Self::KNOWN.into_iter().find(|refusal| refusal.to_string().as_bytes() == text);
        known.unwrap_or_else(|| Self::Other(printable(text)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VhostsTooLarge => "vhost count too large",
            Self::TagFixed => "host tag can't be changed",
            Self::HostBusy => "host is already being updated - try again later",
            Self::RingSyncTimeout => "Ring sync timed out",
            Self::Other(text) => text,
        })
    }
}

impl UserPlace {
    fn to_line(self) -> Vec<u8> {
        let mut line = Vec::new();
        let mut out = FieldWriter(&mut line);
        out.first(address(self.current.map(|(ip, _)| ip)));
        out.text(self.current.map_or(0, |(_, expires)| expires));
        out.field(address(self.hashed)).field(address(self.initial));
        line
    }

    /// `None` if the line is something else.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(line);
        let current = optional_ip(&fields.next()?)?;
        let expires = number(&fields.next()?)?;
        let hashed = optional_ip(&fields.next()?)?;
        let initial = optional_ip(&fields.next()?)?;
        Some(Self { current: current.map(|ip| (ip, expires)), hashed, initial })
    }
}

/// Empty for none.
pub(super) fn address(ip: Option<IpAddr>) -> String {
    ip.map(|ip| ip.to_string()).unwrap_or_default()
}

fn optional_ip(field: &[u8]) -> Option<Option<IpAddr>> {
    if field.is_empty() { Some(None) } else { ip(field).map(Some) }
}
