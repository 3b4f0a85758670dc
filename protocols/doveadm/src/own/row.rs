//! The rows that answer own requests.

use super::{
    CurrentRow, DrainRow, EventRow, Failure, HostRow, LoadRow, LoadedRow, MovingRow, PlanRow, RingRow,
    SessionRow, StateHostRow, StateUserRow, record::Record,
};
use crate::{director, fields::UserHash};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// An own word that is known.
    Word(String),
    /// What the director knows a user by.
    Hash(HashRow),
    /// A backend.
    Host(HostRow),
    /// A live session.
    Session(SessionRow),
    /// The mapping of a user.
    Current(CurrentRow),
    /// The move of a user under way.
    Moving(MovingRow),
    /// Where a new mapping would be.
    Ring(RingRow),
    /// Something that happened to a user.
    Event(EventRow),
    /// Something else worth knowing, in words for people.
    Note(String),
    /// Users who would fare the same.
    Plan(PlanRow),
    /// How far a drain is.
    Drain(DrainRow),
    /// A backend, in a dump.
    StateHost(StateHostRow),
    /// A mapping, in a dump.
    StateUser(StateUserRow),
    /// A user who was not brought to a backend.
    NotLoaded(LoadRow),
    /// How many others were.
    Loaded(LoadedRow),
    /// What was waited for has not ended yet; so many are left, if that is known.
    Waiting(Option<u64>),
    /// It is done, or these were all. Answers that may have no other row end with it.
    End,
    /// It was not done.
    Failure(Failure),
    /// A row of a later version.
    Other,
}

/// What the director knows a user by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashRow {
    /// The name as asked.
    pub user: Vec<u8>,
    /// Its hash.
    pub hash: UserHash,
}

impl Row {
    /// As it is sent. Values beyond [`super::VALUE_BYTES_MAX`] are cut.
    pub fn to_row(&self) -> director::Row {
        director::Row::Own(self.record().into_fields())
    }

    fn record(&self) -> Record {
        match self {
            Self::Word(word) => Record::new("word").show("name", word),
            Self::Hash(row) => Record::new("hash").bytes("user", &row.user).show("hash", row.hash),
            Self::Host(row) => row.record(),
            Self::Session(row) => row.record(),
            Self::Current(row) => row.record(),
            Self::Moving(row) => row.record(),
            Self::Ring(row) => row.record(),
            Self::Event(row) => row.record(),
            Self::Note(text) => Record::new("note").show("text", text),
            Self::Plan(row) => row.record(),
            Self::Drain(row) => row.record(),
            Self::StateHost(row) => row.record(),
            Self::StateUser(row) => row.record(),
            Self::NotLoaded(row) => row.record(),
            Self::Loaded(row) => row.record(),
            Self::Waiting(left) => Record::new("waiting").optional("left", *left),
            Self::End => Record::new("end"),
            Self::Failure(failure) => failure.record(),
            Self::Other => Record::new("other"),
        }
    }

    /// Reads the fields of a row. A word of a later version is [`Row::Other`]; `None`: a known word lacks something.
    pub fn read(fields: &[Vec<u8>]) -> Option<Self> {
        let record = &Record::read(fields)?;
        Some(match std::str::from_utf8(record.word()).unwrap_or_default() {
            "word" => Self::Word(record.text("name")),
            "hash" => Self::Hash(HashRow {
                user: record.get("user")?.to_vec(),
                hash: UserHash(record.number("hash")?),
            }),
            HostRow::WORD => Self::Host(HostRow::read(record)?),
            SessionRow::WORD => Self::Session(SessionRow::read(record)?),
            CurrentRow::WORD => Self::Current(CurrentRow::read(record)?),
            MovingRow::WORD => Self::Moving(MovingRow::read(record)),
            RingRow::WORD => Self::Ring(RingRow::read(record)),
            EventRow::WORD => Self::Event(EventRow::read(record)?),
            "note" => Self::Note(record.text("text")),
            PlanRow::WORD => Self::Plan(PlanRow::read(record)?),
            DrainRow::WORD => Self::Drain(DrainRow::read(record)?),
            StateHostRow::WORD => Self::StateHost(StateHostRow::read(record)?),
            StateUserRow::WORD => Self::StateUser(StateUserRow::read(record)?),
            LoadRow::WORD => Self::NotLoaded(LoadRow::read(record)?),
            LoadedRow::WORD => Self::Loaded(LoadedRow::read(record)?),
            "waiting" => Self::Waiting(record.number("left")),
            "end" => Self::End,
            Failure::WORD => Self::Failure(Failure::read(record)),
            _ => Self::Other,
        })
    }
}
