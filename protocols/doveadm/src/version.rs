//! The VERSION line with which every one of these protocols begins.

use crate::fields::{FieldReader, number};

/// Major version of all these protocols; another one is refused.
const MAJOR: u32 = 1;

/// The line for a protocol's name, its LF included.
pub(crate) fn line(name: &str) -> Vec<u8> {
    format!("VERSION\t{name}\t{MAJOR}\t0\n").into_bytes()
}

/// True if a peer's first line names the same protocol and major version. The minor version may be any number;
/// further fields are refused, as the reference does.
pub(crate) fn is_compatible(line: &[u8], name: &str) -> bool {
    let mut fields = FieldReader::new(line);
    fields.next().is_some_and(|word| word == b"VERSION")
        && fields.next().is_some_and(|field| field == name.as_bytes())
        && fields.number() == Some(MAJOR)
        && fields.next().is_some_and(|minor| number::<u32>(&minor).is_some())
        && fields.left() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_minor_version_may_differ() {
        let compatible = |line: &str| is_compatible(line.as_bytes(), "x");
        assert!(compatible("VERSION\tx\t1\t0"));
        assert!(compatible("VERSION\tx\t1\t9"));
        for bad in [
            "",
            "VERSION",
            "VERSION\tx\t1",
            "VERSION\tx\t2\t0",
            "VERSION\ty\t1\t0",
            "VERSION\tx\t1x\t0",
            "VERSION\tx\t1\tx",
            "VERSION\tx\t1\t0\textra",
            "HOST-LIST",
        ] {
            assert!(!compatible(bad), "{bad}");
        }
    }
}
