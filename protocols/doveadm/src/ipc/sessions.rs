//! The session list: a header, then one row a session.

use std::net::{IpAddr, SocketAddr};

use homing_wire::tab;

use crate::fields::{FieldReader, FieldWriter};

/// First column of the header.
const USER: &[u8] = b"username";

/// Last columns of the header.
const LAST: [&[u8]; 4] = [b"service", b"src-ip", b"dest-ip", b"dest-port"];

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Login name.
    pub user: Vec<u8>,
    /// Values of the passdb's `user_*` fields, as many as the header names.
    pub alternatives: Vec<Vec<u8>>,
    /// `imap`, `pop3`, `sieve`, ...
    pub service: Vec<u8>,
    /// Where the client comes from, if from the network.
    pub source: Option<IpAddr>,
    /// The backend.
    pub backend: SocketAddr,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListLine {
    Header(Vec<Vec<u8>>),
    Session(SessionRow),
}

/// The header for sessions with these `user_*` fields, as a line without LF.
pub(super) fn header(names: &[Vec<u8>]) -> Vec<u8> {
    tab::join(std::iter::once(USER).chain(names.iter().map(Vec::as_slice)).chain(LAST))
}

impl SessionRow {
    /// Appends the line without its LF. `columns` is how many `user_*` fields the header names: doveadm aborts if a
    /// row has another number.
    pub(super) fn write_to(&self, columns: usize, line: &mut Vec<u8>) {
        let mut out = FieldWriter(line);
        out.first(&self.user);
        for column in 0..columns {
            out.field(self.alternatives.get(column).map(Vec::as_slice).unwrap_or_default());
        }
        out.field(&self.service).text(self.source.map(|ip| ip.to_string()).unwrap_or_default());
        out.text(self.backend.ip()).text(self.backend.port());
    }

    fn read(columns: usize, mut fields: FieldReader) -> Option<Self> {
        let user = fields.next()?;
        let alternatives = (0..columns).map(|_| fields.next()).collect::<Option<_>>()?;
        let service = fields.next()?;
        let source = match fields.next()?.as_slice() {
            b"" => None,
            field => Some(crate::fields::ip(field)?),
        };
        let backend = SocketAddr::new(fields.ip()?, fields.number()?);
        (fields.left() == 0).then_some(Self { user, alternatives, service, source, backend })
    }
}

/// Reads the lines of one list. The reference's hub passes on one header from each login process (W25), so a header
/// may come at any time and holds from there.
#[derive(Debug, Default)]
pub(super) struct ListReader {
    columns: Option<usize>,
}

impl ListReader {
    /// `None` for a line that is neither a header nor a row as the header says.
    pub(super) fn take(&mut self, line: &[u8]) -> Option<ListLine> {
        let fields = FieldReader::new(line);
        if let Some(names) = header_names(line) {
            self.columns = Some(names.len());
            return Some(ListLine::Header(names));
        }
        SessionRow::read(self.columns?, fields).map(ListLine::Session)
    }
}

/// The names of the `user_*` fields, if the line is a header. No session can look like one: `src-ip` is no address.
fn header_names(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut fields = FieldReader::new(line).rest();
    let last = fields.len().checked_sub(LAST.len()).filter(|last| *last > 0)?;
    if fields.split_off(last) != LAST || fields.remove(0) != USER {
        return None;
    }
    Some(fields)
}
