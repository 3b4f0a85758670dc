//! Settings of Dovecot that Homing knows but does not use, from a table in a file.

use std::{collections::HashMap, sync::LazyLock};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unused {
    /// To be told as a warning: an administrator may count on it.
    pub(crate) warns: bool,
    /// What Dovecot uses if it is not set; for `$name`.
    pub(crate) default: &'static str,
    /// Why it is not used; perhaps empty.
    pub(crate) note: &'static str,
}

const TABLE: &str = include_str!("dovecot_settings.tsv");

static BY_PLACE: LazyLock<HashMap<(&str, &str), Unused>> =
    LazyLock::new(|| TABLE.lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<((&'static str, &'static str), Unused)> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split('\t');
    let place = (fields.next()?, fields.next()?);
    let warns = fields.next()? == "warning";
    Some((place, Unused { warns, default: fields.next()?, note: fields.next()? }))
}

/// The setting of this name in a kind of block (`top` outside all).
pub(crate) fn find(place: &str, name: &str) -> Option<Unused> {
    BY_PLACE.get(&(place, name)).copied()
}

/// Names in a kind of block.
pub(crate) fn names(place: &str) -> impl Iterator<Item = &'static str> {
    BY_PLACE.keys().filter(move |(of, _)| *of == place).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::known;

    #[test]
    fn every_row_is_whole_and_no_used_setting_is_among_them() {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert!(rows > 300);
        assert_eq!(BY_PLACE.len(), rows);
        for (place, table) in [
            ("top", known::TOP),
            ("service", known::LOGIN_SERVICE),
            ("unix_listener", known::SOCKET_LISTENER),
            ("passdb", known::PASSDB),
        ] {
            assert!(table.iter().all(|known| find(place, known.name).is_none()), "{place}");
        }
        assert!(find("top", "login_access_sockets").is_some_and(|unused| unused.warns));
    }
}
