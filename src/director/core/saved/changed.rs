//! Which users are not as they were last written down, so that writing costs as much as was changed.

use std::collections::BTreeSet;

use super::{SavedHosts, SavedUser};
use crate::director::core::{UserHash, UserKey};

/// Most users that are noted; beyond that everything has to be written down anew. A few megabytes of notes at most, and
/// more users than change between two writes of a healthy disk.
pub const CHANGES_MAX: usize = 250_000;

/// Users by key. Notes nothing unless somebody writes.
#[derive(Debug, Default)]
pub(in super::super) struct Changed {
    is_on: bool,
    is_too_much: bool,
    keys: BTreeSet<UserKey>,
}

impl Changed {
    /// From now on changes count, and none has been made yet.
    pub(super) fn begin(&mut self) {
        *self = Self { is_on: true, ..Self::default() };
    }

    pub(in super::super) fn note(&mut self, user: UserKey) {
        if !self.is_on || self.is_too_much {
            return;
        }
        self.keys.insert(user);
        if self.keys.len() > CHANGES_MAX {
            self.keys = BTreeSet::new();
            self.is_too_much = true;
        }
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.is_too_much
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn next(&mut self) -> Option<UserKey> {
        self.keys.pop_first()
    }

    pub(super) fn settle(&mut self, user: UserKey) {
        self.keys.remove(&user);
    }
}

/// How a user is now who was written down differently, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The mapping.
    Is(SavedUser),
    /// There is none any more.
    Gone {
        /// Under which tag.
        tag: Vec<u8>,
        /// Who.
        hash: UserHash,
    },
}

/// What is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsavedChanges {
    /// Everything: too much has changed, or nobody has written before.
    Everything,
    /// Users, and more may be there.
    Users(Vec<Change>),
    /// The last users; and the backends, if those have changed. All mappings so far name a backend that is known by
    /// now.
    Last(Vec<Change>, Option<SavedHosts>),
}
