//! The rows of the tables a director answers with (spec/director.md 6.2).

use std::net::IpAddr;

use super::{DirectorRow, RowKind};
use crate::fields::{FieldReader, FieldWriter, UserHash};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Of `HOST-LIST`.
    Host(HostRow),
    /// Of `HOST-LIST-REMOVED`.
    RemovedHost(IpAddr),
    /// Of `USER-LIST`.
    User(UserRow),
    /// Of `DIRECTOR-LIST`.
    Director(DirectorRow),
    /// Of an own request: any fields. At least one, and not a single empty one, since an empty line ends the table.
    Own(Vec<Vec<u8>>),
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Address.
    pub ip: IpAddr,
    /// Weight.
    pub vhosts: u32,
    /// Mappings to it.
    pub users: u64,
    /// Tag; empty for none.
    pub tag: Vec<u8>,
    /// Up or down.
    pub up: bool,
    /// Unix time of the last change of `up` in seconds; 0 for never.
    pub changed: u64,
}

/// A mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRow {
    /// The user.
    pub hash: UserHash,
    /// Unix time in seconds at which it is forgotten.
    pub expires: u64,
    /// The user's backend.
    pub ip: IpAddr,
}

impl Row {
    /// What kind of table it belongs to.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Host(_) => RowKind::Host,
            Self::RemovedHost(_) => RowKind::RemovedHost,
            Self::User(_) => RowKind::User,
            Self::Director(_) => RowKind::Director,
            Self::Own(_) => RowKind::Own,
        }
    }

    /// Appends the line without its LF.
    pub(super) fn write_to(&self, line: &mut Vec<u8>) {
        let mut out = FieldWriter(line);
        match self {
            Self::Host(row) => row.write_to(&mut out),
            Self::RemovedHost(ip) => {
                out.first(ip.to_string());
            }
            Self::User(row) => {
                out.first(row.hash.to_string()).text(row.expires).text(row.ip);
            }
            Self::Director(row) => row.write_to(&mut out),
            Self::Own(fields) => {
                let mut fields = fields.iter();
                out.first(fields.next().map(Vec::as_slice).unwrap_or_default());
                for field in fields {
                    out.field(field);
                }
            }
        }
    }

    /// Reads a line that is not empty. Fields after the known ones are ignored.
    pub(super) fn parse(kind: RowKind, line: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(line);
        Some(match kind {
            RowKind::Host => Self::Host(HostRow::read(&mut fields)?),
            RowKind::RemovedHost => Self::RemovedHost(fields.ip()?),
            RowKind::User => Self::User(UserRow {
                hash: UserHash(fields.number()?),
                expires: fields.number()?,
                ip: fields.ip()?,
            }),
            RowKind::Director => Self::Director(DirectorRow::read(fields)?),
            RowKind::Own => Self::Own(fields.rest()),
        })
    }
}

impl HostRow {
    fn write_to(&self, out: &mut FieldWriter<'_>) {
        out.first(self.ip.to_string()).text(self.vhosts).text(self.users).field(&self.tag);
        out.field(if self.up { "U" } else { "D" }).text(self.changed);
    }

    fn read(fields: &mut FieldReader) -> Option<Self> {
        let (ip, vhosts, users) = (fields.ip()?, fields.number()?, fields.number()?);
        let tag = fields.next()?;
        // Whatever is not D is up, as doveadm shows it.
        let up = fields.next()? != b"D";
        Some(Self { ip, vhosts, users, tag, up, changed: fields.number()? })
    }
}
