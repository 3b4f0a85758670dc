//! The systemd journal, with the parts of a login line as fields of their own (`HOMING_USER`, ...).
//!
//! The journal's layer writes where it is called, and it may have to wait; so the writer thread plays each
//! record to it again, as an event of its own.

use std::io;

use tracing::{Dispatch, Level};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::observe::{format::unstamped, record::Record};

/// Written before the names of our fields.
const FIELD_PREFIX: &str = "HOMING";

pub(in crate::observe) struct Journal {
    dispatch: Dispatch,
}

impl Journal {
    /// Fails where no journal listens. `identifier` is what fail2ban and `journalctl -t` look for.
    pub(in crate::observe) fn connect(identifier: &str) -> io::Result<Self> {
        let layer = tracing_journald::layer()?
            .with_syslog_identifier(identifier.to_owned())
            .with_field_prefix(Some(FIELD_PREFIX.to_owned()));
        Ok(Self { dispatch: Dispatch::new(Registry::default().with(layer)) })
    }

    pub(super) fn write(&self, record: &Record) {
        tracing::dispatcher::with_default(&self.dispatch, || replay(record));
    }
}

/// The names are those that `login` gives to its events.
fn replay(record: &Record) {
    let text = unstamped(record);
    let field = |name| record.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let (user, method, session) = (field("user"), field("method"), field("session"));
    let (rip, lip, process) = (field("rip"), field("lip"), record.process.as_str());
    macro_rules! play {
        ($level:expr) => {
            tracing::event!(target: "homing", $level, process, user, method, rip, lip, session, "{text}")
        };
    }
    match record.level {
        Level::ERROR => play!(Level::ERROR),
        Level::WARN => play!(Level::WARN),
        Level::INFO => play!(Level::INFO),
        _ => play!(Level::DEBUG),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{Event, Subscriber};
    use tracing_subscriber::{Layer, layer::Context};

    use super::*;

    struct Capture(Arc<Mutex<Vec<Record>>>);

    impl<S: Subscriber> Layer<S> for Capture {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(Record::of(event));
        }
    }

    #[test]
    fn records_keep_level_text_and_fields() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let dispatch = Dispatch::new(Registry::default().with(Capture(Arc::clone(&seen))));
        let record = Record {
            at: jiff::Timestamp::UNIX_EPOCH,
            level: Level::WARN,
            process: "imap-login".to_owned(),
            message: "text".to_owned(),
            fields: vec![("user", "alice".to_owned()), ("rip", "192.0.2.1".to_owned())],
        };
        Journal { dispatch }.write(&record);
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].level, Level::WARN);
        assert_eq!(seen[0].message, "imap-login: Warning: text");
        assert_eq!(seen[0].fields, record.fields);
    }
}
