//! Times for people.

/// Local time, to the second; `-` for never. Unix seconds.
pub(in crate::cli) fn moment(unix_secs: Option<u64>) -> String {
    let known = unix_secs.filter(|secs| *secs > 0).and_then(|secs| i64::try_from(secs).ok());
    let Some(moment) = known.and_then(|secs| jiff::Timestamp::from_second(secs).ok()) else {
        return "-".to_owned();
    };
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A span of time in its two largest units.
pub(in crate::cli) fn span(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m {}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h {}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d {}h", secs / 86400, secs % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        assert_eq!([0, 59, 60, 3599].map(span), ["0s", "59s", "1m 0s", "59m 59s"]);
        assert_eq!([3600, 90_061].map(span), ["1h 0m", "1d 1h"]);
    }

    #[test]
    fn moments_that_are_none() {
        assert_eq!([None, Some(0), Some(u64::MAX)].map(moment), ["-"; 3]);
        assert_eq!(moment(Some(1_795_440_812)).len(), "2026-11-23 13:33:32".len());
    }
}
