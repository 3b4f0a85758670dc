//! Which users a kick means. The reference documents wildcards but compares exactly (spec/director.md 10, W24).

use std::fmt;

use homing_wire::printable;

/// A user name with wildcards: `*` is any bytes, `?` any one byte. ASCII case does not matter, since users are
/// hashed without it by default.
#[derive(Clone, PartialEq, Eq)]
pub struct UserPattern(Vec<u8>);

impl UserPattern {
    /// A pattern as the administrator wrote it.
    pub fn new(pattern: impl Into<Vec<u8>>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True if there is a wildcard, so that more than one user may be meant.
    pub fn has_wildcards(&self) -> bool {
        self.0.iter().any(|byte| matches!(byte, b'*' | b'?'))
    }

    /// True if the pattern covers the whole name. Takes time proportional to the product of both lengths at worst.
    pub fn matches(&self, name: &[u8]) -> bool {
        let (mut pattern, mut name) = (self.0.as_slice(), name);
        // Where to go on if what follows the last star does not fit: the star takes one byte more.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), name.split_first()) {
                (Some((b'*', rest)), _) => {
                    retry = Some((rest, name));
                    pattern = rest;
                }
                (Some((p, pattern_rest)), Some((n, name_rest)))
                    if *p == b'?' || p.eq_ignore_ascii_case(n) =>
                {
                    (pattern, name) = (pattern_rest, name_rest);
                }
                (None, None) => return true,
                _ => {
                    let Some((after_star, [_, shorter @ ..])) = retry else { return false };
                    retry = Some((after_star, shorter));
                    (pattern, name) = (after_star, shorter);
                }
            }
        }
    }
}

impl fmt::Debug for UserPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserPattern({})", printable(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        UserPattern::new(pattern).matches(name.as_bytes())
    }

    #[test]
    fn w24_wildcards_and_case() {
        assert!(matches("foo", "FOO") && !matches("foo", "food") && !matches("foo", "fo"));
        assert!(matches("*@example.com", "a@Example.com") && !matches("*@example.com", "a@example.org"));
        assert!(matches("a*b*c", "aXbYbZc") && !matches("a*b*c", "aXbYbZ"));
        assert!(matches("?", "x") && !matches("?", "") && matches("**", ""));
        assert!(matches("user*master", "user*master"));
        assert!(matches("", "") && !matches("", "x"));
    }

    #[test]
    fn agrees_with_the_definition() {
        bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().for_each(|(pattern, name)| {
            // Few letters, so that something matches.
            let pattern: Vec<u8> = pattern.iter().take(8).map(|b| b"*?aB"[usize::from(b % 4)]).collect();
            let name: Vec<u8> = name.iter().take(8).map(|b| b"ab"[usize::from(b % 2)]).collect();
            assert_eq!(UserPattern::new(pattern.clone()).matches(&name), defined(&pattern, &name));
        });
    }

    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], name) => name.is_empty(),
            ([b'*', rest @ ..], name) => (0..=name.len()).any(|taken| defined(rest, &name[taken..])),
            ([b'?', rest @ ..], [_, name @ ..]) => defined(rest, name),
            ([p, rest @ ..], [n, name @ ..]) => p.eq_ignore_ascii_case(n) && defined(rest, name),
            _ => false,
        }
    }
}
