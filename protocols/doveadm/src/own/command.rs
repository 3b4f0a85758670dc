//! What Homing's command line can ask beyond the reference's words.

use std::{net::IpAddr, num::NonZeroU32, str::FromStr};

use homing_wire::tab;
use thiserror::Error;

use super::LoadRequest;
use crate::{
    director::{OwnRequest, Request, Scope},
    fields::{FieldReader, UserHash, ip, number},
    pattern::UserPattern,
};

/// Every own word. A director tells which of them it knows.
pub const WORDS: &[&str] = &[
    "X-WORDS",
    "X-HASH",
    "X-HOSTS",
    "X-SESSIONS",
    "X-EXPLAIN",
    "X-PLAN",
    "X-DRAIN",
    "X-DRAIN-STATUS",
    "X-DRAIN-STOP",
    "X-WAIT",
    "X-DUMP",
    "X-LOAD",
];

/// Longest wait of one [`Command::Wait`] in seconds. Whoever wants to wait longer asks again, and so finds out if the
/// connection or the director is gone.
pub const WAIT_SECS_MAX: u32 = 60;

/// Argument of [`Command::DrainStop`].
const RESTORE: &str = "restore";

/// One own request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Which own words there are: [`super::Row::Word`] for each.
    Words,
    /// What the director knows users by: [`super::Row::Hash`] for each name.
    Hash(Vec<Vec<u8>>),
    /// All backends, also those that are leaving: [`super::Row::Host`] for each, then [`super::Row::End`].
    Hosts,
    /// The live sessions of users: [`super::Row::Session`] for each, then [`super::Row::End`].
    Sessions(UserPattern),
    /// Where a user is and would be, why, the sessions and what happened lately. Changes nothing.
    Explain {
        /// Name or hash; a number is a name if such a user is there.
        user: Vec<u8>,
        /// Tag of the backends; empty for those without one.
        tag: Vec<u8>,
    },
    /// What a request would do to users: rows of [`super::PlanRow`], then [`super::Row::End`].
    Plan(Planned),
    /// Empties a backend: no new users, then those who are there move away a few at a time. Goes on by itself; if it
    /// goes on already, the pace that is said changes. One [`super::DrainRow`].
    Drain {
        /// Which backend.
        host: IpAddr,
        /// How fast.
        pace: DrainPace,
    },
    /// How far a drain is, or all of them: rows of [`super::DrainRow`].
    DrainStatus(Option<IpAddr>),
    /// Ends a drain early; users who are moved already stay where they are. One [`super::DrainRow`].
    DrainStop {
        /// Which backend.
        host: IpAddr,
        /// The backend gets the weight back that it had before.
        restore: bool,
    },
    /// The whole state: rows of [`super::StateHostRow`], then of [`super::StateUserRow`], then [`super::Row::End`].
    Dump,
    /// Brings users to a backend.
    Load(LoadRequest),
    /// Returns when something has ended, or with [`super::Row::Waiting`] after so many seconds.
    Wait {
        /// What.
        what: Awaited,
        /// At most [`WAIT_SECS_MAX`].
        secs: u32,
    },
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// A request of the reference.
    Request(Box<Request>),
    /// [`Command::Drain`].
    Drain(IpAddr),
}

/// How fast a drain goes. What is not said is the director's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainPace {
    /// Most moves at one time.
    pub parallel: Option<NonZeroU32>,
    /// Most moves begun in a second.
    pub per_sec: Option<NonZeroU32>,
    /// How long sessions may go on before they are ended for their user's move, in milliseconds.
    pub grace_msecs: Option<u64>,
}

/// What somebody waits for the end of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// The sessions of users by login name.
    Sessions(UserPattern),
    /// The sessions of users by a passdb `user_*` field.
    SessionsByField {
        /// Name of the field.
        field: Vec<u8>,
        /// Its value.
        value: UserPattern,
    },
    /// The move of a user under way.
    Move(UserHash),
    /// The flushes of a backend or of all.
    Flush(Scope),
}

/// Why an own request is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// No such word.
    #[error("{0} is not known here")]
    Unknown(String),
    /// A known word with other arguments.
    #[error("invalid {0} parameters")]
    Invalid(&'static str),
}

impl Command {
    /// Reads a request. Arguments after the known ones are ignored.
    pub fn read(request: &OwnRequest) -> Result<Self, Unreadable> {
        let Some(word) = WORDS.iter().find(|word| **word == request.word) else {
            return Err(Unreadable::Unknown(request.word.clone()));
        };
        let mut fields = FieldReader::of(request.arguments.clone());
        Self::with_arguments(word, &mut fields).ok_or(Unreadable::Invalid(word))
    }

    fn with_arguments(word: &str, fields: &mut FieldReader) -> Option<Self> {
        Some(match word {
            "X-WORDS" => Self::Words,
            "X-HASH" => Self::Hash(fields.all()),
            "X-HOSTS" => Self::Hosts,
            "X-SESSIONS" => Self::Sessions(UserPattern::new(fields.next()?)),
            "X-EXPLAIN" => Self::Explain { user: fields.next()?, tag: fields.next_or_empty() },
            "X-PLAN" => Self::Plan(Planned::read(fields)?),
            "X-DRAIN" => Self::Drain { host: fields.ip()?, pace: DrainPace::read(fields)? },
            "X-DRAIN-STATUS" => Self::DrainStatus(Scope::read(fields)?.host()),
            "X-DRAIN-STOP" => {
                Self::DrainStop { host: fields.ip()?, restore: fields.next_or_empty() == RESTORE.as_bytes() }
            }
            "X-DUMP" => Self::Dump,
            "X-LOAD" => Self::Load(LoadRequest::read(fields)?),
            "X-WAIT" => Self::Wait { secs: fields.number()?, what: Awaited::read(fields)? },
            _ => return None,
        })
    }

    /// As it is sent.
    pub fn to_request(&self) -> OwnRequest {
        OwnRequest { word: self.word().to_owned(), arguments: self.arguments() }
    }

    fn arguments(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Words | Self::Hosts | Self::Dump => Vec::new(),
            Self::Load(load) => load.arguments(),
            Self::Hash(users) => users.clone(),
            Self::Sessions(user) => vec![user.as_bytes().to_vec()],
            Self::Explain { user, tag } => vec![user.clone(), tag.clone()],
            Self::Plan(planned) => planned.arguments(),
            Self::Drain { host, pace } => std::iter::once(shown(host)).chain(pace.arguments()).collect(),
            Self::DrainStatus(host) => host.iter().map(shown).collect(),
            Self::DrainStop { host, restore } => {
                std::iter::once(shown(host)).chain(restore.then(|| RESTORE.into())).collect()
            }
            Self::Wait { what, secs } => std::iter::once(shown(secs)).chain(what.arguments()).collect(),
        }
    }

    /// The word it begins with.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Words => "X-WORDS",
            Self::Hash(_) => "X-HASH",
            Self::Hosts => "X-HOSTS",
            Self::Sessions(_) => "X-SESSIONS",
            Self::Explain { .. } => "X-EXPLAIN",
            Self::Plan(_) => "X-PLAN",
            Self::Drain { .. } => "X-DRAIN",
            Self::DrainStatus(_) => "X-DRAIN-STATUS",
            Self::DrainStop { .. } => "X-DRAIN-STOP",
            Self::Wait { .. } => "X-WAIT",
            Self::Dump => "X-DUMP",
            Self::Load(_) => "X-LOAD",
        }
    }
}

impl Planned {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        let fields = fields.all();
        let line = tab::join(fields.iter().map(Vec::as_slice));
        match Request::parse(&line).ok()? {
            // Of the own words the drain alone, so that a plan never holds another one.
            Request::Own(own) if own.word == "X-DRAIN" => Some(Self::Drain(ip(own.arguments.first()?)?)),
            Request::Own(_) => None,
            request => Some(Self::Request(Box::new(request))),
        }
    }

    fn arguments(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Request(request) => {
                tab::split(&request.to_line()).map(|field| field.into_owned()).collect()
            }
            Self::Drain(host) => vec![b"X-DRAIN".to_vec(), shown(host)],
        }
    }
}

impl DrainPace {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        Some(Self { parallel: maybe(fields)?, per_sec: maybe(fields)?, grace_msecs: maybe(fields)? })
    }

    fn arguments(self) -> [Vec<u8>; 3] {
        [maybe_shown(self.parallel), maybe_shown(self.per_sec), maybe_shown(self.grace_msecs)]
    }
}

impl Awaited {
    fn read(fields: &mut FieldReader) -> Option<Self> {
        Some(match fields.next()?.as_slice() {
            b"sessions" => Self::Sessions(UserPattern::new(fields.next()?)),
            b"sessions-by-field" => {
                Self::SessionsByField { field: fields.next()?, value: UserPattern::new(fields.next()?) }
            }
            b"move" => Self::Move(UserHash(fields.number()?)),
            b"flush" => Self::Flush(Scope::read(fields)?),
            _ => return None,
        })
    }

    fn arguments(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Sessions(user) => vec![b"sessions".to_vec(), user.as_bytes().to_vec()],
            Self::SessionsByField { field, value } => {
                vec![b"sessions-by-field".to_vec(), field.clone(), value.as_bytes().to_vec()]
            }
            Self::Move(user) => vec![b"move".to_vec(), shown(user)],
            Self::Flush(scope) => vec![b"flush".to_vec(), maybe_shown(scope.host())],
        }
    }
}

fn shown(value: impl std::fmt::Display) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn maybe_shown(value: Option<impl std::fmt::Display>) -> Vec<u8> {
    value.map(shown).unwrap_or_default()
}

/// A number that may be missing or empty but not malformed.
fn maybe<T: FromStr>(fields: &mut FieldReader) -> Option<Option<T>> {
    match fields.next_or_empty().as_slice() {
        b"" => Some(None),
        field => number(field).map(Some),
    }
}
