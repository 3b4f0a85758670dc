//! Doubly linked lists whose links lie in the rows themselves, so that being in two lists costs a row 16 bytes and
//! leaving one costs no search.

use super::slab::{Slab, Slot};

/// The neighbours of a row in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Links {
    pub(super) before: Option<Slot>,
    pub(super) after: Option<Slot>,
}

/// Which of a row's links a list uses.
pub(super) type Field<T> = fn(&mut T) -> &mut Links;

/// Both ends of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct List {
    pub(super) first: Option<Slot>,
    pub(super) last: Option<Slot>,
}

impl List {
    /// Appends a row that is not in the list.
    pub(super) fn push<T>(&mut self, rows: &mut Slab<T>, slot: Slot, field: Field<T>) {
        let before = self.last.replace(slot);
        if let Some(row) = rows.row_mut(slot) {
            *field(row) = Links { before, after: None };
        }
        match before.and_then(|before| rows.row_mut(before)) {
            Some(row) => field(row).after = Some(slot),
            None => self.first = Some(slot),
        }
    }

    /// Takes out a row that is in the list; returns the neighbours it had.
    pub(super) fn unlink<T>(&mut self, rows: &mut Slab<T>, slot: Slot, field: Field<T>) -> Links {
        let Some(links) = rows.row_mut(slot).map(|row| std::mem::take(field(row))) else {
            return Links::default();
        };
        match links.before.and_then(|before| rows.row_mut(before)) {
            Some(row) => field(row).after = links.after,
            None => self.first = links.after,
        }
        match links.after.and_then(|after| rows.row_mut(after)) {
            Some(row) => field(row).before = links.before,
            None => self.last = links.before,
        }
        links
    }
}
