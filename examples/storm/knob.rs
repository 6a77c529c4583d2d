//! Knobs: `KNOB=a..b[:steps][:log]`, and the values in between.

use std::{fmt, time::Duration};

use crate::{problem::Problem, span, stack::Value};

/// A value of a knob.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Whole(i64),
    Number(f64),
    Span(Duration),
}

/// A knob and the values that it is turned through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) path: String,
    pub(crate) from: Amount,
    pub(crate) to: Amount,
    pub(crate) steps: usize,
    pub(crate) log: bool,
}

impl Amount {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        if let Some(span) = span::parse(text) {
            return Some(Self::Span(span));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Number)
    }

    /// As a number; durations in seconds.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Number(number) => number,
            Self::Span(span) => span.as_secs_f64(),
        }
    }

    /// This number, as the same kind of value: whole numbers are rounded, durations to milliseconds if they are longer.
    pub(crate) fn with(self, number: f64) -> Self {
        match self {
            Self::Whole(_) => Self::Whole(number.round() as i64),
            // Four digits: more are noise in a table, and fewer would join values that differ.
            Self::Number(_) => Self::Number(format!("{number:.3e}").parse().unwrap_or(number)),
            Self::Span(_) => {
                let unit = if number >= 0.01 { 1e3 } else { 1e6 };
                let units = (number.max(0.0) * unit).round();
                Self::Span(Duration::from_nanos((units * (1e9 / unit)) as u64))
            }
        }
    }

    /// For a stack's settings.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Whole(whole) => Value::Whole(whole),
            Self::Number(number) => Value::Number(number),
            Self::Span(span) => Value::Text(span::text(span)),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => f.pad(&whole.to_string()),
            Self::Number(number) => f.pad(&number.to_string()),
            Self::Span(span) => f.pad(&span::text(*span)),
        }
    }
}

impl Range {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| Problem::new(text, format!("{what}; a knob is KNOB=a..b[:steps][:log]"));
        let (path, rest) = text.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
        let mut parts = rest.split(':');
        let ends = parts.next().unwrap_or_default().split_once("..").ok_or_else(|| wrong("has no `..`"))?;
        let amount = |text: &str| Amount::parse(text).ok_or_else(|| wrong(&format!("`{text}` is no value")));
        let (mut from, mut to) = (amount(ends.0)?, amount(ends.1)?);
        match (from, to) {
            (Amount::Whole(_), Amount::Whole(_))
            | (Amount::Number(_), Amount::Number(_))
            | (Amount::Span(_), Amount::Span(_)) => {}
            (Amount::Span(_), _) | (_, Amount::Span(_)) => return Err(wrong("goes from a duration to a number")),
            _ => (from, to) = (Amount::Number(from.number()), Amount::Number(to.number())),
        }
        let (mut steps, mut log) = (9, false);
        for part in parts {
            match (part, part.parse()) {
                ("log", _) => log = true,
                (_, Ok(number)) if (2..=1000).contains(&number) => steps = number,
                _ => return Err(wrong(&format!("`{part}` is neither `log` nor a number of steps, 2 to 1000"))),
            }
        }
        if path.is_empty() || from.number() >= to.number() {
            return Err(wrong("must have a name and go up"));
        }
        if log && from.number() <= 0.0 {
            return Err(wrong("cannot begin at 0 in logarithmic steps"));
        }
        Ok(Self { path: path.to_owned(), from, to, steps, log })
    }

    /// The value so far along the way, 0 to 1.
    pub(crate) fn at(&self, share: f64) -> Amount {
        let (from, to) = (self.from.number(), self.to.number());
        match share {
            ..=0.0 => self.from,
            1.0.. => self.to,
            _ => self.of(if self.log { from * (to / from).powf(share) } else { from + (to - from) * share }),
        }
    }

    /// This number as a value: the ends are as they were given, and what is rounded does not get beyond them.
    pub(crate) fn of(&self, number: f64) -> Amount {
        let beyond = |number: f64| match number {
            _ if number <= self.from.number() => Some(self.from),
            _ if number >= self.to.number() => Some(self.to),
            _ => None,
        };
        let rounded = self.from.with(number);
        beyond(number).or_else(|| beyond(rounded.number())).unwrap_or(rounded)
    }

    /// All values, each once.
    pub(crate) fn values(&self) -> Vec<Amount> {
        let mut values: Vec<_> = (0..self.steps).map(|step| self.at(step as f64 / (self.steps - 1) as f64)).collect();
        values.dedup();
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        Range::parse(text).unwrap().values().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn values_are_spread_evenly_or_by_factors() {
        assert_eq!(values("world.clients=1..9:5"), ["1", "3", "5", "7", "9"]);
        assert_eq!(values("a=0.1..0.9:3"), ["0.1", "0.5", "0.9"]);
        assert_eq!(values("a=1..2.5:4"), ["1", "1.5", "2", "2.5"]);
        assert_eq!(values("a=1..1000:4:log"), ["1", "10", "100", "1000"]);
        assert_eq!(values("a=1ms..4s:log:3"), ["1ms", "63ms", "4s"]);
        assert_eq!(values("a=1..3"), ["1", "2", "3"], "each once");
        assert_eq!(values("a=100ms..900ms").len(), 9);
    }

    #[test]
    fn the_ends_are_as_they_were_given() {
        assert_eq!(values("a=1us..3.3333ms:2"), ["1us", "3333300ns"]);
        assert_eq!(values("a=1.23456..7.65432:3"), ["1.23456", "4.444", "7.65432"]);
        assert_eq!(values("a=1.23456..7.65432:2:log"), ["1.23456", "7.65432"]);
        // What is between them is rounded, but to nothing that was not asked for.
        assert_eq!(values("a=12.4ms..12.6ms:5"), ["12400us", "12600us"]);
        assert_eq!(values("a=1.00001..1.00002:3"), ["1.00001", "1.00002"]);
    }

    #[test]
    fn what_is_no_knob_is_refused() {
        for (text, why) in [
            ("a", "has no `=`"),
            ("a=1", "has no `..`"),
            ("a=1..x", "`x` is no value"),
            ("a=1s..2", "from a duration to a number"),
            ("a=2..1", "go up"),
            ("a=1..2:1", "number of steps"),
            ("a=0..1:log", "logarithmic"),
        ] {
            let problem = Range::parse(text).unwrap_err().to_string();
            assert!(problem.contains(why), "{problem}");
        }
    }
}
