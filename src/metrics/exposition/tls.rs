//! Certificates: when each ends.

use std::{collections::BTreeMap, fmt};

use super::{
    Sources,
    sheet::{Labels, Sheet, seconds},
};
use crate::metrics::CERTIFICATES_MAX;

pub(super) fn write(sources: &Sources, sheet: &mut Sheet<'_>) -> fmt::Result {
    let generation = sources.sessions.generation();
    let expiries = generation.tls().map(|tls| tls.expiries()).unwrap_or_default();
    let rows = rows(expiries.into_iter().map(|expiry| (expiry.name, expiry.not_after)));
    let help = "When certificates in use end, by file, in Unix time.";
    sheet.gauge(seconds("certificate_expiry_timestamp"), help, rows)
}

/// One row for each file: of certificates without one, that which ends first.
fn rows(expiries: impl Iterator<Item = (String, i64)>) -> Vec<(Labels, i64)> {
    let mut by_file = BTreeMap::new();
    for (file, end) in expiries {
        let first = by_file.entry(file).or_insert(end);
        *first = end.min(*first);
    }
    let mut by_end: Vec<_> = by_file.into_iter().collect();
    by_end.sort_by_key(|(_, end)| *end);
    by_end.truncate(CERTIFICATES_MAX);
    by_end.into_iter().map(|(file, end)| (vec![("file", file.into())], end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_one_row_each_and_those_that_end_first_are_shown() {
        let many = (0..2 * CERTIFICATES_MAX as i64).map(|n| (format!("/{n}.pem"), 1000 - n));
        let twice = [("(inline PEM)", 5), ("(inline PEM)", 3), ("(inline PEM)", 4)];
        let shown = rows(many.chain(twice.map(|(file, end)| (file.to_owned(), end))));
        assert_eq!(shown.len(), CERTIFICATES_MAX);
        assert_eq!(shown[0], (vec![("file", "(inline PEM)".into())], 3));
        assert_eq!(shown[1].1, 1000 - (2 * CERTIFICATES_MAX as i64 - 1));
    }
}
