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
    let rehearsal = settings.map(rehearse).unwrap_or_default();
    let fine = !report.has_errors() && rehearsal.refused.is_none();
    let text = words(path, &report, &rehearsal, shown.ignored);
    if shown.non_defaults || shown.all {
        print(&config::dump(&parsed, shown.all));
        // Standard output can be read as a configuration.
        eprint!("{text}");
    } else {
        print(&text);
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) }
}

/// What a start would meet although the configuration can be read.
#[derive(Default)]
struct Rehearsal {
    /// Why it would be refused: keys that do not fit, an address with two tags.
    refused: Option<String>,
    /// Names of backends without address.
    unknown: Vec<String>,
}

fn rehearse(settings: Settings) -> Rehearsal {
    let refused = |refused: String| Rehearsal { refused: Some(refused), unknown: Vec::new() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(error.to_string()),
    };
    let outcome = runtime.block_on(app::rehearse(settings));
    // A slow resolver need not be waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(unknown) => Rehearsal { refused: None, unknown },
        Err(error) => refused(error.to_string()),
    }
}

/// Problems, then one line that says what they amount to.
fn words(path: &Path, report: &Report, rehearsal: &Rehearsal, with_ignored: bool) -> String {
    let path = path.display();
    let mut lines: Vec<String> = report.errors().collect();
    lines.extend(rehearsal.refused.iter().map(|refused| format!("{path}: {refused}")));
    lines.extend(report.warnings());
    lines.extend(rehearsal.unknown.iter().map(|name| {
        format!("{path}: warning: director_mail_servers: {name} has no address now; it takes no users until it has one")
    }));
    if with_ignored {
        lines.extend(report.ignored_settings());
    }
    let has_hidden = !with_ignored && report.ignored_settings().next().is_some();
    let hint = if has_hidden { " (--ignored lists what does nothing here)" } else { "" };
    let unknown = match rehearsal.unknown.len() {
        0 => String::new(),
        count => format!(", {count} of the backends' names without address"),
    };
    let summary = match rehearsal.refused {
        Some(_) => "would not start".to_owned(),
        None => report.summary() + &unknown,
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
        let rehearsal = settings.map(rehearse).unwrap_or_default();
        words(&path, &report, &rehearsal, with_ignored).replace(&path.display().to_string(), "c.conf")
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
    fn names_without_address_are_told() {
        let text = checked("director_mail_servers = none.invalid 10.0.0.1", false);
        let warning = "c.conf: warning: director_mail_servers: none.invalid has no address now; \
                       it takes no users until it has one\n";
        assert_eq!(text, format!("{warning}c.conf: ok, 1 of the backends' names without address\n"));
    }

    #[test]
    fn what_a_start_would_refuse_is_told() {
        let text = checked("director_mail_servers = 10.0.0.1,10.0.0.2", false);
        assert!(text.starts_with("c.conf: director_mail_servers: 10.0.0.1,10.0.0.2: neither"), "{text}");
        assert!(text.ends_with("\nc.conf: would not start\n"), "{text}");
        let text = checked("passdb {\n driver = passwd-file\n args = username_format=%Q /x\n}", false);
        assert!(text.ends_with("\nc.conf: would not start\n"), "{text}");
        let socket = "service director {\n unix_listener director-userdb {\n mode = 0600\n user = no-such-user-here\n}\n}";
        let text = checked(&format!("director_mail_servers = 10.0.0.1\n{socket}"), false);
        assert!(text.contains("director-userdb: no user no-such-user-here exists\n"), "{text}");
    }
}
