//! Settings of the log.

use std::path::Path;

use super::View;
use crate::config::settings::{LogFormat, LogSettings, LogTarget};

pub(super) fn log(view: &View<'_>) -> LogSettings {
    LogSettings {
        target: target(&view.text("log_path"), &view.text("base_dir")),
        syslog_facility: view.text("syslog_facility"),
        format: if view.text("log_format") == "json" { LogFormat::Json } else { LogFormat::Dovecot },
        timestamp: view.text("log_timestamp"),
        elements: elements(&view.text("login_log_format_elements")),
        line: view.text("login_log_format"),
        auth_verbose: view.flag("auth_verbose"),
        debug: view.flag("mail_debug") || view.flag("auth_debug"),
    }
}

fn target(path: &str, base_dir: &str) -> LogTarget {
    match path {
        "" | "syslog" => LogTarget::Syslog,
        "journal" => LogTarget::Journal,
        "/dev/stderr" => LogTarget::Stderr,
        path => LogTarget::File(Path::new(base_dir).join(path)),
    }
}

/// Splits at spaces outside `%{}`.
fn elements(text: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let mut in_braces = false;
    for c in text.chars() {
        match c {
            '{' => in_braces = true,
            '}' => in_braces = false,
            _ => {}
        }
        match elements.last_mut() {
            Some(last) if c != ' ' || in_braces => last.push(c),
            _ => elements.push(String::new()),
        }
    }
    elements.retain(|element| !element.is_empty());
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_end_at_spaces_outside_braces() {
        assert_eq!(elements(" a=<%u>  b %{if;%d;eq;x;y z;w}c "), ["a=<%u>", "b", "%{if;%d;eq;x;y z;w}c"]);
        assert_eq!(elements("%{a b"), ["%{a b"]);
    }

    #[test]
    fn targets() {
        for (path, wanted) in [
            ("syslog", LogTarget::Syslog),
            ("", LogTarget::Syslog),
            ("journal", LogTarget::Journal),
            ("/dev/stderr", LogTarget::Stderr),
            ("/var/log/x", LogTarget::File("/var/log/x".into())),
            ("x.log", LogTarget::File("/run/dovecot/x.log".into())),
        ] {
            assert_eq!(target(path, "/run/dovecot"), wanted, "{path}");
        }
    }
}
