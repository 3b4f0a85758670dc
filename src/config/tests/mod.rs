//! Tests of the whole way from files to settings.

mod health;
mod oracle;
mod problems;
mod properties;
mod secrets;
mod typed;

use std::{fs, path::PathBuf};

use super::{Outcome, load};

/// A configuration in a folder of its own.
pub(super) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new(text: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.write("c.conf", text);
        site
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn load(&self) -> Outcome {
        load(&self.path("c.conf"))
    }

    /// The report with paths relative to the folder.
    pub(super) fn report(&self) -> String {
        self.load().report.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// The least that has no error, without a line break at the end so that tests count lines from 2.
pub(super) const LEAST: &str = "protocols = imap; listen = 127.0.0.1; ssl = no";

/// `LEAST` on one line of its own file, then the text from line 2 on.
pub(super) fn site(text: &str) -> Site {
    let site = Site::new(&format!("!include least.conf\n{text}"));
    site.write("least.conf", &LEAST.replace("; ", "\n"));
    site
}

/// The folder of sample configurations.
pub(super) fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}
