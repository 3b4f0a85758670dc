//! `homing check`.

use std::{path::Path, process::ExitCode};

use super::{EXIT_CONFIG, print};
use crate::{
    app,
    config::{self, Report, settings::Settings},
};

/// What to print beside problems.
pub(super) struct Shown {
    /// The settings that differ from their defaults.
    pub(super) non_defaults: bool,
    /// All settings.
    pub(super) all: bool,
    /// What does nothing here.
    pub(super) ignored: bool,
}

pub(super) fn check(path: &Path, shown: &Shown) -> ExitCode {
    let config::Outcome { settings, report, parsed } = config::load(path);
    let refused = settings.and_then(rehearse);
    let fine = !report.has_errors() && refused.is_none();
    let text = words(path, &report, refused.as_deref(), shown.ignored);
    if shown.non_defaults || shown.all {
        print(&config::dump(&parsed, shown.all));
        // Standard output can be read as a configuration.
        eprint!("{text}");
    } else {
        print(&text);
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}

/// Why a start would be refused although the configuration can be read: keys that do not fit, an address with two tags.
fn rehearse(settings: Settings) -> Option<String> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Some(error.to_string()),
    };
    let refused = runtime.block_on(app::rehearse(settings)).err().map(|error| error.to_string());
    // A slow resolver need not be waited for.
    runtime.shutdown_background();
    refused
}

/// Problems, then one line that says what they amount to.
fn words(path: &Path, report: &Report, refused: Option<&str>, with_ignored: bool) -> String {
    let path = path.display();
    let mut lines: Vec<String> = report.errors().collect();
    lines.extend(refused.map(|refused| format!("{path}: {refused}")));
    lines.extend(report.warnings());
    if with_ignored {
        lines.extend(report.ignored_settings());
    }
    let has_hidden = !with_ignored && report.ignored_settings().next().is_some();
    let hint = if has_hidden { " (--ignored lists what does nothing here)" } else { "" };
    let summary = match refused {
        Some(_) => "would not start".to_owned(),
        None => report.summary(),
    };
    lines.push(format!("{path}: {summary}{hint}\n"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, with_ignored: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.conf");
        std::fs::write(&path, format!("protocols = imap\nssl = no\n{text}")).unwrap();
        let config::Outcome { settings, report, .. } = config::load(&path);
        let refused = settings.and_then(rehearse);
        words(&path, &report, refused.as_deref(), with_ignored).replace(&path.display().to_string(), "c.conf")
    }

    #[test]
    fn what_does_nothing_is_counted_and_listed_on_request() {
        let hint = "(--ignored lists what does nothing here)";
        assert_eq!(checked("", false), "c.conf: ok\n");
        assert_eq!(checked("mail_location = x", false), format!("c.conf: ok, 1 ignored {hint}\n"));
        assert_eq!(
            checked("mail_location = x", true),
            "c.conf:3: ignored: mail_location: not needed\nc.conf: ok, 1 ignored\n"
        );
        assert_eq!(checked("foo = x", false), "c.conf:3: unknown setting foo\nc.conf: 1 error\n");
    }

    #[test]
    fn what_a_start_would_refuse_is_told() {
        let text = checked("director_mail_servers = 10.0.0.1,10.0.0.2", false);
        assert!(text.starts_with("c.conf: director_mail_servers: 10.0.0.1,10.0.0.2: neither"), "{text}");
        assert!(text.ends_with("\nc.conf: would not start\n"), "{text}");
        let text = checked("passdb {\n driver = passwd-file\n args = username_format=%Q /x\n}", false);
        assert!(text.ends_with("\nc.conf: would not start\n"), "{text}");
    }
}
