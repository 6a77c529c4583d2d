//! Times as text: `250ms`, `1.5s`, `1m 30s`.

use std::time::Duration;

/// Longest first, so that `ms` is not read as `m`.
const UNITS: [(&str, u128); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// `None`: it is no time, or not of whole nanoseconds, or too long.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut nanos = 0_u128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, after) = rest.split_at(number);
        let after = after.trim_start();
        let unit = after.find(|char: char| !char.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(of(number, *scale)?)?;
        rest = after.trim_start();
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// A decimal number of units of so many nanoseconds, exactly.
fn of(number: &str, scale: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u128 = whole.parse().ok()?;
    let tens = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = part.parse::<u128>().ok()?.checked_mul(scale)?;
    if part % tens != 0 {
        return None;
    }
    whole.checked_mul(scale)?.checked_add(part / tens)
}

/// As `parse` reads it.
pub(super) fn write(time: Duration) -> String {
    let (whole, part, digits, unit) = match time.subsec_nanos() {
        nanos if time.as_secs() > 0 || nanos == 0 => (time.as_secs(), nanos, 9, "s"),
        nanos => (u64::from(nanos / 1_000_000), nanos % 1_000_000, 6, "ms"),
    };
    if part == 0 {
        return format!("{whole}{unit}");
    }
    let part = format!("{part:0digits$}");
    format!("{whole}.{}{unit}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_exactly() {
        let times = [
            ("250ms", Duration::from_millis(250)),
            ("1.5s", Duration::from_millis(1500)),
            ("1m 30s", Duration::from_secs(90)),
            ("1h1m1s", Duration::from_secs(3661)),
            (" 2 us ", Duration::from_micros(2)),
            ("0.5µs", Duration::from_nanos(500)),
            ("18446744073709551615s 999999999ns", Duration::MAX),
        ];
        for (text, time) in times {
            assert_eq!(parse(text), Some(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        let not = [
            "",
            " ",
            "12",
            "ms",
            "-1s",
            "1 year",
            "1.s",
            ".5s",
            "1..5s",
            "0.5ns",
            "1e3s",
            "1s x",
            "18446744073709551616s",
        ];
        for text in not {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}h", "9".repeat(60))), None);
        assert_eq!(parse(&format!("0.{}s", "1".repeat(60))), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_written_is_read_back(seconds in prop_oneof![Just(0), 0..100_u64, any::<u64>()], nanos in prop_oneof![
            Just(0), (0..1000_u32).prop_map(|millis| millis * 1_000_000), 0..1_000_000_000_u32,
        ]) {
            let time = Duration::new(seconds, nanos);
            prop_assert_eq!(parse(&write(time)), Some(time));
        }
    }
}
