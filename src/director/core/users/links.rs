//! Doubly linked lists whose links lie in the rows themselves, so that being in two lists costs a row 16 bytes and
//! leaving one costs no search.

use super::{
    User,
    slots::{Slot, Slots},
};

/// The neighbours of a row in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Links {
    pub(super) before: Option<Slot>,
    pub(super) after: Option<Slot>,
}

/// Which of a row's links a list uses.
pub(super) type Field = fn(&mut User) -> &mut Links;

/// Both ends of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct List {
    pub(super) first: Option<Slot>,
    pub(super) last: Option<Slot>,
}

impl List {
    /// Appends a row that is not in the list.
    pub(super) fn push(&mut self, slots: &mut Slots, slot: Slot, field: Field) {
        let before = self.last.replace(slot);
        if let Some(user) = slots.row_mut(slot) {
            *field(user) = Links { before, after: None };
        }
        match before.and_then(|before| slots.row_mut(before)) {
            Some(user) => field(user).after = Some(slot),
            None => self.first = Some(slot),
        }
    }

    /// Takes out a row that is in the list; returns the neighbours it had.
    pub(super) fn unlink(&mut self, slots: &mut Slots, slot: Slot, field: Field) -> Links {
        let Some(links) = slots.row_mut(slot).map(|user| std::mem::take(field(user))) else {
            return Links::default();
        };
        match links.before.and_then(|before| slots.row_mut(before)) {
            Some(user) => field(user).after = links.after,
            None => self.first = links.after,
        }
        match links.after.and_then(|after| slots.row_mut(after)) {
            Some(user) => field(user).before = links.before,
            None => self.last = links.before,
        }
        links
    }
}
