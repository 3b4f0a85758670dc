//! `director_username_hash`: which part of a user name decides the backend (spec/director.md 1.5). Parsed once
//! at start, so that a mistake is found there and not at a login.

mod expand;
mod parse;

use std::fmt;

pub use parse::FormatError;

/// A parsed `director_username_hash`.
#[derive(Debug, Clone)]
pub struct UsernameFormat {
    text: Box<str>,
    parts: Vec<Part>,
}

/// Formats are equal if they mean the same, however they are spelled.
impl PartialEq for UsernameFormat {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for UsernameFormat {}

/// As it was written.
impl fmt::Display for UsernameFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Variable(Variable),
    /// `%{md5:user}`.
    Digest(Digest),
    /// `%{if;A;eq;B;THEN;ELSE}`.
    If(Box<Condition>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: Name,
    modifiers: Vec<Modifier>,
    shape: Shape,
}

/// Offset and width of a variable: `%2.3n` skips two characters and keeps three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shape {
    offset: i32,
    width: i32,
    zero_padded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// `%u`.
    User,
    /// `%n`, before the first `@`.
    Username,
    /// `%d`, behind the first `@`.
    Domain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modifier {
    Lower,
    Upper,
    Escape,
    Hex,
    Reverse,
    LegacyHash,
    Md5Hash,
    Md5Hex,
    DomainComponents,
    TrimRight,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Digest {
    algorithm: Algorithm,
    rounds: u32,
    truncate_bits: Option<usize>,
    salt: Vec<u8>,
    name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha1,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    left: Vec<Part>,
    test: Test,
    right: Vec<Part>,
    then: Vec<Part>,
    otherwise: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    NotEqual,
}

impl UsernameFormat {
    /// Parses a setting value.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Ok(Self { text: text.into(), parts: parse::parts(text)? })
    }

    /// Fills in a user name.
    pub fn expand(&self, user: &[u8]) -> Vec<u8> {
        expand::parts(&self.parts, user)
    }
}
