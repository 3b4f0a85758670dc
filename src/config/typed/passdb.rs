//! `passdb` blocks that Homing can serve itself.

use super::View;
use crate::config::{
    grammar::{Block, Position},
    report::Report,
    schema::known::PASSDB,
    settings::{PassdbSettings, PasswdFileSettings, StaticSettings},
};

/// Settings that must have their default, for nothing else is implemented.
const DEFAULTS_ONLY: &[&str] = &[
    "deny",
    "pass",
    "master",
    "mechanisms",
    "username_filter",
    "skip",
    "result_success",
    "result_failure",
    "result_internalfail",
];

/// The settings of a block; `Ok(None)` if it is one that Homing serves but its `args` are wrong, which is reported;
/// an error says why it is none.
pub(super) fn passdb(block: &Block, report: &mut Report) -> Result<Option<PassdbSettings>, String> {
    let view = View::of_block(block, PASSDB);
    let driver = view.text("driver");
    if driver.is_empty() {
        report.error(
            &block.position,
            "passdb: driver is missing (driver = passwd-file or static, or another of the auth service)",
        );
        return Ok(None);
    }
    if !matches!(driver.as_str(), "passwd-file" | "static") {
        return Err(format!("driver = {driver} is not served by Homing itself (only passwd-file, static)"));
    }
    let is_default = |name: &str| match PASSDB.iter().find(|known| known.name == name) {
        Some(known) => view.text(name).eq_ignore_ascii_case(known.default),
        None => true,
    };
    if let Some(name) = DEFAULTS_ONLY.iter().find(|name| !is_default(name)) {
        return Err(format!("{name} = {} is not served by Homing itself", view.text(name)));
    }
    let position = view.position("args");
    Ok(match driver.as_str() {
        "static" => static_fields(&view, position, report).map(PassdbSettings::Static),
        _ => passwd_file(&view, position, report).map(PassdbSettings::PasswdFile),
    })
}

fn words(view: &View<'_>, name: &str) -> Vec<String> {
    view.text(name).split_ascii_whitespace().map(str::to_owned).collect()
}

/// `[scheme=X] [username_format=Y] PATH`.
fn passwd_file(view: &View<'_>, position: &Position, report: &mut Report) -> Option<PasswdFileSettings> {
    let args = view.text("args");
    let mut rest = args.trim();
    let (mut scheme, mut format) = ("CRYPT".to_owned(), "%u".to_owned());
    while let Some((word, behind)) = option(rest) {
        match word.split_once('=') {
            Some(("scheme", value)) => scheme = value.to_ascii_uppercase(),
            Some(("username_format", value)) => format = value.to_owned(),
            _ => {
                let key = word.split('=').next().unwrap_or_default();
                report.error(
                    position,
                    format!("passdb args: unknown option {key} (known: scheme, username_format)"),
                );
            }
        }
        rest = behind.trim_start();
    }
    if !rest.starts_with('/') {
        let text = "passdb args: the absolute path of the password file is missing (args = scheme=CRYPT /etc/homing/users)";
        report.error(position, text);
        return None;
    }
    Some(PasswdFileSettings {
        path: rest.into(),
        default_scheme: scheme,
        username_format: format,
        default_fields: words(view, "default_fields"),
        override_fields: words(view, "override_fields"),
    })
}

/// A leading `key=value` and what follows; a path is none.
fn option(text: &str) -> Option<(&str, &str)> {
    let word = text.split_ascii_whitespace().next()?;
    (word.contains('=') && !word.starts_with('/')).then(|| text.split_at_checked(word.len()))?
}

/// `password=X` or `nopassword`, and fields for the reply.
fn static_fields(view: &View<'_>, position: &Position, report: &mut Report) -> Option<StaticSettings> {
    let mut password = None;
    let mut nopassword = false;
    let mut fields = Vec::new();
    for word in words(view, "args") {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("password", value) => password = Some(value.to_owned()),
            ("nopassword", _) => nopassword = true,
            _ => fields.push(word),
        }
    }
    fields.extend(words(view, "default_fields"));
    fields.extend(words(view, "override_fields"));
    if nopassword == password.is_some() {
        report.error(position, "passdb args: a static passdb needs either password=X or nopassword=y");
        return None;
    }
    Some(StaticSettings { password, fields })
}
