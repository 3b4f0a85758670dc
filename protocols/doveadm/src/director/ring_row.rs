//! The rows of `DIRECTOR-LIST` (spec/director.md 6.4): a ring member with a connection, without one, or a connection
//! whose peer has not said who it is.

use std::{fmt, net::IpAddr};

use homing_wire::printable;

use crate::fields::{FieldReader, FieldWriter, number};

/// One row. Which parts are there depends on what it is about: without `member` it is an incoming connection of an
/// unknown peer, without `traffic` a member without connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorRow {
    /// The director.
    pub member: Option<RingMember>,
    /// How it is with it.
    pub status: DirectorStatus,
    /// Last answer time in milliseconds; for ourselves how long the last sync of the ring took.
    pub ping_msecs: Option<u32>,
    /// Counters of the connection.
    pub traffic: Option<Traffic>,
}

/// A director of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingMember {
    /// Address.
    pub ip: IpAddr,
    /// Port of its ring listener; 0 if it has none.
    pub port: u16,
    /// How we are connected.
    pub link: Link,
    /// Unix time in seconds of the last failure; 0 for never.
    pub last_failed: u64,
}

/// How a director is connected to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ourselves.
    OwnNode,
    /// Established neighbour.
    Left,
    /// Established neighbour.
    Right,
    /// Connection from it that is no neighbour's, or not yet.
    Incoming,
    /// Connection to it that is no neighbour's, or not yet.
    Outgoing,
    /// Removed from the ring.
    Removed,
    /// No connection.
    Absent,
}

/// How it is with a director or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectorStatus {
    /// Ourselves, before the first handshake.
    RingHandshaking,
    /// Ourselves, in sync.
    RingSynced,
    /// Ourselves, out of sync for so many seconds.
    RingSyncing(u64),
    /// A connection that sends users, this many so far.
    HandshakeSent(u64),
    /// A connection that receives users, this many so far.
    HandshakeReceived(u64),
    /// A connection in sync.
    Synced,
    /// A connection not in sync.
    Syncing,
    /// No connection.
    None,
    /// A text of another version.
    Other(String),
}

/// Counters of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes that wait to be sent.
    pub buffered: u64,
    /// Most bytes that ever waited.
    pub buffered_peak: u64,
    /// Unix time of the last read in seconds; 0 for never.
    pub last_read: u64,
    /// Unix time of the last write in seconds; 0 for never.
    pub last_write: u64,
}

impl DirectorRow {
    pub(super) fn write_to(&self, out: &mut FieldWriter<'_>) {
        match &self.member {
            Some(member) => {
                out.first(member.ip.to_string()).text(member.port).field(member.link.word());
                out.text(member.last_failed).text(&self.status);
            }
            None => {
                out.first(self.status.to_string());
            }
        }
        out.optional(self.ping_msecs);
        if let Some(traffic) = &self.traffic {
            for counter in traffic.columns() {
                out.text(counter);
            }
        }
    }

    /// A row that begins with an address is about a member.
    pub(super) fn read(mut fields: FieldReader) -> Option<Self> {
        let first = fields.next()?;
        let ip = crate::fields::ip(&first);
        let member = match ip {
            Some(ip) => Some(RingMember {
                ip,
                port: fields.number()?,
                link: Link::parse(&fields.next()?)?,
                last_failed: fields.number()?,
            }),
            None => None,
        };
        let status = if ip.is_some() { fields.next()? } else { first };
        let ping_msecs = if fields.left() > 0 { Some(fields.number()?) } else { None };
        let traffic = if fields.left() > 0 { Some(Traffic::read(&mut fields)?) } else { None };
        Some(Self { member, status: DirectorStatus::parse(&status), ping_msecs, traffic })
    }
}

impl Link {
    const ALL: [Self; 7] =
        [Self::OwnNode, Self::Left, Self::Right, Self::Incoming, Self::Outgoing, Self::Removed, Self::Absent];

    /// The word of the `type` column.
    pub fn word(self) -> &'static str {
        match self {
            Self::OwnNode => "self",
            Self::Left => "left",
            Self::Right => "right",
            Self::Incoming => "in",
            Self::Outgoing => "out",
            Self::Removed => "removed",
            Self::Absent => "",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.word().as_bytes() == word)
    }
}

impl DirectorStatus {
    fn parse(text: &[u8]) -> Self {
        let between = |start: &str, end: &str| {
            number(text.strip_prefix(start.as_bytes())?.strip_suffix(end.as_bytes())?)
        };
        let exact = [Self::RingHandshaking, Self::RingSynced, Self::Synced, Self::Syncing, Self::None];
        exact
            .into_iter()
            .find(|status| status.to_string().as_bytes() == text)
            .or_else(|| between("ring syncing - last sync ", " secs ago").map(Self::RingSyncing))
            .or_else(|| between("handshaking - ", " USERs sent").map(Self::HandshakeSent))
            .or_else(|| between("handshaking - ", " USERs received").map(Self::HandshakeReceived))
            .unwrap_or_else(|| Self::Other(printable(text)))
    }
}

impl fmt::Display for DirectorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RingHandshaking => f.write_str("ring handshaking"),
            Self::RingSynced => f.write_str("ring synced"),
            Self::RingSyncing(secs) => write!(f, "ring syncing - last sync {secs} secs ago"),
            Self::HandshakeSent(users) => write!(f, "handshaking - {users} USERs sent"),
            Self::HandshakeReceived(users) => write!(f, "handshaking - {users} USERs received"),
            Self::Synced => f.write_str("synced"),
            Self::Syncing => f.write_str("syncing"),
            Self::None => Ok(()),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Traffic {
    fn columns(&self) -> [u64; 6] {
        [self.bytes_in, self.bytes_out, self.buffered, self.buffered_peak, self.last_read, self.last_write]
    }

    fn read(fields: &mut FieldReader) -> Option<Self> {
        Some(Self {
            bytes_in: fields.number()?,
            bytes_out: fields.number()?,
            buffered: fields.number()?,
            buffered_peak: fields.number()?,
            last_read: fields.number()?,
            last_write: fields.number()?,
        })
    }
}
