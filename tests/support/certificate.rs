//! Throw-away certificates as files.

use std::{fs, path::Path};

/// Writes `cert.pem` and `key.pem` for the given names into a folder.
pub fn write(folder: &Path, names: &[&str]) {
    let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
}
