//! What holds for any text from a peer.

use homing_login::CloseReason;
use serde_json::Value;

use super::{context, logged, settings};
use crate::{
    config::settings::{LogFormat, LogSettings, LogTarget},
    observe::{Extra, LoginLog},
};

/// Characters that could end a line or imitate another element, between plain ones.
fn hostile(choices: &[u8]) -> String {
    const PIECES: [&str; 8] =
        ["\n", "\r\n", "\0", "\x1b[2J", "\u{2028}", ">, rip=192.0.2.1, user=<", "(", "\u{85}"];
    let piece = |c: &u8| match *c {
        n @ 0..128 => PIECES[usize::from(n) % PIECES.len()].to_owned(),
        byte => char::from(byte - 96).to_string(),
    };
    choices.iter().map(piece).collect()
}

fn with_format(format: LogFormat) -> LogSettings {
    LogSettings { format, ..settings(LogTarget::Stderr) }
}

#[test]
fn any_event_is_one_line() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(message, field)| {
        let (message, field) = (hostile(message), hostile(field));
        let write = || tracing::info!(target: "homing::session", field = %field, "{message}");
        let lines = logged(&with_format(LogFormat::Dovecot), write);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("master: Info: ") && !lines[0].contains(char::is_control));
        let lines = logged(&with_format(LogFormat::Json), write);
        let value: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((lines.len(), &value["process"]), (1, &Value::from("master")));
    });
}

#[test]
fn a_client_cannot_add_elements_to_its_login_line() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, Vec<u8>)>().for_each(|(user, mechanism, name)| {
        let mut context = context(&hostile(user), &hostile(mechanism));
        context.local_name = hostile(name);
        let settings = with_format(LogFormat::Dovecot);
        let lines = logged(&settings, || {
            let log = LoginLog::new(&settings);
            log.disconnected(&context, CloseReason::ConnectionClosed, None, Extra::NoAttempts { secs: 0 });
        });
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert!(line.starts_with("imap-login: Info: Disconnected: Connection closed "), "{line}");
        assert!(line.ends_with(", session=<ZQCyXfFgM6Z/AE1k>"), "{line}");
        assert_eq!((line.matches('<').count(), line.matches('>').count()), (2, 2), "{line}");
    });
}
