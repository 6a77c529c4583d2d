//! Durations as text: `250ms`, `1.5s`, `2m`.

use std::time::Duration;

const UNITS: [(&str, f64); 6] = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];

/// `None` if it is no duration.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let seconds = if unit == "h" { 3600.0 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
    let nanos = number * seconds * 1e9;
    (nanos <= 1e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

/// As short as it can be said.
pub(crate) fn text(span: Duration) -> String {
    let nanos = span.as_nanos();
    let (unit, size) = match nanos {
        0 => ("s", 1),
        _ if nanos.is_multiple_of(1_000_000_000) => ("s", 1_000_000_000),
        _ if nanos.is_multiple_of(1_000_000) => ("ms", 1_000_000),
        _ if nanos.is_multiple_of(1000) => ("us", 1000),
        _ => ("ns", 1),
    };
    format!("{}{unit}", nanos / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text_, nanos) in [("1s", 1_000_000_000), ("250ms", 250_000_000), ("1.5ms", 1_500_000), ("0s", 0)] {
            assert_eq!(parse(text_), Some(Duration::from_nanos(nanos)), "{text_}");
        }
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Some(Duration::from_secs(3600)));
        for refused in ["", "s", "1", "1x", "-1s", "1s2", "1e99s"] {
            assert_eq!(parse(refused), None, "{refused}");
        }
        for span in ["1s", "90s", "250ms", "1500us", "7ns", "0s"] {
            assert_eq!(text(parse(span).unwrap()), span);
        }
    }
}
