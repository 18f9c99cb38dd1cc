//! Durations as text with a unit: `90s`, `30m`, `8h`, `2d`.

use serde::{Deserialize, Deserializer, de};

/// Milliseconds, written as text with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duration(pub(super) u64);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| de::Error::custom("a duration is a whole number with s, m, h or d, such as \"8h\""))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    number.trim_end().parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(1000).map(Duration)
}

#[cfg(test)]
mod tests {
    use super::{Duration, parse};

    #[test]
    fn units_are_required_and_overflow_is_refused() {
        assert_eq!(parse("8h"), Some(Duration(28_800_000)));
        assert_eq!(parse("90 s"), Some(Duration(90_000)));
        for wrong in ["", "8", "h", "-1h", "1.5h", "8 hours", "99999999999999999999d", "9999999999999999d", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
