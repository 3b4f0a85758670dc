//! Reading files, with a limit and with errors in an administrator's words.

use std::{fs::File, io::Read, path::Path};

use super::limits::FILE_BYTES_MAX;

/// The text of a file. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {}", path.display(), words(&error));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The system's words without Rust's `(os error N)`.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        assert_eq!(
            read(Path::new("/nonexistent/x")).unwrap_err(),
            "cannot read /nonexistent/x: No such file or directory"
        );
        assert_eq!(read(Path::new("/")).unwrap_err(), "cannot read /: Is a directory");
        assert!(read(Path::new("/dev/zero")).unwrap_err().ends_with("bytes"));
    }
}
