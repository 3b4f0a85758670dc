//! Where the rows of the user table lie: chunks that never move, found through a sharded hash index. A row costs 48
//! bytes and its index entry 5 bytes in a table that is half empty at worst; no growth copies rows, and none touches
//! more than one shard. It does not know what the fields of a row mean.

use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
};

use hashbrown::HashTable;

use super::{User, UserKey};

/// Rows per chunk: 192 KiB, what one growth allocates.
const CHUNK_ROWS: usize = 4096;
/// Parts of the index. Growing one at a million users moves 4,000 entries instead of a million, so no login waits
/// for it.
const SHARDS: usize = 256;

/// Number of a row, from 1 so that "none" costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Slot(NonZeroU32);

impl Slot {
    fn of(index: usize) -> Option<Self> {
        u32::try_from(index + 1).ok().and_then(NonZeroU32::new).map(Self)
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Rows and their index. The order of the index is random and nothing walks over it.
#[derive(Debug)]
pub(super) struct Slots {
    chunks: Vec<Vec<Option<User>>>,
    free: Vec<Slot>,
    shards: Vec<HashTable<Slot>>,
    hasher: RandomState,
    len: usize,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::new(),
            len: 0,
        }
    }

    pub(super) fn find(&self, key: UserKey) -> Option<Slot> {
        let is_it = |slot: &Slot| self.row(*slot).is_some_and(|user| user.key == key);
        self.shards.get(shard(key))?.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub(super) fn row(&self, slot: Slot) -> Option<&User> {
        let (chunk, row) = place(slot);
        self.chunks.get(chunk)?.get(row)?.as_ref()
    }

    pub(super) fn row_mut(&mut self, slot: Slot) -> Option<&mut User> {
        let (chunk, row) = place(slot);
        self.chunks.get_mut(chunk)?.get_mut(row)?.as_mut()
    }

    /// Adds a row whose key must be new. `None` if four thousand million rows are not enough.
    pub(super) fn insert(&mut self, user: User) -> Option<Slot> {
        let key = user.key;
        let slot = match self.free.pop() {
            Some(slot) => {
                let (chunk, row) = place(slot);
                *self.chunks.get_mut(chunk)?.get_mut(row)? = Some(user);
                slot
            }
            None => self.append(user)?,
        };
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        let rehash = |slot: &Slot| {
            let (chunk, row) = place(*slot);
            let user = chunks.get(chunk).and_then(|rows| rows.get(row)?.as_ref());
            user.map_or(0, |user| hasher.hash_one(user.key))
        };
        self.shards.get_mut(shard(key))?.insert_unique(hasher.hash_one(key), slot, rehash);
        self.len += 1;
        Some(slot)
    }

    fn append(&mut self, user: User) -> Option<Slot> {
        if self.chunks.last().is_none_or(|rows| rows.len() == CHUNK_ROWS) {
            self.chunks.push(Vec::with_capacity(CHUNK_ROWS));
        }
        let rows = self.chunks.len().saturating_sub(1) * CHUNK_ROWS + self.chunks.last()?.len();
        let slot = Slot::of(rows)?;
        self.chunks.last_mut()?.push(Some(user));
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<User> {
        let key = self.row(slot)?.key;
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.shards.get_mut(shard(key))?.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
        let (chunk, row) = place(slot);
        let user = self.chunks.get_mut(chunk)?.get_mut(row)?.take();
        self.free.push(slot);
        self.len -= 1;
        user
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The rows among `count` places from `first` on, and where to go on; `None` at the end. Rows never change
    /// places, so whoever comes back meets every row that stayed, once.
    pub(super) fn page(&self, first: usize, count: usize) -> (impl Iterator<Item = &User>, Option<usize>) {
        let places = self.places();
        let end = first.saturating_add(count).min(places);
        let rows = (first..end).filter_map(|index| self.row(Slot::of(index)?));
        (rows, (end < places).then_some(end))
    }

    fn places(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// What is allocated, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let rows: usize = self.chunks.iter().map(|rows| rows.capacity() * size_of::<Option<User>>()).sum();
        let chunks = self.chunks.capacity() * size_of::<Vec<Option<User>>>();
        let free = self.free.capacity() * size_of::<Slot>();
        let shards: usize =
            self.shards.iter().map(|shard| shard.allocation_size() + size_of::<HashTable<Slot>>()).sum();
        rows + chunks + free + shards
    }
}

fn place(slot: Slot) -> (usize, usize) {
    (slot.index() / CHUNK_ROWS, slot.index() % CHUNK_ROWS)
}

/// User hashes are spread evenly, being the beginning of a digest.
fn shard(key: UserKey) -> usize {
    key.hash.number() as usize % SHARDS
}
