//! Stacks as data: a name, and layers from outside in.

mod fields;
mod layers;
mod value;

use std::fmt::Write as _;

use steadfast::{
    Error,
    storm::{Candidate, Stack, Upstream},
};
use tower::ServiceExt;

pub(crate) use self::value::Value;
use self::{
    fields::Fields,
    layers::{Between, KINDS, Wrap},
    value::Entry,
};
use crate::problem::{Problem, instead};

/// The built-in stacks, with their text.
pub(crate) const BUILT_IN: [(&str, &str); 3] = [
    ("none", include_str!("../stacks/none.toml")),
    ("naive", include_str!("../stacks/naive.toml")),
    ("steadfast", include_str!("../stacks/steadfast.toml")),
];

/// A stack as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// From outside in: the lines they begin at, and their settings, `kind` among them.
    layers: Vec<(usize, Vec<Entry>)>,
    /// Where the text comes from, for errors.
    source: String,
}

impl Plan {
    /// Reads a stack and checks all of it.
    pub(crate) fn parse(text: &str, source: &str) -> Result<Self, Problem> {
        let plan = Self::read(text, source).map_err(|problem| problem.of(source))?;
        plan.wraps()?;
        Ok(plan)
    }

    fn read(text: &str, source: &str) -> Result<Self, Problem> {
        let (mut name, mut layers) = (None, Vec::new());
        for entry in value::parse(text)? {
            match (entry.key.as_str(), entry.value) {
                ("name", Value::Text(text)) => name = Some(text),
                ("name", _) => return Err(Problem::new("name", "must be a text").at(entry.line)),
                ("layers", Value::List(list)) => layers = list,
                ("layers", _) => return Err(Problem::new("layers", "must be a list of tables").at(entry.line)),
                (key, _) => {
                    let known = ["name", "layers"];
                    return Err(Problem::new(key, format!("is unknown{}", instead(key, &known))).at(entry.line));
                }
            }
        }
        let layer = |(at, value)| match value {
            // A table begins a line before its first setting, or on the same one; the setting is where one looks.
            Value::Table(entries) => Ok((entries.first().map_or(0, |entry: &Entry| entry.line), entries)),
            _ => Err(Problem::new(format!("layers[{at}]"), "must be a table")),
        };
        let layers = layers.into_iter().enumerate().map(layer).collect::<Result<_, _>>()?;
        let name = name.ok_or_else(|| Problem::new("name", "is missing"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_.+".contains(c)) {
            return Err(Problem::new("name", "must be of letters, digits, `-`, `_`, `.`, `+`: files are called by it"));
        }
        Ok(Self { name, layers, source: source.to_owned() })
    }

    /// The stack, ready to be run.
    pub(crate) fn candidate(&self) -> Result<Box<dyn Candidate>, Problem> {
        let wraps = self.wraps()?;
        Ok(Box::new(Stack::new(self.name.clone(), move |upstream: Upstream| {
            let inner = Between::new(upstream.clone().map_err(Error::Inner));
            wraps.iter().rev().fold(inner, |inner, wrap| wrap(&upstream, inner))
        })))
    }

    fn wraps(&self) -> Result<Vec<Wrap>, Problem> {
        let wrap = |(at, (line, entries)): (usize, &(usize, Vec<Entry>))| {
            let fields = Fields::new(format!("layers[{at}]"), *line, entries);
            let kind: String = fields.need("kind")?;
            let Some((_, make)) = KINDS.iter().find(|(name, _)| *name == kind) else {
                let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
                let what = format!("\"{kind}\" is no kind of layer{}", instead(&kind, &known));
                let line = entries.iter().find(|entry| entry.key == "kind").map_or(*line, |entry| entry.line);
                return Err(Problem::new(format!("layers[{at}].kind"), what).at(line));
            };
            let name = fields.get("name")?.unwrap_or(kind);
            let wrap = make(&fields, name)?;
            fields.finish()?;
            Ok(wrap)
        };
        let wraps: Result<_, Problem> = self.layers.iter().enumerate().map(wrap).collect();
        wraps.map_err(|problem| problem.of(&self.source))
    }

    /// Changes one setting: `retry.max_attempts`, `retry.backoff.max`, or `timeout.1.total` where there are several.
    pub(crate) fn set(&mut self, path: &str, value: Value) -> Result<(), Problem> {
        let (at, path) = self.find(path)?;
        let mut entries = &mut self.layers[at].1;
        let mut keys = path.as_slice();
        while let [key, rest @ ..] = keys {
            let present = entries.iter().position(|entry| entry.key == *key);
            let present = present.unwrap_or_else(|| {
                entries.push(Entry { key: key.clone(), value: Value::Table(Vec::new()), line: 0 });
                entries.len() - 1
            });
            let entry = &mut entries[present];
            if rest.is_empty() {
                (entry.value, entry.line) = (value, 0);
                break;
            }
            if !matches!(entry.value, Value::Table(_)) {
                entry.value = Value::Table(Vec::new());
            }
            let Value::Table(inner) = &mut entry.value else { unreachable!("made a table above") };
            (entries, keys) = (inner, rest);
        }
        self.wraps().map(drop)
    }

    /// What is set there, if it is.
    pub(crate) fn get(&self, path: &str) -> Result<Option<&Value>, Problem> {
        let (at, path) = self.find(path)?;
        let mut entries = &self.layers[at].1;
        let mut found = None;
        for key in path {
            let Some(entry) = entries.iter().find(|entry| entry.key == key) else { return Ok(None) };
            found = Some(&entry.value);
            match &entry.value {
                Value::Table(inner) => entries = inner,
                _ => break,
            }
        }
        Ok(found)
    }

    /// The layer that a path means, and the path within it.
    fn find(&self, path: &str) -> Result<(usize, Vec<String>), Problem> {
        let wrong = |what: String| Problem::new(path, what).of(&format!("stack {}", self.name));
        let mut keys: Vec<String> = path.split('.').map(str::to_owned).collect();
        let kind = keys.remove(0);
        let is = |entries: &[Entry], key: &str| {
            entries.iter().any(|entry| entry.key == key && matches!(&entry.value, Value::Text(text) if *text == kind))
        };
        let named = (0..self.layers.len()).filter(|at| {
            let entries = &self.layers[*at].1;
            is(entries, "name") || is(entries, "kind")
        });
        let mut named: Vec<usize> = named.collect();
        if let Some(which) = keys.first().and_then(|key| key.parse::<usize>().ok()) {
            keys.remove(0);
            named = named.get(which).map(|at| vec![*at]).unwrap_or_default();
        }
        match (named.as_slice(), keys.is_empty()) {
            (_, true) => Err(wrong("names no setting, such as retry.max_attempts".into())),
            ([at], _) => Ok((*at, keys)),
            ([], _) => Err(wrong(format!("there is no such layer `{kind}`"))),
            (several, _) => Err(wrong(format!("{} layers are `{kind}`; say {kind}.0, {kind}.1, ...", several.len()))),
        }
    }

    /// As TOML.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("name = {}\n", Value::Text(self.name.clone()));
        for (_, entries) in &self.layers {
            text.push_str("\n[[layers]]\n");
            for entry in entries {
                let _ = writeln!(text, "{} = {}", entry.key, entry.value);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
