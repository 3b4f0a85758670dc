//! One record as text: Dovecot's line, syslog's datagram, or a JSON object.

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use serde_json::{Map, Value};
use tracing::Level;

use super::record::Record;
use crate::config::settings::LogFormat;

/// How lines in files and on standard error look.
#[derive(Debug, Clone)]
pub(super) struct LineFormat {
    pub(super) format: LogFormat,
    /// strftime; the space behind it is part of it.
    pub(super) timestamp: String,
    pub(super) zone: TimeZone,
}

impl LineFormat {
    /// One line with its line end.
    pub(super) fn line(&self, record: &Record) -> String {
        match self.format {
            LogFormat::Dovecot => self.dovecot(record),
            LogFormat::Json => self.json(record),
        }
    }

    fn dovecot(&self, record: &Record) -> String {
        let stamp = stamp(record.at, &self.zone, &self.timestamp);
        format!("{stamp}{}: {}: {}\n", record.process, level_word(record.level), record.message)
    }

    fn json(&self, record: &Record) -> String {
        let at = record.at.to_zoned(self.zone.clone());
        let mut object = Map::new();
        object.insert("time".to_owned(), stamp_json(&at));
        object.insert("level".to_owned(), level_word(record.level).to_ascii_lowercase().into());
        object.insert("process".to_owned(), record.process.as_str().into());
        object.insert("message".to_owned(), record.message.as_str().into());
        for (key, value) in &record.fields {
            object.entry(*key).or_insert_with(|| value.as_str().into());
        }
        format!("{}\n", Value::Object(object))
    }
}

/// The datagram glibc's `syslog()` would send, without a process id: `<22>Nov 24 08:57:14 dovecot: imap-login: …`
/// as captured from the reference. `facility` is the number, not shifted.
pub(super) fn syslog_datagram(record: &Record, facility: u8, identifier: &str, zone: &TimeZone) -> String {
    let priority = u16::from(facility) * 8 + u16::from(severity(record.level));
    let stamp = stamp(record.at, zone, "%b %e %H:%M:%S");
    format!("<{priority}>{stamp} {identifier}: {}", unstamped(record))
}

/// What syslog and the journal get: the level is left out where it is the normal one.
pub(super) fn unstamped(record: &Record) -> String {
    match record.level {
        Level::INFO => format!("{}: {}", record.process, record.message),
        level => format!("{}: {}: {}", record.process, level_word(level), record.message),
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "Error",
        Level::WARN => "Warning",
        Level::INFO => "Info",
        _ => "Debug",
    }
}

/// RFC 5424 section 6.2.1.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Conversions that do not exist stay as they are written; a log line is worth more than its stamp.
fn stamp(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    let zoned = at.to_zoned(zone.clone());
    let config = strtime::Config::new().lenient(true);
    strtime::BrokenDownTime::from(&zoned).to_string_with_config(&config, format).unwrap_or_default()
}

fn stamp_json(at: &jiff::Zoned) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(level: Level) -> Record {
        Record {
            at: "2026-11-04T08:00:05.5Z".parse().unwrap(),
            level,
            process: "imap-login".to_owned(),
            message: "Disconnected: \"x\"".to_owned(),
            fields: vec![("session", "abc".to_owned()), ("level", "forged".to_owned())],
        }
    }

    fn format(format: LogFormat, timestamp: &str) -> LineFormat {
        LineFormat { format, timestamp: timestamp.to_owned(), zone: TimeZone::UTC }
    }

    #[test]
    fn files_get_the_stamp_and_every_level() {
        let lines = format(LogFormat::Dovecot, "%b %d %H:%M:%S ");
        let line = lines.line(&record(Level::INFO));
        assert_eq!(line, "Nov 04 08:00:05 imap-login: Info: Disconnected: \"x\"\n");
        assert!(lines.line(&record(Level::ERROR)).contains("imap-login: Error: Dis"));
        let odd = format(LogFormat::Dovecot, "%Y %! ").line(&record(Level::WARN));
        assert!(odd.starts_with("2026 %! imap-login: Warning: "), "{odd}");
    }

    #[test]
    fn syslog_is_as_captured_from_the_reference() {
        let datagram = |level| syslog_datagram(&record(level), 2, "dovecot", &TimeZone::UTC);
        assert_eq!(datagram(Level::INFO), "<22>Nov  4 08:00:05 dovecot: imap-login: Disconnected: \"x\"");
        assert_eq!(
            datagram(Level::WARN),
            "<20>Nov  4 08:00:05 dovecot: imap-login: Warning: Disconnected: \"x\""
        );
    }

    #[test]
    fn json_is_one_object_and_fields_cannot_replace_the_frame() {
        let line = format(LogFormat::Json, "").line(&record(Level::INFO));
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "info");
        assert_eq!(value["session"], "abc");
        assert_eq!(value["message"], "Disconnected: \"x\"");
        assert_eq!(value["time"], "2026-11-04T08:00:05.500000+00:00");
    }
}
