//! What the log has been told about the auth service, so that it is told once. Connections share it.

use std::sync::{Mutex, PoisonError};

/// The last trouble told; empty while the service works.
#[derive(Default)]
pub(super) struct Trouble(Mutex<String>);

impl Trouble {
    /// Notes a trouble; true if it is another than the last one.
    pub(super) fn begins(&self, text: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *told != text;
        text.clone_into(&mut told);
        is_news
    }

    /// The service works; true if it did not before.
    pub(super) fn ends(&self) -> bool {
        !std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_news_once_until_it_has_ended() {
        let trouble = Trouble::default();
        assert!(!trouble.ends());
        assert!(trouble.begins("EOF") && !trouble.begins("EOF"));
        assert!(trouble.begins("connect() failed"));
        assert!(trouble.ends() && !trouble.ends());
        assert!(trouble.begins("connect() failed"));
    }
}
