//! The local syslog daemon, through its datagram socket.

use std::{
    io::{self, Write as _},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;

use crate::observe::{format::syslog_datagram, record::Record};

/// A daemon that does not take a line for this long counts as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to leave a daemon alone that is gone. Lines go to standard error meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Sends datagrams; falls back to standard error, so that no line is lost while syslog restarts.
pub(in crate::observe) struct Syslog {
    path: PathBuf,
    facility: u8,
    identifier: String,
    zone: TimeZone,
    state: State,
}

enum State {
    Connected(UnixDatagram),
    Down { since: Option<Instant> },
}

impl Syslog {
    /// `facility` by name. `None` if there is no such facility.
    pub(in crate::observe) fn new(
        path: PathBuf,
        facility: &str,
        identifier: &str,
        zone: TimeZone,
    ) -> Option<Self> {
        let facility = facility_number(facility)?;
        let state = State::Down { since: None };
        Some(Self { path, facility, identifier: identifier.to_owned(), zone, state })
    }

    pub(super) fn write(&mut self, record: &Record) -> bool {
        let datagram = syslog_datagram(record, self.facility, &self.identifier, &self.zone);
        // A daemon that was restarted leaves a dead socket behind: the second attempt is on a new one.
        self.send(&datagram) || self.send(&datagram) || to_stderr(&datagram)
    }

    fn send(&mut self, datagram: &str) -> bool {
        if let State::Down { since } = self.state {
            if since.is_some_and(|since| since.elapsed() < RETRY_AFTER) {
                return false;
            }
            let down = |_| State::Down { since: Some(Instant::now()) };
            self.state = self.connect().map_or_else(down, State::Connected);
        }
        let State::Connected(socket) = &self.state else { return false };
        match socket.send(datagram.as_bytes()) {
            Ok(_) => true,
            Err(error) => {
                let slow = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                self.state = State::Down { since: slow.then(Instant::now) };
                false
            }
        }
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(socket)
    }
}

fn to_stderr(datagram: &str) -> bool {
    io::stderr().write_all(format!("{datagram}\n").as_bytes()).is_ok()
}

/// RFC 5424 section 6.2.1, with the names of syslog.conf.
fn facility_number(name: &str) -> Option<u8> {
    const NAMES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    ];
    if let Some(local) = name.strip_prefix("local") {
        return local.parse::<u8>().ok().filter(|n| *n < 8).map(|n| n + 16);
    }
    NAMES.iter().position(|known| *known == name).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities() {
        assert_eq!(facility_number("mail"), Some(2));
        assert_eq!(facility_number("authpriv"), Some(10));
        assert_eq!(facility_number("local7"), Some(23));
        assert_eq!(facility_number("local8"), None);
        assert_eq!(facility_number("post"), None);
    }
}
