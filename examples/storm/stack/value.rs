//! TOML as a tree in which everything knows its line.

use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::problem::Problem;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Yes(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Table(Vec<Entry>),
}

/// A key with its value. What was set by a knob has no line: 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) line: usize,
}

impl Value {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Yes(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The entries of a document, in the order of the text.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, Problem> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    match DeTable::parse(text) {
        Ok(table) => entries(table.get_ref(), &line),
        Err(error) => {
            let at = error.span().map_or(0, |span| line(span.start));
            Err(Problem::new("", error.message()).at(at))
        }
    }
}

fn entries(table: &DeTable<'_>, line: &dyn Fn(usize) -> usize) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        let value = of(value.get_ref(), line).map_err(|what| match what {
            Wrong::Here(what) => Problem::new(&name, what).at(line(at)),
            Wrong::Below(problem) => problem,
        })?;
        entries.push((at, Entry { key: name, value, line: line(at) }));
    }
    entries.sort_by_key(|(at, _)| *at);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

enum Wrong {
    Here(String),
    Below(Problem),
}

fn of(value: &DeValue<'_>, line: &dyn Fn(usize) -> usize) -> Result<Value, Wrong> {
    Ok(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(yes) => Value::Yes(*yes),
        DeValue::Integer(whole) => {
            let number = i64::from_str_radix(whole.as_str(), whole.radix());
            Value::Whole(number.map_err(|_| Wrong::Here(format!("{whole} is too large")))?)
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse();
            Value::Number(number.map_err(|_| Wrong::Here("is no number".into()))?)
        }
        DeValue::Datetime(date) => return Err(Wrong::Here(format!("{date} is a date; nothing takes one"))),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|value| of(value.get_ref(), line)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Value::Table(entries(table, line).map_err(Wrong::Below)?),
    })
}

/// On one line, as TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |f: &mut fmt::Formatter<'_>, at: usize| if at == 0 { Ok(()) } else { f.write_str(", ") };
        match self {
            Self::Yes(yes) => write!(f, "{yes}"),
            Self::Whole(whole) => write!(f, "{whole}"),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::List(list) => {
                f.write_str("[")?;
                for (at, value) in list.iter().enumerate() {
                    some(f, at)?;
                    write!(f, "{value}")?;
                }
                f.write_str("]")
            }
            Self::Table(entries) => {
                f.write_str("{ ")?;
                for (at, entry) in entries.iter().enumerate() {
                    some(f, at)?;
                    write!(f, "{} = {}", entry.key, entry.value)?;
                }
                f.write_str(" }")
            }
        }
    }
}
