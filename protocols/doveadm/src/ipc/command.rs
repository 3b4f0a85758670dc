//! What login processes can be asked.

use std::net::IpAddr;

use homing_wire::tab;

use super::Refusal;
use crate::{
    fields::{FieldReader, UserHash, ip},
    pattern::UserPattern,
};

/// One command. The kicks are answered with the number of sessions they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// All sessions, those still logging in included.
    ListFull,
    /// Ends the sessions whose login name fits any of these. The reference compares exactly (W24).
    Kick(Vec<UserPattern>),
    /// Ends the sessions whose passdb field `user_*` fits any of these values.
    KickAlt {
        /// Name of the field.
        field: Vec<u8>,
        /// Values.
        values: Vec<UserPattern>,
    },
    /// Ends the sessions with any of these backends. The reference knows a backend by its hostname, if it has one,
    /// and not by the address then (W26).
    KickHost(Vec<Vec<u8>>),
    /// Ends the sessions of a user.
    KickHash {
        /// The user.
        hash: UserHash,
        /// Sessions on this backend stay.
        except: Option<IpAddr>,
    },
}

impl Command {
    /// Reads the part of a line after group and id. The refusals are those of the reference.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let mut fields = FieldReader::new(line);
        match fields.next_or_empty().as_slice() {
            b"LIST-FULL" => Ok(Self::ListFull),
            b"KICK" => Ok(Self::Kick(patterns(fields)?)),
            b"KICK-ALT" => {
                let field = fields.next().ok_or(Refusal::MissingParameter)?;
                Ok(Self::KickAlt { field, values: patterns(fields)? })
            }
            b"KICK-HOST" => Ok(Self::KickHost(some(fields)?)),
            b"KICK-DIRECTOR-HASH" => {
                let hash = UserHash(fields.number().ok_or(Refusal::InvalidParameters)?);
                let except = match fields.next_or_empty().as_slice() {
                    b"" => None,
                    field => Some(ip(field).ok_or(Refusal::InvalidExceptIp)?),
                };
                Ok(Self::KickHash { hash, except })
            }
            _ => Err(Refusal::UnknownCommand),
        }
    }

    /// As it is sent, without group, id and LF.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = self.word().as_bytes().to_vec();
        let mut add = |field: &[u8]| {
            line.push(b'\t');
            line.extend_from_slice(&tab::escape(field));
        };
        match self {
            Self::ListFull => {}
            Self::Kick(users) => users.iter().for_each(|user| add(user.as_bytes())),
            Self::KickAlt { field, values } => {
                add(field);
                values.iter().for_each(|value| add(value.as_bytes()));
            }
            Self::KickHost(hosts) => hosts.iter().for_each(|host| add(host)),
            Self::KickHash { hash, except } => {
                add(hash.to_string().as_bytes());
                except.iter().for_each(|ip| add(ip.to_string().as_bytes()));
            }
        }
        line
    }

    /// The word it begins with; for the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ListFull => "LIST-FULL",
            Self::Kick(_) => "KICK",
            Self::KickAlt { .. } => "KICK-ALT",
            Self::KickHost(_) => "KICK-HOST",
            Self::KickHash { .. } => "KICK-DIRECTOR-HASH",
        }
    }
}

fn some(fields: FieldReader) -> Result<Vec<Vec<u8>>, Refusal> {
    let fields = fields.rest();
    if fields.is_empty() { Err(Refusal::MissingParameter) } else { Ok(fields) }
}

fn patterns(fields: FieldReader) -> Result<Vec<UserPattern>, Refusal> {
    Ok(some(fields)?.into_iter().map(UserPattern::new).collect())
}
