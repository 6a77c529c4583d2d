//! A parsed file, whose values know their path and their place.

use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{names, time};
use crate::storm::StormError;

/// The text, and where in it what has been read was found, by path.
#[derive(Debug)]
pub(super) struct File<'a> {
    text: &'a str,
    found: RefCell<Vec<(String, usize)>>,
}

impl<'a> File<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: RefCell::default() }
    }

    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, StormError> {
        DeTable::parse(self.text).map_err(|error| {
            let place = error.span().map_or(self.text.len(), |span| span.start);
            self.error("", place, error.message())
        })
    }

    /// Gives an error of a check the place of its field, or of what the field is in.
    pub(super) fn placed(&self, error: StormError) -> StormError {
        let field = error.field().to_owned();
        self.placed_at(&field, error)
    }

    fn placed_at(&self, mut path: &str, error: StormError) -> StormError {
        loop {
            if let Some((_, place)) = self.found.borrow().iter().find(|(found, _)| found == path) {
                let (line, column) = self.place(*place);
                return error.at(line, column);
            }
            let Some(end) = path.rfind(['.', '[']) else { return error };
            path = &path[..end];
        }
    }

    fn error(&self, path: &str, place: usize, problem: impl Into<String>) -> StormError {
        let (line, column) = self.place(place);
        StormError::new(path, problem).at(line, column)
    }

    /// Line and column, in characters.
    fn place(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    file: &'a File<'a>,
    path: String,
    place: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn whole(file: &'a File<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self { file, path: String::new(), place: 0, entries: table.get_ref() }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The names in it and their places, in the order of the file.
    fn names(&self) -> Vec<(usize, &str)> {
        let mut names: Vec<_> =
            self.entries.iter().map(|(name, _)| (name.span().start, name.get_ref().as_ref())).collect();
        names.sort_unstable();
        names
    }

    /// Refuses names that are not known.
    pub(super) fn only<'b>(&self, known: impl IntoIterator<Item = &'b str> + Clone) -> Result<(), StormError> {
        for (place, name) in self.names() {
            if known.clone().into_iter().any(|known| known == name) {
                continue;
            }
            let instead = match names::nearest(name, known.clone()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}", names::list(known)),
            };
            return Err(self.file.error(&self.path(name), place, format!("unknown field `{name}`; {instead}")));
        }
        Ok(())
    }

    /// Refuses names that are known but not among these.
    pub(super) fn only_of(&self, what: &str, fields: &[&str]) -> Result<(), StormError> {
        match self.names().into_iter().find(|(_, name)| !fields.contains(name)) {
            Some((place, name)) => {
                let problem = format!("is not for {what}; allowed: {}", names::list(fields.iter().copied()));
                Err(self.file.error(&self.path(name), place, problem))
            }
            None => Ok(()),
        }
    }

    /// The first name in it.
    pub(super) fn first(&self) -> Option<&str> {
        self.names().first().map(|(_, name)| *name)
    }

    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        let value = self.entries.get(name)?;
        Some(Value::new(self.file, self.path(name), value))
    }

    pub(super) fn required(&self, name: &str) -> Result<Value<'a>, StormError> {
        self.get(name).ok_or_else(|| self.file.error(&self.path(name), self.place, "missing"))
    }

    /// The error of a field that is missing because of another one, which is why it has the place of that.
    pub(super) fn missing(&self, name: &str, other: &str, why: impl Display) -> StormError {
        let error = StormError::new(self.path(name), format!("missing, {why}"));
        self.file.placed_at(&self.path(other), error)
    }

    /// Reads a field into `into` if it is there.
    pub(super) fn read<T>(
        &self,
        name: &str,
        into: &mut T,
        read: impl FnOnce(&Value<'a>) -> Result<T, StormError>,
    ) -> Result<(), StormError> {
        if let Some(value) = self.get(name) {
            *into = read(&value)?;
        }
        Ok(())
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> StormError {
        self.file.error(&self.path, self.place, problem)
    }
}

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    file: &'a File<'a>,
    path: String,
    place: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    fn new(file: &'a File<'a>, path: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        let place = value.span().start;
        file.found.borrow_mut().push((path.clone(), place));
        Self { file, path, place, value: value.get_ref() }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> StormError {
        self.file.error(&self.path, self.place, problem)
    }

    fn expected(&self, what: &str) -> StormError {
        let is = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("is {is}; expected {what}"))
    }

    pub(super) fn text(&self) -> Result<&'a str, StormError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    pub(super) fn yes(&self) -> Result<bool, StormError> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A number; whole ones may do without a point.
    pub(super) fn number(&self) -> Result<f64, StormError> {
        let number = match self.value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(whole) => {
                i64::from_str_radix(whole.as_str(), whole.radix()).ok().map(|whole| whole as f64)
            }
            _ => None,
        };
        number.ok_or_else(|| self.expected("a number"))
    }

    /// A whole number of those allowed.
    pub(super) fn whole<T>(&self, allowed: &RangeInclusive<T>) -> Result<T, StormError>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let DeValue::Integer(whole) = self.value else { return Err(self.expected("a whole number")) };
        let number =
            u64::from_str_radix(whole.as_str(), whole.radix()).ok().and_then(|number| T::try_from(number).ok());
        number
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| self.error(format!("is {whole}; allowed: {} to {}", allowed.start(), allowed.end())))
    }

    pub(super) fn time(&self) -> Result<Duration, StormError> {
        let DeValue::String(text) = self.value else { return Err(self.expected("a time as \"250ms\"")) };
        time::parse(text).ok_or_else(|| {
            let what = "expected a time as \"250ms\" or \"1m 30s\", in h, m, s, ms, us or ns";
            self.error(format!("is {text:?}; {what}"))
        })
    }

    /// A time, or `forever`.
    pub(super) fn time_or_forever(&self) -> Result<Duration, StormError> {
        if self.value.as_str() == Some("forever") { Ok(Duration::MAX) } else { self.time() }
    }

    pub(super) fn table(&self) -> Result<Table<'a>, StormError> {
        let DeValue::Table(entries) = self.value else { return Err(self.expected("a table")) };
        Ok(Table { file: self.file, path: self.path.clone(), place: self.place, entries })
    }

    pub(super) fn array(&self) -> Result<Array<'a>, StormError> {
        let DeValue::Array(values) = self.value else { return Err(self.expected("an array")) };
        Ok(Array { file: self.file, path: self.path.clone(), values })
    }
}

/// An array.
#[derive(Clone, Debug)]
pub(super) struct Array<'a> {
    file: &'a File<'a>,
    path: String,
    values: &'a [Spanned<DeValue<'a>>],
}

impl<'a> Array<'a> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The value at this place of the file, called by this number.
    pub(super) fn get(&self, at: usize, number: usize) -> Value<'a> {
        Value::new(self.file, format!("{}[{number}]", self.path), &self.values[at])
    }

    /// Reads each.
    pub(super) fn each<T>(
        &self,
        mut read: impl FnMut(Value<'a>) -> Result<T, StormError>,
    ) -> Result<Vec<T>, StormError> {
        (0..self.len()).map(|at| read(self.get(at, at))).collect()
    }
}
