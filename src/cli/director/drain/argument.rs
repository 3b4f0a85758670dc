//! Times and rates as people write them.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

/// A span of time: `90`, `90s`, `10m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// So many in a second: `5/s`, `5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) NonZeroU32);

impl Span {
    pub(super) fn msecs(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let secs = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err("a time is a number with s, m or h behind it".to_owned()),
        };
        let number: u32 = number.parse().map_err(|_| "a time begins with a number".to_owned())?;
        Ok(Self(Duration::from_secs(u64::from(number) * secs)))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text).parse();
        number.map(Self).map_err(|_| "a rate is a number above 0 with /s behind it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates() {
        for (text, secs) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(secs))));
        }
        for bad in ["", "s", "1d", "-1s", "1.5s", "99999999999s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
        let rate = |text: &str| text.parse::<Rate>().map(|rate| rate.0.get()).ok();
        assert_eq!(
            ["5/s", "5", "0", "0/s", "x/s", "5/m"].map(rate),
            [Some(5), Some(5), None, None, None, None]
        );
    }
}
