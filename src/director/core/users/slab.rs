//! Rows that never move, in chunks: no growth copies any, and each is named by a small number that is used again once
//! the row is gone. It does not know what a row is.

use std::num::NonZeroU32;

/// Rows per chunk: 192 KiB of users, what one growth allocates.
const CHUNK_ROWS: usize = 4096;

/// Number of a row, from 1 so that "none" costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Slot(NonZeroU32);

impl Slot {
    pub(super) fn of(index: usize) -> Option<Self> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// The number, from 0.
    pub(in super::super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Rows by number. The number that became free last is used first, so equal histories give equal numbers.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<Slot>,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(super) fn row(&self, slot: Slot) -> Option<&T> {
        let (chunk, row) = place(slot);
        self.chunks.get(chunk)?.get(row)?.as_ref()
    }

    pub(super) fn row_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let (chunk, row) = place(slot);
        self.chunks.get_mut(chunk)?.get_mut(row)?.as_mut()
    }

    /// Adds a row. `None` if four thousand million rows are not enough.
    pub(super) fn insert(&mut self, row: T) -> Option<Slot> {
        let slot = match self.free.pop() {
            Some(slot) => {
                let (chunk, number) = place(slot);
                *self.chunks.get_mut(chunk)?.get_mut(number)? = Some(row);
                slot
            }
            None => self.append(row)?,
        };
        self.len += 1;
        Some(slot)
    }

    fn append(&mut self, row: T) -> Option<Slot> {
        if self.chunks.last().is_none_or(|rows| rows.len() == CHUNK_ROWS) {
            self.chunks.push(Vec::with_capacity(CHUNK_ROWS));
        }
        let slot = Slot::of(self.places())?;
        self.chunks.last_mut()?.push(Some(row));
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let (chunk, number) = place(slot);
        let row = self.chunks.get_mut(chunk)?.get_mut(number)?.take()?;
        self.free.push(slot);
        self.len -= 1;
        Some(row)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Rows and free places. All chunks but the last are full.
    pub(super) fn places(&self) -> usize {
        self.chunks.len().saturating_sub(1) * CHUNK_ROWS + self.chunks.last().map_or(0, Vec::len)
    }

    /// What is allocated, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rows: usize = self.chunks.iter().map(|rows| rows.capacity() * size_of::<Option<T>>()).sum();
        let chunks = self.chunks.capacity() * size_of::<Vec<Option<T>>>();
        rows + chunks + self.free.capacity() * size_of::<Slot>()
    }
}

fn place(slot: Slot) -> (usize, usize) {
    (slot.index() / CHUNK_ROWS, slot.index() % CHUNK_ROWS)
}
