//! Times as Dovecot writes them in settings and auth replies.

use std::time::Duration;

/// Unit names with their length in milliseconds. A unit may be cut short anywhere (`2 min`, `2 m`).
const UNITS: &[(&str, u64)] = &[
    ("seconds", 1000),
    ("secs", 1000),
    ("minutes", 60_000),
    ("mins", 60_000),
    ("hours", 3_600_000),
    ("days", 86_400_000),
    ("weeks", 604_800_000),
    ("milliseconds", 1),
    ("millisecs", 1),
    ("msecs", 1),
    ("ms", 1),
];

/// A number of seconds, or a number with a unit: `5`, `1500msecs`, `2s`, `15 min`, `1h`. The unit ignores case; of
/// units that begin alike the first in the table wins, so `m` is minutes.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, millis) = UNITS.iter().find(|(name, _)| name.starts_with(&unit))?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_as_dovecot_spells_them() {
        let minutes = 60_000;
        for (text, millis) in [
            ("5", 5000),
            ("2s", 2000),
            ("2 secs", 2000),
            ("1500msecs", 1500),
            ("7ms", 7),
            ("15 min", 15 * minutes),
            ("15 mins", 15 * minutes),
            ("3m", 3 * minutes),
            ("1h", 60 * minutes),
            ("1 Day", 24 * 60 * minutes),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["xyz", "", "1 parsec", "-1", "99999999999999999999", "18446744073709551615 weeks"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
