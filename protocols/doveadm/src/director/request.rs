//! What an administrator can ask a director (spec/director.md 6.2). Knows the wire form, not the effect.

use std::{fmt, net::IpAddr, num::NonZeroU32};

use homing_wire::{printable, tab};
use thiserror::Error;

use super::{
    AnswerShape, RowKind,
    argument::{DirectorAddress, HostArgument, OwnRequest, Scope, UserArgument, Waiting, optional},
};
use crate::{
    fields::{FieldReader, UserHash},
    pattern::UserPattern,
};

/// Most vhosts an administrator may give a backend (spec/director.md 4.1). More is answered with
/// [`super::Refusal::VhostsTooLarge`].
pub const VHOSTS_MAX: u32 = 1000;

/// One request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// All backends: a table of [`super::HostRow`].
    HostList,
    /// Backends that are configured but were removed: a table of addresses.
    HostListRemoved,
    /// Adds a backend, or changes it if it is known.
    HostSet {
        /// The backend.
        host: HostArgument,
        /// New weight. The sender may be beyond [`VHOSTS_MAX`].
        vhosts: Option<u32>,
    },
    /// Changes a known backend.
    HostUpdate {
        /// The backend.
        host: HostArgument,
        /// New weight. The sender may be beyond [`VHOSTS_MAX`].
        vhosts: u32,
    },
    /// Marks a backend as up.
    HostUp(IpAddr),
    /// Marks a backend as down.
    HostDown(IpAddr),
    /// Removes a backend.
    HostRemove(IpAddr),
    /// `flush -F`: forgets the mappings at once.
    HostFlush(Scope),
    /// `flush`: moves users to where their hash says.
    HostResetUsers {
        /// Whose users.
        scope: Scope,
        /// Moves at one time, unless the director's own limit. A limit of 0 is no request (W29).
        max_parallel: Option<NonZeroU32>,
    },
    /// Where a user is: answered with [`super::UserPlace`].
    UserLookup {
        /// The user.
        user: UserArgument,
        /// Tag of the backends; empty for those without one.
        tag: Vec<u8>,
    },
    /// Mappings of all users, or of those on one backend: a table of [`super::UserRow`].
    UserList(Option<IpAddr>),
    /// Moves a user.
    UserMove {
        /// The user.
        user: UserArgument,
        /// New backend.
        host: IpAddr,
    },
    /// Ends the sessions of users by login name.
    UserKick {
        /// Which users.
        user: UserPattern,
        /// Whether the request may wait for other kicks.
        waiting: Waiting,
    },
    /// Ends the sessions of users by a passdb `user_*` field.
    UserKickAlt {
        /// Name of the field.
        field: Vec<u8>,
        /// Its value.
        value: UserPattern,
        /// Whether the request may wait for other kicks.
        waiting: Waiting,
    },
    /// Ends the sessions of users by hash. Homing's own: the reference has it between directors only.
    UserKickHash {
        /// Which users.
        hash: UserHash,
        /// Whether the request may wait for other kicks.
        waiting: Waiting,
    },
    /// The ring: a table of [`super::DirectorRow`].
    DirectorList,
    /// Adds a director to the ring.
    DirectorAdd(DirectorAddress),
    /// Removes a director from the ring.
    DirectorRemove(DirectorAddress),
    /// A request of Homing's own command line.
    Own(OwnRequest),
}

/// Why a line is no request. The reference logs such lines and closes the connection without a reply. The texts are
/// the reference's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Nothing in it.
    #[error("doveadm sent empty command line")]
    Empty,
    /// Unknown word.
    #[error("doveadm sent unknown command: {0}")]
    Unknown(String),
    /// A known word with missing or malformed arguments.
    #[error("doveadm sent invalid {0} parameters")]
    Invalid(&'static str),
}

impl Request {
    /// Reads a line without its line end.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if line.is_empty() {
            return Err(RequestError::Empty);
        }
        let mut fields = FieldReader::new(line);
        let word = fields.next_or_empty();
        let own = OwnRequest::is_word(&word).then(|| String::from_utf8(word.clone()).ok()).flatten();
        if let Some(word) = own {
            return Ok(Self::Own(OwnRequest { word, arguments: fields.rest() }));
        }
        let Some(name) = WORDS.iter().find(|known| known.as_bytes() == word) else {
            return Err(RequestError::Unknown(printable(&word)));
        };
        Self::with_arguments(name, fields).ok_or(RequestError::Invalid(name))
    }

    fn with_arguments(word: &str, mut fields: FieldReader) -> Option<Self> {
        let fields = &mut fields;
        Some(match word {
            "HOST-LIST" => Self::HostList,
            "HOST-LIST-REMOVED" => Self::HostListRemoved,
            "HOST-SET" => Self::HostSet { host: HostArgument::read(fields)?, vhosts: optional(fields)? },
            "HOST-UPDATE" => Self::HostUpdate { host: HostArgument::read(fields)?, vhosts: fields.number()? },
            "HOST-UP" => Self::HostUp(fields.ip()?),
            "HOST-DOWN" => Self::HostDown(fields.ip()?),
            "HOST-REMOVE" => Self::HostRemove(fields.ip()?),
            "HOST-FLUSH" => Self::HostFlush(Scope::read(fields)?),
            "HOST-RESET-USERS" => {
                Self::HostResetUsers { scope: Scope::read(fields)?, max_parallel: optional(fields)? }
            }
            "USER-LOOKUP" => Self::UserLookup {
                user: UserArgument::named(fields.next_or_empty()),
                tag: fields.next_or_empty(),
            },
            "USER-LIST" => Self::UserList(Scope::read(fields)?.host()),
            "USER-MOVE" => Self::UserMove { user: UserArgument::named(fields.next()?), host: fields.ip()? },
            "USER-KICK" => {
                Self::UserKick { user: UserPattern::new(fields.next()?), waiting: Waiting::read(fields) }
            }
            "USER-KICK-ALT" => Self::UserKickAlt {
                field: fields.next()?,
                value: UserPattern::new(fields.next()?),
                waiting: Waiting::read(fields),
            },
            "USER-KICK-HASH" => {
                Self::UserKickHash { hash: UserHash(fields.number()?), waiting: Waiting::read(fields) }
            }
            "DIRECTOR-LIST" => Self::DirectorList,
            "DIRECTOR-ADD" => Self::DirectorAdd(DirectorAddress::read(fields)?),
            "DIRECTOR-REMOVE" => Self::DirectorRemove(DirectorAddress::read(fields)?),
            _ => return None,
        })
    }

    /// The line as doveadm sends it, without its LF. Every argument is escaped, where doveadm forgets some.
    pub fn to_line(&self) -> Vec<u8> {
        let arguments = self.arguments();
        tab::join(std::iter::once(self.word().as_bytes()).chain(arguments.iter().map(Vec::as_slice)))
    }

    fn arguments(&self) -> Vec<Vec<u8>> {
        match self {
            Self::HostList | Self::HostListRemoved | Self::DirectorList => Vec::new(),
            Self::HostSet { host, vhosts } => list(Some(host.to_field()), *vhosts),
            Self::HostUpdate { host, vhosts } => list(Some(host.to_field()), Some(vhosts)),
            Self::HostUp(ip) | Self::HostDown(ip) | Self::HostRemove(ip) => list(None, Some(ip)),
            Self::HostFlush(scope) => list(None, scope.host()),
            Self::HostResetUsers { scope, max_parallel } => {
                let host = scope.host().map(|ip| ip.to_string());
                // The second argument needs a first one.
                let host = host.or_else(|| max_parallel.map(|_| String::new()));
                list(host.map(String::into_bytes), *max_parallel)
            }
            Self::UserLookup { user, tag } => vec![user.as_bytes().to_vec(), tag.clone()],
            Self::UserList(host) => list(None, *host),
            Self::UserMove { user, host } => list(Some(user.as_bytes().to_vec()), Some(host)),
            Self::UserKick { user, waiting } => list(Some(user.as_bytes().to_vec()), waiting.word()),
            Self::UserKickAlt { field, value, waiting } => {
                let mut arguments = vec![field.clone()];
                arguments.extend(list(Some(value.as_bytes().to_vec()), waiting.word()));
                arguments
            }
            Self::UserKickHash { hash, waiting } => list(Some(hash.to_string().into_bytes()), waiting.word()),
            Self::DirectorAdd(director) | Self::DirectorRemove(director) => {
                list(Some(director.ip.to_string().into_bytes()), director.port)
            }
            Self::Own(own) => own.arguments.clone(),
        }
    }

    /// What the answer looks like.
    pub fn answer_shape(&self) -> AnswerShape {
        match self {
            Self::HostList => AnswerShape::Table(RowKind::Host),
            Self::HostListRemoved => AnswerShape::Table(RowKind::RemovedHost),
            Self::UserList(_) => AnswerShape::Table(RowKind::User),
            Self::DirectorList => AnswerShape::Table(RowKind::Director),
            Self::Own(_) => AnswerShape::Table(RowKind::Own),
            Self::UserLookup { .. } => AnswerShape::Place,
            _ => AnswerShape::Line,
        }
    }

    /// The word it begins with; for the log.
    pub fn word(&self) -> &str {
        match self {
            Self::HostList => "HOST-LIST",
            Self::HostListRemoved => "HOST-LIST-REMOVED",
            Self::HostSet { .. } => "HOST-SET",
            Self::HostUpdate { .. } => "HOST-UPDATE",
            Self::HostUp(_) => "HOST-UP",
            Self::HostDown(_) => "HOST-DOWN",
            Self::HostRemove(_) => "HOST-REMOVE",
            Self::HostFlush(_) => "HOST-FLUSH",
            Self::HostResetUsers { .. } => "HOST-RESET-USERS",
            Self::UserLookup { .. } => "USER-LOOKUP",
            Self::UserList(_) => "USER-LIST",
            Self::UserMove { .. } => "USER-MOVE",
            Self::UserKick { .. } => "USER-KICK",
            Self::UserKickAlt { .. } => "USER-KICK-ALT",
            Self::UserKickHash { .. } => "USER-KICK-HASH",
            Self::DirectorList => "DIRECTOR-LIST",
            Self::DirectorAdd(_) => "DIRECTOR-ADD",
            Self::DirectorRemove(_) => "DIRECTOR-REMOVE",
            Self::Own(own) => &own.word,
        }
    }
}

/// Every word that [`Request::with_arguments`] knows.
const WORDS: &[&str] = &[
    "HOST-LIST",
    "HOST-LIST-REMOVED",
    "HOST-SET",
    "HOST-UPDATE",
    "HOST-UP",
    "HOST-DOWN",
    "HOST-REMOVE",
    "HOST-FLUSH",
    "HOST-RESET-USERS",
    "USER-LOOKUP",
    "USER-LIST",
    "USER-MOVE",
    "USER-KICK",
    "USER-KICK-ALT",
    "USER-KICK-HASH",
    "DIRECTOR-LIST",
    "DIRECTOR-ADD",
    "DIRECTOR-REMOVE",
];

fn list(first: Option<Vec<u8>>, last: Option<impl fmt::Display>) -> Vec<Vec<u8>> {
    let last = last.into_iter().map(|value| value.to_string().into_bytes());
    first.into_iter().chain(last).collect()
}
