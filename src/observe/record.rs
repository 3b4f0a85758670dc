//! One event, taken out of `tracing`, ready to be written by another thread.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// Longest message and longest field value, in bytes; the rest is cut with `...`. Syslog daemons take 8 KiB.
pub(super) const TEXT_BYTES_MAX: usize = 8000;

/// What a destination writes.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// For example `imap-login`.
    pub(super) process: String,
    /// One line, no control characters.
    pub(super) message: String,
    /// In the order of the event, likewise clean.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut collect = Collect { message: String::new(), process: None, fields: Vec::new() };
        event.record(&mut collect);
        Self {
            at: Timestamp::now(),
            level: *metadata.level(),
            process: collect.process.unwrap_or_else(|| process_of(metadata.target()).to_owned()),
            message: collect.message,
            fields: collect.fields,
        }
    }
}

/// The process name in Dovecot that corresponds to a room.
fn process_of(target: &str) -> &'static str {
    match target.split("::").nth(1) {
        Some("auth") => "auth",
        // There it is the director that serves administrators and asks for others; what the checks say is about its
        // backends.
        Some("director" | "admin" | "relay" | "health") => "director",
        Some("config") => "config",
        _ => "master",
    }
}

struct Collect {
    message: String,
    process: Option<String>,
    fields: Vec<(&'static str, String)>,
}

impl Collect {
    fn take(&mut self, field: &Field, text: &str) {
        let text = one_line(text);
        match field.name() {
            "message" => self.message = text,
            "process" => self.process = Some(text),
            name => self.fields.push((name, text)),
        }
    }
}

impl Visit for Collect {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, &format!("{value:?}"));
    }
}

/// Escapes control characters and line separators as `\xNN`, and cuts after [`TEXT_BYTES_MAX`] bytes. Peers'
/// bytes have been through `printable` before; this is the net below it.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    for c in text.chars() {
        if out.len() >= TEXT_BYTES_MAX {
            out.push_str("...");
            break;
        }
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_on_one_bounded_line() {
        assert_eq!(one_line("a\nb\x1b[0m\u{85}é"), "a\\x0ab\\x1b[0m\\xc2\\x85é");
        let long = one_line(&"x".repeat(100_000));
        assert!(long.len() < TEXT_BYTES_MAX + 8 && long.ends_with("..."));
    }

    #[test]
    fn rooms_have_process_names() {
        assert_eq!(process_of("homing::director::core"), "director");
        assert_eq!(process_of("homing::admin"), "director");
        assert_eq!(process_of("homing::tls::watch"), "master");
        assert_eq!(process_of("tokio"), "master");
    }
}
