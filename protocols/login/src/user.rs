//! User names: bytes, not text, since some sites have names outside UTF-8.

use std::fmt;

use homing_wire::printable;

/// A user name as authenticated or as given to a backend. Compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UserName(Box<[u8]>);

impl UserName {
    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for the empty name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for UserName {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for UserName {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

/// Escaped for one log line.
impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", printable(&self.0))
    }
}
