//! The rows of the user table and how they are found: a sharded hash index. A row costs 48 bytes and its index entry
//! 5 bytes in a table that is half empty at worst; no growth touches more than one shard. It does not know what the
//! fields of a row mean.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::{
    User, UserKey,
    slab::{Slab, Slot},
};

/// Parts of the index. Growing one at a million users moves 4,000 entries instead of a million, so no login waits
/// for it.
const SHARDS: usize = 256;

/// Rows and their index. The order of the index is random and nothing walks over it.
#[derive(Debug)]
pub(super) struct Slots {
    rows: Slab<User>,
    shards: Vec<HashTable<Slot>>,
    hasher: RandomState,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            rows: Slab::new(),
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn find(&self, key: UserKey) -> Option<Slot> {
        let is_it = |slot: &Slot| self.row(*slot).is_some_and(|user| user.key == key);
        self.shards.get(shard(key))?.find(self.hasher.hash_one(key), is_it).copied()
    }

    pub(super) fn row(&self, slot: Slot) -> Option<&User> {
        self.rows.row(slot)
    }

    pub(super) fn row_mut(&mut self, slot: Slot) -> Option<&mut User> {
        self.rows.row_mut(slot)
    }

    /// The rows for their lists. Keys must not change.
    pub(super) fn rows_mut(&mut self) -> &mut Slab<User> {
        &mut self.rows
    }

    /// Adds a row whose key must be new. `None` if four thousand million rows are not enough.
    pub(super) fn insert(&mut self, user: User) -> Option<Slot> {
        let key = user.key;
        let slot = self.rows.insert(user)?;
        let (rows, hasher) = (&self.rows, &self.hasher);
        let rehash = |slot: &Slot| rows.row(*slot).map_or(0, |user| hasher.hash_one(user.key));
        self.shards.get_mut(shard(key))?.insert_unique(hasher.hash_one(key), slot, rehash);
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<User> {
        let key = self.row(slot)?.key;
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.shards.get_mut(shard(key))?.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
        self.rows.remove(slot)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows among `count` places from `first` on, and where to go on; `None` at the end. Rows never change
    /// places, so whoever comes back meets every row that stayed, once.
    pub(super) fn page(&self, first: usize, count: usize) -> (impl Iterator<Item = &User>, Option<usize>) {
        let places = self.rows.places();
        let end = first.saturating_add(count).min(places);
        let rows = (first..end).filter_map(|index| self.row(Slot::of(index)?));
        (rows, (end < places).then_some(end))
    }

    /// What is allocated, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let shards: usize =
            self.shards.iter().map(|shard| shard.allocation_size() + size_of::<HashTable<Slot>>()).sum();
        self.rows.bytes() + shards
    }
}

/// User hashes are spread evenly, being the beginning of a digest.
fn shard(key: UserKey) -> usize {
    key.hash.number() as usize % SHARDS
}
