//! What is known of sessions beside the core's table of them, found by the place of the session there and so without a
//! search. It does not know what that is.

use super::core::SessionKey;

/// Sessions per chunk, what one growth allocates. No growth copies anything.
const CHUNK: usize = 4096;

/// Something for each of the sessions that live; for some of them, nothing.
#[derive(Debug)]
pub(super) struct BySession<T> {
    chunks: Vec<Vec<Option<T>>>,
}

impl<T> BySession<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// For a session that has just begun.
    pub(super) fn insert(&mut self, session: SessionKey, value: T) {
        let (chunk, place) = place(session);
        while self.chunks.len() <= chunk {
            self.chunks.push(std::iter::repeat_with(|| None).take(CHUNK).collect());
        }
        if let Some(entry) = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)) {
            *entry = Some(value);
        }
    }

    /// Of a session that lives.
    pub(super) fn get(&self, session: &SessionKey) -> Option<&T> {
        let (chunk, place) = place(*session);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    /// For a session that ends: before its place has a successor.
    pub(super) fn remove(&mut self, session: &SessionKey) -> Option<T> {
        let (chunk, place) = place(*session);
        self.chunks.get_mut(chunk)?.get_mut(place)?.take()
    }
}

fn place(session: SessionKey) -> (usize, usize) {
    (session.place() / CHUNK, session.place() % CHUNK)
}
