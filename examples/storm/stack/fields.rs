//! Reads the settings of a layer: each by its name and as what it must be, and none unread.

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use steadfast::{
    ConfigError,
    backoff::{Backoff, Jitter},
};

use super::value::{Entry, Value};
use crate::{
    problem::{Problem, instead},
    span,
};

/// The settings of one layer, or of a table in it.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    path: String,
    line: usize,
    entries: &'a [Entry],
    /// The names that were asked for: those that there are.
    known: RefCell<Vec<&'static str>>,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    fields: &'a Fields<'a>,
    entry: &'a Entry,
}

/// What a setting can be read as.
pub(crate) trait Setting: Sized {
    fn read(field: Field<'_>) -> Result<Self, Problem>;
}

impl<'a> Fields<'a> {
    pub(crate) fn new(path: String, line: usize, entries: &'a [Entry]) -> Self {
        Self { path, line, entries, known: RefCell::default() }
    }

    /// A setting, if it is there.
    pub(crate) fn get<T: Setting>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        self.known.borrow_mut().push(name);
        let entry = self.entries.iter().find(|entry| entry.key == name);
        entry.map(|entry| T::read(Field { fields: self, entry })).transpose()
    }

    /// A setting that must be there.
    pub(crate) fn need<T: Setting>(&self, name: &'static str) -> Result<T, Problem> {
        self.get(name)?.ok_or_else(|| self.problem(name, "is missing"))
    }

    /// That nothing is there that was not asked for.
    pub(crate) fn finish(&self) -> Result<(), Problem> {
        let known = self.known.borrow();
        match self.entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
            Some(entry) => Err(Problem::new(format!("{}.{}", self.path, entry.key), {
                format!("is unknown{}", instead(&entry.key, &known))
            })
            .at(entry.line)),
            None => Ok(()),
        }
    }

    /// What a builder has refused. `names` are the fields that it calls otherwise.
    pub(crate) fn refused(&self, error: &ConfigError, names: &[(&str, &'static str)]) -> Problem {
        let name = names.iter().find(|(theirs, _)| *theirs == error.field()).map_or(error.field(), |(_, ours)| ours);
        self.problem(name, &format!("is {}; allowed: {}", error.value(), error.allowed()))
    }

    fn problem(&self, name: &str, what: &str) -> Problem {
        let line = self.entries.iter().find(|entry| entry.key == name).map_or(self.line, |entry| entry.line);
        Problem::new(format!("{}.{name}", self.path), what).at(line)
    }
}

impl<'a> Field<'a> {
    pub(crate) fn value(&self) -> &'a Value {
        &self.entry.value
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.value(), Value::Text(text) if text == "none")
    }

    pub(crate) fn wrong(&self, wants: &str) -> Problem {
        let given = match self.value() {
            Value::Table(_) | Value::List(_) => self.value().kind().to_owned(),
            value => value.to_string(),
        };
        self.fields.problem(&self.entry.key, &format!("is {given}; it must be {wants}"))
    }

    /// A table's settings.
    pub(crate) fn fields(&self, entries: &'a [Entry]) -> Fields<'a> {
        Fields::new(format!("{}.{}", self.fields.path, self.entry.key), self.entry.line, entries)
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Problem> {
        let named = |text: &String| words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        let value = if let Value::Text(text) = self.value() { named(text) } else { None };
        value.ok_or_else(|| {
            let names: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.wrong(&names.join(" or "))
        })
    }

    fn whole(&self, allowed: RangeInclusive<i64>) -> Result<i64, Problem> {
        match self.value() {
            Value::Whole(number) if allowed.contains(number) => Ok(*number),
            _ => Err(self.wrong(&format!("a whole number, {} to {}", allowed.start(), allowed.end()))),
        }
    }
}

impl Setting for u32 {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.whole(0..=u32::MAX.into()).map(|number| number as Self)
    }
}

impl Setting for u64 {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.whole(0..=i64::MAX).map(|number| number as Self)
    }
}

impl Setting for f64 {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Whole(whole) => Ok(*whole as Self),
            Value::Number(number) => Ok(*number),
            _ => Err(field.wrong("a number")),
        }
    }
}

impl Setting for bool {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Yes(yes) => Ok(*yes),
            _ => Err(field.wrong("true or false")),
        }
    }
}

impl Setting for String {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(field.wrong("a text")),
        }
    }
}

impl Setting for Duration {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        let text = if let Value::Text(text) = field.value() { span::parse(text) } else { None };
        text.ok_or_else(|| field.wrong("a duration, such as \"250ms\" or \"1s\""))
    }
}

/// `"none"`, or what it is.
impl<T: Setting> Setting for Option<T> {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        if field.is_none() { Ok(None) } else { T::read(field).map(Some) }
    }
}

/// `"none"`; a duration, for always as long; a list of durations; or a table: `initial`, `factor`, `max`, `jitter`.
impl Setting for Backoff {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Text(_) if field.is_none() => Ok(Self::none()),
            Value::Text(_) => Duration::read(field).map(Self::fixed),
            Value::List(list) => {
                let step = |value: &Value| if let Value::Text(text) = value { span::parse(text) } else { None };
                let steps: Option<Vec<_>> = list.iter().map(step).collect();
                steps.map(Self::steps).ok_or_else(|| field.wrong("a list of durations"))
            }
            Value::Table(entries) => {
                let fields = field.fields(entries);
                let mut backoff = Self::exponential(fields.need("initial")?);
                if let Some(factor) = fields.get("factor")? {
                    backoff = backoff.factor(factor);
                }
                if let Some(max) = fields.get("max")? {
                    backoff = backoff.max(max);
                }
                if let Some(jitter) = fields.get("jitter")? {
                    backoff = backoff.jitter(jitter);
                }
                fields.finish()?;
                Ok(backoff)
            }
            _ => Err(field.wrong("\"none\", a duration, a list of durations, or a table with `initial`")),
        }
    }
}

/// A word, or a number for so much around the base.
impl Setting for Jitter {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Whole(_) | Value::Number(_) => f64::read(field).map(Self::Around),
            _ => field.word(&[
                ("none", Self::None),
                ("full", Self::Full),
                ("equal", Self::Equal),
                ("decorrelated", Self::Decorrelated),
            ]),
        }
    }
}
