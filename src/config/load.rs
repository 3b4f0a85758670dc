//! The way from a file to settings: read, check names and values, type. Every step reports what it finds and the
//! next one is taken nevertheless, so that one run shows all problems.

use std::path::Path;

use super::{
    grammar::{self, Block},
    report::Report,
    schema,
    settings::{AdminSettings, Settings},
    typed,
};

/// What came out of a configuration file.
#[derive(Debug)]
pub struct Outcome {
    /// `None` if the report has errors.
    pub settings: Option<Settings>,
    /// Everything there is to say, errors first.
    pub report: Report,
    /// The configuration as read, for [`dump()`](super::dump()).
    pub parsed: Parsed,
}

/// A configuration as read, includes and variables resolved. It holds secrets and shows none of them.
#[derive(Debug)]
pub struct Parsed {
    pub(super) root: Block,
}

/// Names by which Dovecot 2.4 marks its configurations.
const VERSION_24: &[&str] = &["dovecot_config_version", "dovecot_storage_version"];

/// Reads a configuration with everything it includes, and checks it. Files and host names that it names are looked up.
pub fn load(path: &Path) -> Outcome {
    let mut report = Report::default();
    let root = grammar::read(path, schema::default_of, &mut report);
    if report.has_errors() && root.settings.is_empty() && root.blocks.is_empty() {
        // The file cannot be read; what it does not set is no problem of its own.
        return Outcome { settings: None, report, parsed: Parsed { root } };
    }
    if let Some(setting) = VERSION_24.iter().find_map(|name| root.settings.get(*name)) {
        // Nearly every line of it would be a problem of its own.
        let mut report = Report::default();
        report.error(
            &setting.position,
            "this is a configuration for Dovecot 2.4, whose settings have other names; Homing reads those of Dovecot 2.3",
        );
        return Outcome { settings: None, report, parsed: Parsed { root } };
    }
    schema::check(&root, &mut report);
    let settings = typed::settings(&root, &mut report);
    let settings = (!report.has_errors()).then_some(settings);
    Outcome { settings, report, parsed: Parsed { root } }
}

/// Where administrators ask, for a command that needs nothing else of the configuration: other problems do not matter,
/// and no other file or name is looked up. The error is for people.
pub fn admin_sockets(path: &Path) -> Result<AdminSettings, String> {
    let mut report = Report::default();
    let root = grammar::read(path, schema::default_of, &mut report);
    if root.settings.is_empty() && root.blocks.is_empty() {
        let problem = report.errors().next();
        return Err(problem.unwrap_or_else(|| format!("{}: says nothing", path.display())));
    }
    Ok(typed::admin_sockets(&root, &mut report))
}
