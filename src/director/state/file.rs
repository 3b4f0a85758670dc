//! Reading a file: all of it up to the last batch that is whole, or nothing. A batch that was being written when the
//! program or the machine ended is left out; damage anywhere else refuses the file.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, BufRead},
};

use thiserror::Error;

use super::{
    record::{Record, VERSION},
    seal::{Line, Lines},
};
use crate::director::core::{Change, Saved, SavedHosts, SavedUser, UserHash};

/// Why a file is not used.
#[derive(Debug, Error)]
pub(super) enum ReadError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Something else.
    #[error("it is no state of Homing's director")]
    Foreign,
    /// Of a later version.
    #[error("it was written by a newer Homing: its format is {0}, known is {VERSION}")]
    TooNew(u32),
    /// The checksum is wrong.
    #[error("it is damaged at line {0}")]
    Damaged(u64),
    /// Shorter than it was when it got its name.
    #[error("it is cut off at line {0}")]
    CutOff(u64),
    /// The checksum is right, and yet.
    #[error("line {0} cannot be understood")]
    Unreadable(u64),
}

/// What counts of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    bytes: u64,
    lines: u64,
    /// Lines behind that, which do not count.
    pub(super) lines_left_out: u64,
}

/// Checks every line and understands none.
pub(super) fn measure(input: impl BufRead) -> Result<Extent, ReadError> {
    let mut lines = Lines::new(input);
    let (mut number, mut counted, mut extent) = (0_u64, 0, None);
    loop {
        number += 1;
        match lines.next()? {
            Line::End if number == 1 => return Err(ReadError::Foreign),
            Line::End => break,
            Line::Broken if number == 1 => return Err(ReadError::Foreign),
            Line::Broken => {
                number += broken_to_the_end(&mut lines, number)?;
                break;
            }
            Line::Whole(body) if number == 1 => check_header(Record::parse(body).as_ref())?,
            Line::Whole(body) if Record::is_commit(body) => {
                counted = number;
                extent = Some(lines.bytes());
            }
            Line::Whole(_) => {}
        }
    }
    let bytes = extent.ok_or(ReadError::CutOff(number))?;
    Ok(Extent { bytes, lines: counted, lines_left_out: number - 1 - counted })
}

fn check_header(record: Option<&Record>) -> Result<(), ReadError> {
    match record {
        Some(Record::Header(VERSION)) => Ok(()),
        Some(Record::Header(version)) => Err(ReadError::TooNew(*version)),
        _ => Err(ReadError::Foreign),
    }
}

/// The last lines may be broken: how many, the end included. With whole ones behind them it is not the end of a write.
fn broken_to_the_end(lines: &mut Lines<impl BufRead>, broken: u64) -> Result<u64, ReadError> {
    let mut count = 1;
    loop {
        match lines.next()? {
            Line::End => return Ok(count),
            Line::Broken => count += 1,
            Line::Whole(_) => return Err(ReadError::Damaged(broken)),
        }
    }
}

/// Reads what counts.
pub(super) fn read(input: impl BufRead, extent: Extent) -> Result<Saved, ReadError> {
    let mut lines = Lines::new(input.take(extent.bytes));
    let mut book = Book::with_room(extent.lines);
    let mut number = 0;
    loop {
        number += 1;
        match lines.next()? {
            Line::End => return book.close().ok_or(ReadError::CutOff(number)),
            // It was not when it was measured.
            Line::Broken => return Err(ReadError::Damaged(number)),
            Line::Whole(body) => {
                let record = Record::parse(body).ok_or(ReadError::Unreadable(number))?;
                let is_header = matches!(record, Record::Header(_));
                let entered = book.enter(record).filter(|()| is_header == (number == 1));
                entered.ok_or(ReadError::Unreadable(number))?;
            }
        }
    }
}

/// What the records amount to. Most of them are about users: the order is that of the file, and the index has numbers
/// only.
struct Book {
    hosts: Option<SavedHosts>,
    users: Vec<SavedUser>,
    tags: HashMap<Vec<u8>, u32>,
    /// Where each user is, by the number of the tag.
    places: HashMap<(u32, UserHash), usize>,
}

impl Book {
    /// Memory for so many lines; what is not used is not taken.
    fn with_room(lines: u64) -> Self {
        let users = Vec::with_capacity(usize::try_from(lines).unwrap_or_default());
        Self { hosts: None, users, tags: HashMap::new(), places: HashMap::new() }
    }

    /// `None` if the record makes no sense here.
    fn enter(&mut self, record: Record) -> Option<()> {
        match record {
            Record::Table(naming, expire) => {
                self.hosts = Some(SavedHosts {
                    naming,
                    expire,
                    configured: Vec::new(),
                    backends: Vec::new(),
                    drains: Vec::new(),
                });
            }
            Record::Configured(host) => self.hosts.as_mut()?.configured.push(host),
            Record::Backend(row) => self.hosts.as_mut()?.backends.push(row),
            Record::Drain(drain) => self.hosts.as_mut()?.drains.push(drain),
            Record::User(Change::Is(user)) => self.set(user)?,
            Record::User(Change::Gone { tag, hash }) => self.remove(&tag, hash),
            Record::Header(_) | Record::Commit => {}
        }
        Some(())
    }

    fn set(&mut self, user: SavedUser) -> Option<()> {
        let tag = match self.tags.get(&user.tag) {
            Some(tag) => *tag,
            None => {
                let next = u32::try_from(self.tags.len()).ok()?;
                *self.tags.entry(user.tag.clone()).or_insert(next)
            }
        };
        match self.places.entry((tag, user.hash)) {
            Entry::Occupied(place) => *self.users.get_mut(*place.get())? = user,
            Entry::Vacant(place) => {
                place.insert(self.users.len());
                self.users.push(user);
            }
        }
        Some(())
    }

    /// The last one takes the place.
    fn remove(&mut self, tag: &[u8], hash: UserHash) {
        let tag = self.tags.get(tag);
        let Some(place) = tag.and_then(|tag| self.places.remove(&(*tag, hash))) else { return };
        self.users.swap_remove(place);
        let moved = self.users.get(place).and_then(|user| Some((*self.tags.get(&user.tag)?, user.hash)));
        if let Some(moved) = moved {
            self.places.insert(moved, place);
        }
    }

    fn close(self) -> Option<Saved> {
        Some(Saved { hosts: self.hosts?, users: self.users })
    }
}
