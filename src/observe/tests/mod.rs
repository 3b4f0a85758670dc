//! Lines as they arrive at a destination, compared with lines captured from the reference.

mod destinations;
mod login_lines;
mod properties;

use std::path::PathBuf;

use homing_login::{ClientIdentity, Service};
use homing_wire::SessionId;

use super::LoginContext;
use crate::config::settings::{LogFormat, LogSettings, LogTarget};

/// Dovecot's defaults, without time stamps.
fn settings(target: LogTarget) -> LogSettings {
    let elements = "user=<%u> method=%m rip=%r lip=%l mpid=%e %c session=<%{session}>";
    LogSettings {
        target,
        syslog_facility: "mail".to_owned(),
        format: LogFormat::Dovecot,
        timestamp: String::new(),
        elements: elements.split(' ').map(str::to_owned).collect(),
        line: "%$: %s".to_owned(),
        auth_verbose: true,
        debug: false,
    }
}

/// The client of the captured conversations.
fn context(user: &str, method: &str) -> LoginContext {
    let session = SessionId::received(b"ZQCyXfFgM6Z/AE1k").unwrap();
    let (remote, local) = ("127.0.77.100:42547".parse().unwrap(), "127.0.77.1:143".parse().unwrap());
    let client = ClientIdentity::new(Service::Imap, remote, local, session);
    LoginContext { user: user.into(), mechanism: method.to_owned(), ..LoginContext::of(&client) }
}

/// What `write` logs, line by line.
fn logged(settings: &LogSettings, write: impl FnOnce()) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let settings = LogSettings { target: LogTarget::File(path.clone()), ..settings.clone() };
    let (dispatch, handle) = super::start::build(&settings, "dovecot", PathBuf::new()).unwrap();
    tracing::dispatcher::with_default(&dispatch, write);
    drop(handle);
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}
