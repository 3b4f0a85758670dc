//! The arguments of requests. Knows their wire form, not which request has which.

use std::{fmt, net::IpAddr, num::NonZeroU16};

use homing_wire::printable;

use crate::fields::{FieldReader, UserHash, ip, number};

/// A backend in a request: `ip` or `ip@tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostArgument {
    /// Address.
    pub ip: IpAddr,
    /// What follows the first `@`. The reference takes an empty tag for none; a known backend keeps its tag then.
    pub tag: Option<Vec<u8>>,
}

/// Whose users a flush is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of every backend.
    All,
    /// Those of one backend.
    Host(IpAddr),
}

/// Whether a kick may wait until other kicks are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The answer comes when the kick was made.
    Allowed,
    /// `nowait`: the answer is [`super::Reply::TryAgain`] instead.
    Refused,
}

/// A director of the ring in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectorAddress {
    /// Address.
    pub ip: IpAddr,
    /// Port of its ring listener; our own, or any, if not given.
    pub port: Option<NonZeroU16>,
}

/// A user in a request. The wire cannot tell a name from a hash: a decimal number of 32 bits is the hash
/// (spec/director.md 6.2, W23).
#[derive(Clone, PartialEq, Eq)]
pub struct UserArgument(Vec<u8>);

/// A request word that begins with `X-` and belongs to Homing; answered with a table of [`super::Row::Own`]. Dovecot
/// closes the connection on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRequest {
    /// Word, `X-` included.
    pub word: String,
    /// Arguments, unescaped.
    pub arguments: Vec<Vec<u8>>,
}

impl HostArgument {
    pub(super) fn read(fields: &mut FieldReader) -> Option<Self> {
        let field = fields.next()?;
        let mut parts = field.splitn(2, |byte| *byte == b'@');
        let ip = ip(parts.next()?)?;
        Some(Self { ip, tag: parts.next().map(<[u8]>::to_vec) })
    }

    pub(super) fn to_field(&self) -> Vec<u8> {
        let mut field = self.ip.to_string().into_bytes();
        if let Some(tag) = &self.tag {
            field.push(b'@');
            field.extend_from_slice(tag);
        }
        field
    }
}

impl Scope {
    /// No field and an empty one are the same.
    pub(crate) fn read(fields: &mut FieldReader) -> Option<Self> {
        match fields.next_or_empty().as_slice() {
            b"" => Some(Self::All),
            field => ip(field).map(Self::Host),
        }
    }

    /// The backend, if it is one.
    pub fn host(self) -> Option<IpAddr> {
        match self {
            Self::All => None,
            Self::Host(ip) => Some(ip),
        }
    }
}

impl Waiting {
    pub(super) fn read(fields: &mut FieldReader) -> Self {
        if fields.next_or_empty() == b"nowait" { Self::Refused } else { Self::Allowed }
    }

    pub(super) fn word(self) -> Option<&'static str> {
        (self == Self::Refused).then_some("nowait")
    }
}

impl DirectorAddress {
    pub(super) fn read(fields: &mut FieldReader) -> Option<Self> {
        Some(Self { ip: fields.ip()?, port: optional(fields)? })
    }
}

impl UserArgument {
    /// A user by name. One that looks like a number will be taken for a hash.
    pub fn named(name: impl Into<Vec<u8>>) -> Self {
        Self(name.into())
    }

    /// The argument as written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash, if the argument is one.
    pub fn hash(&self) -> Option<UserHash> {
        number(&self.0).map(UserHash)
    }
}

impl From<UserHash> for UserArgument {
    fn from(hash: UserHash) -> Self {
        Self(hash.to_string().into_bytes())
    }
}

impl fmt::Debug for UserArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserArgument({})", printable(&self.0))
    }
}

impl OwnRequest {
    /// `None` unless the word is `X-` and further capitals, digits or `-`.
    pub fn new(word: &str, arguments: Vec<Vec<u8>>) -> Option<Self> {
        Self::is_word(word.as_bytes()).then(|| Self { word: word.to_owned(), arguments })
    }

    pub(super) fn is_word(word: &[u8]) -> bool {
        let clean = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-';
        word.strip_prefix(b"X-").is_some_and(|rest| !rest.is_empty() && rest.iter().all(clean))
    }
}

/// A number that may be missing but not malformed; an empty field is malformed.
pub(super) fn optional<T: std::str::FromStr>(fields: &mut FieldReader) -> Option<Option<T>> {
    fields.next().map_or(Some(None), |field| number(&field).map(Some))
}
