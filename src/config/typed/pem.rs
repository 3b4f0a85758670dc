//! Certificates and keys: files are only named and proven readable here; what is in them is not looked at.

use std::{fs::File, path::Path};

use super::View;
use crate::config::{grammar::Position, report::Report, settings::Pem};

/// The PEM data of a setting; `None` if there is none or it cannot be read, which is reported.
pub(super) fn pem(view: &View<'_>, name: &str, report: &mut Report) -> Option<Pem> {
    if let Some(path) = view.file(name) {
        if path.as_os_str().is_empty() || path.is_dir() {
            report.error(view.position(name), format!("{name}: there is no file name behind '<'"));
            return None;
        }
        return file(path, view.position(name), name, report);
    }
    let text = view.text(name);
    (!text.is_empty()).then_some(Pem::Inline(text))
}

/// A file that must be readable; `None` for an empty path.
pub(super) fn file(path: &Path, position: &Position, name: &str, report: &mut Report) -> Option<Pem> {
    if path.as_os_str().is_empty() {
        return None;
    }
    if let Err(error) = File::open(path) {
        let error = error.to_string();
        let words = error.split(" (os error").next().unwrap_or_default();
        report.error(position, format!("{name}: cannot read {}: {words}", path.display()));
    }
    Some(Pem::File(path.to_owned()))
}

/// A certificate with its key; one without the other is an error.
pub(super) fn pair(view: &View<'_>, cert: &str, key: &str, report: &mut Report) -> Option<(Pem, Pem)> {
    match (pem(view, cert, report), pem(view, key, report)) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            report.error(view.position(cert), format!("{cert} needs {key}"));
            None
        }
        (None, Some(_)) => {
            report.error(view.position(key), format!("{key} needs {cert}"));
            None
        }
    }
}
