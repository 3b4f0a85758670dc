//! Which certificate a client gets (spec/login-proxy.md 11.2).

use std::sync::Arc;

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Certificates by name. Immutable: a reload builds a new one.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// For clients without SNI and for unknown names; one per key type, in the order of preference.
    pub(super) default: Vec<Arc<CertifiedKey>>,
    /// `local_name` blocks in file order: the first whose pattern matches counts, even if a later one
    /// names the host exactly (observed in the reference).
    pub(super) by_name: Vec<Named>,
}

/// The certificate of one `local_name` block.
#[derive(Debug)]
pub(super) struct Named {
    /// Lower case; a `*` label stands for any one label.
    pub(super) patterns: Vec<String>,
    /// The certificate.
    pub(super) key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        hello
            .server_name()
            .and_then(|name| self.named(name))
            .into_iter()
            .chain(&self.default)
            .find(fits)
            .cloned()
    }
}

impl Certificates {
    fn named(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let found = self.by_name.iter().find(|named| named.patterns.iter().any(|p| matches(p, name)))?;
        Some(&found.key)
    }
}

/// Label by label, ignoring case; a label `*` of the pattern matches any one label.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('.'), name.split('.'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(p), Some(n)) if p == "*" || p.eq_ignore_ascii_case(n) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn labels_match_one_by_one() {
        for (pattern, name) in
            [("a.b", "a.b"), ("a.b", "A.B"), ("*.b", "x.b"), ("a.*.c", "a.b.c"), ("*.*", "a.b")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a.b", "a.b.c"), ("*.b", "x.y.b"), ("*.b", "b"), ("a*.b", "ax.b"), ("*", "a.b")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
