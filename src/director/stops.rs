//! How to end each session that this program forwards, beside the core's table of sessions: found by the place of the
//! session there, without a search. It does not know why a session ends.

use tokio_util::sync::CancellationToken;

use super::core::SessionKey;

/// Sessions per chunk: 32 KiB, what one growth allocates. No growth copies anything.
const CHUNK: usize = 4096;

/// Handles by session, for those that live. Foreign sessions have none.
#[derive(Debug, Default)]
pub(super) struct Stops {
    chunks: Vec<Vec<Option<CancellationToken>>>,
}

impl Stops {
    /// Notes how to end a session that has just begun.
    pub(super) fn add(&mut self, session: SessionKey, stop: CancellationToken) {
        let (chunk, place) = place(session);
        while self.chunks.len() <= chunk {
            self.chunks.push(std::iter::repeat_with(|| None).take(CHUNK).collect());
        }
        if let Some(entry) = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)) {
            *entry = Some(stop);
        }
    }

    /// The handle of a session that lives.
    pub(super) fn of(&self, session: SessionKey) -> Option<&CancellationToken> {
        let (chunk, place) = place(session);
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    /// Forgets the handle of a session that ends; before its place has a successor.
    pub(super) fn remove(&mut self, session: SessionKey) {
        let (chunk, place) = place(session);
        if let Some(entry) = self.chunks.get_mut(chunk).and_then(|chunk| chunk.get_mut(place)) {
            *entry = None;
        }
    }
}

fn place(session: SessionKey) -> (usize, usize) {
    (session.place() / CHUNK, session.place() % CHUNK)
}
