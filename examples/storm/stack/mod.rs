//! Stacks as data: a name, and layers from outside in, of the client and of the server, and a failover client between them.

mod failover;
mod fields;
mod layers;
mod server;
mod value;

use std::{cell::Cell, fmt::Write as _};

use steadfast::{
    Error,
    storm::{Candidate, Handler, Stack, Upstream},
};
use tower::ServiceExt;

pub(crate) use self::value::Value;
use self::{
    failover::Failover,
    fields::Fields,
    layers::{Between, Client, KINDS, Kind, Wrap},
    server::{SERVER_KINDS, WrapServer},
    value::Entry,
};
use crate::problem::{Problem, instead};

/// The built-in stacks, with their text.
pub(crate) const BUILT_IN: [(&str, &str); 6] = [
    ("none", include_str!("../stacks/none.toml")),
    ("naive", include_str!("../stacks/naive.toml")),
    ("steadfast", include_str!("../stacks/steadfast.toml")),
    ("failover", include_str!("../stacks/failover.toml")),
    ("server", include_str!("../stacks/server.toml")),
    ("shed", include_str!("../stacks/shed.toml")),
];

/// From outside in: the lines they begin at, and their settings, `kind` among them.
type Layers = Vec<(usize, Vec<Entry>)>;

/// A stack as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// Around what each client calls.
    layers: Layers,
    /// Between the innermost layer and the backends, if it is there; else they are called by name.
    failover: Layers,
    /// Around what each backend does.
    server: Layers,
    /// Where the text comes from, for errors.
    source: String,
}

impl Plan {
    /// Reads a stack and checks all of it.
    pub(crate) fn parse(text: &str, source: &str) -> Result<Self, Problem> {
        let plan = Self::read(text, source).map_err(|problem| problem.of(source))?;
        plan.check()?;
        Ok(plan)
    }

    fn read(text: &str, source: &str) -> Result<Self, Problem> {
        let (mut name, mut layers, mut failover, mut server) = (None, Vec::new(), Vec::new(), Vec::new());
        for entry in value::parse(text)? {
            match (entry.key.as_str(), entry.value) {
                ("name", Value::Text(text)) => name = Some(text),
                ("name", _) => return Err(Problem::new("name", "must be a text").at(entry.line)),
                ("layers", Value::List(list)) => layers = list,
                ("server", Value::List(list)) => server = list,
                ("failover", Value::Table(entries)) => failover.push((entry.line, entries)),
                ("failover", _) => return Err(Problem::new("failover", "must be a table").at(entry.line)),
                (key @ ("layers" | "server"), _) => {
                    return Err(Problem::new(key, "must be a list of tables").at(entry.line));
                }
                (key, _) => {
                    let known = ["name", "layers", "failover", "server"];
                    return Err(Problem::new(key, format!("is unknown{}", instead(key, &known))).at(entry.line));
                }
            }
        }
        let (layers, server) = (tables(layers, "layers")?, tables(server, "server")?);
        let name = name.ok_or_else(|| Problem::new("name", "is missing"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_.+".contains(c)) {
            return Err(Problem::new("name", "must be of letters, digits, `-`, `_`, `.`, `+`: files are called by it"));
        }
        Ok(Self { name, layers, failover, server, source: source.to_owned() })
    }

    /// The stack, ready to be run.
    pub(crate) fn candidate(&self) -> Result<Box<dyn Candidate>, Problem> {
        let (wraps, server) = self.wraps()?;
        let failover = self.failover()?;
        let stack = Stack::new(self.name.clone(), move |upstream: Upstream| {
            let client = Client { upstream, budget: Cell::default() };
            let inner = match &failover {
                Some(failover) => failover.client(&client),
                None => Between::new(client.upstream.clone().map_err(Error::Inner)),
            };
            wraps.iter().rev().fold(inner, |inner, wrap| wrap(&client, inner))
        });
        if server.is_empty() {
            return Ok(Box::new(stack));
        }
        Ok(Box::new(stack.server(move |handler: Handler| server::around(handler, &server))))
    }

    fn check(&self) -> Result<(), Problem> {
        self.wraps()?;
        self.failover().map(drop)
    }

    fn failover(&self) -> Result<Option<Failover>, Problem> {
        let of = |layer: &(usize, Vec<Entry>)| Failover::read(layer, &self.layers);
        self.failover.first().map(of).transpose().map_err(|problem| problem.of(&self.source))
    }

    fn wraps(&self) -> Result<(Vec<Wrap>, Vec<WrapServer>), Problem> {
        let client = wraps(&self.layers, "layers", "layer", &KINDS);
        let both =
            client.and_then(|client| Ok((client, wraps(&self.server, "server", "layer of a server", &SERVER_KINDS)?)));
        both.map_err(|problem| problem.of(&self.source))
    }

    /// Changes one setting: `retry.max_attempts`, `retry.backoff.max`, or `timeout.1.total` where there are several;
    /// `server.bulkhead.max_waiting` on the side of the server; `failover.slow_start`.
    pub(crate) fn set(&mut self, path: &str, value: Value) -> Result<(), Problem> {
        let (side, at, path) = self.find(path)?;
        let layers = match side {
            SERVER => &mut self.server,
            FAILOVER => &mut self.failover,
            _ => &mut self.layers,
        };
        let mut entries = &mut layers[at].1;
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
        self.check()
    }

    /// What is set there, if it is.
    pub(crate) fn get(&self, path: &str) -> Result<Option<&Value>, Problem> {
        let (side, at, path) = self.find(path)?;
        let mut entries = &self.side(side)[at].1;
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

    fn side(&self, side: &str) -> &Layers {
        match side {
            SERVER => &self.server,
            FAILOVER => &self.failover,
            _ => &self.layers,
        }
    }

    /// The layer that a path means, of which side it is, and the path within it.
    fn find(&self, path: &str) -> Result<(&'static str, usize, Vec<String>), Problem> {
        let wrong = |what: String| Problem::new(path, what).of(&format!("stack {}", self.name));
        if let Some(rest) = path.strip_prefix(FAILOVER).filter(|_| !self.failover.is_empty()) {
            return Ok((FAILOVER, 0, rest.split('.').map(str::to_owned).collect()));
        }
        let (side, within) = path.strip_prefix(SERVER).map_or(("", path), |rest| (SERVER, rest));
        let layers = self.side(side);
        let mut keys: Vec<String> = within.split('.').map(str::to_owned).collect();
        let kind = keys.remove(0);
        let is = |entries: &[Entry], key: &str| {
            entries.iter().any(|entry| entry.key == key && matches!(&entry.value, Value::Text(text) if *text == kind))
        };
        let named = (0..layers.len()).filter(|at| {
            let entries = &layers[*at].1;
            is(entries, "name") || is(entries, "kind")
        });
        let mut named: Vec<usize> = named.collect();
        if let Some(which) = keys.first().and_then(|key| key.parse::<usize>().ok()) {
            keys.remove(0);
            named = named.get(which).map(|at| vec![*at]).unwrap_or_default();
        }
        match (named.as_slice(), keys.is_empty()) {
            (_, true) => {
                Err(wrong("names no setting, such as retry.max_attempts or server.bulkhead.max_waiting".into()))
            }
            ([at], _) => Ok((side, *at, keys)),
            ([], _) => Err(wrong(format!("there is no such layer `{side}{kind}`"))),
            (several, _) => {
                let (number, kind) = (several.len(), format!("{side}{kind}"));
                Err(wrong(format!("{number} layers are `{kind}`; say {kind}.0, {kind}.1, ...")))
            }
        }
    }

    /// As TOML.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("name = {}\n", Value::Text(self.name.clone()));
        let sides = [("[[layers]]", &self.layers), ("[failover]", &self.failover), ("[[server]]", &self.server)];
        for (table, layers) in sides {
            for (_, entries) in layers {
                let _ = writeln!(text, "\n{table}");
                for entry in entries {
                    let _ = writeln!(text, "{} = {}", entry.key, entry.value);
                }
            }
        }
        text
    }
}

/// What a path into the side of the server begins with.
const SERVER: &str = "server.";
/// What a path into the settings of the failover client begins with.
const FAILOVER: &str = "failover.";

/// The layers of one side; `list` is what they are called.
fn tables(values: Vec<Value>, list: &str) -> Result<Layers, Problem> {
    let layer = |(at, value)| match value {
        // A table begins a line before its first setting, or on the same one; the setting is where one looks.
        Value::Table(entries) => Ok((entries.first().map_or(0, |entry: &Entry| entry.line), entries)),
        _ => Err(Problem::new(format!("{list}[{at}]"), "must be a table")),
    };
    values.into_iter().enumerate().map(layer).collect()
}

/// What makes the layers of one side.
fn wraps<W>(layers: &Layers, list: &str, what: &str, kinds: &[(&str, Kind<W>)]) -> Result<Vec<W>, Problem> {
    let wrap = |(at, (line, entries)): (usize, &(usize, Vec<Entry>))| {
        let fields = Fields::new(format!("{list}[{at}]"), *line, entries);
        let kind: String = fields.need("kind")?;
        let Some((_, make)) = kinds.iter().find(|(name, _)| *name == kind) else {
            let known: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
            let what = format!("\"{kind}\" is no kind of {what}{}", instead(&kind, &known));
            let line = entries.iter().find(|entry| entry.key == "kind").map_or(*line, |entry| entry.line);
            return Err(Problem::new(format!("{list}[{at}].kind"), what).at(line));
        };
        let name = fields.get("name")?.unwrap_or(kind);
        let wrap = make(&fields, name)?;
        fields.finish()?;
        Ok(wrap)
    };
    layers.iter().enumerate().map(wrap).collect()
}

#[cfg(test)]
mod tests;
