//! Reads files of recorded scenarios, whichever subject they are about.

use std::{collections::BTreeMap, fs, path::Path};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{intervals, scenario};

/// One file of recorded scenarios.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) breaker: Vec<scenario::Scenario>,
    pub(crate) intervals: Vec<intervals::Scenario>,
    /// Scenarios by subjects that have no machine here yet.
    pub(crate) not_covered: BTreeMap<&'static str, usize>,
}

impl File {
    /// Reads a file of JSON lines.
    ///
    /// # Errors
    /// What cannot be read, with file and line.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut file = Self { name: path.display().to_string(), ..Self::default() };
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", file.name))?;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            file.line(line).map_err(|error| format!("{}:{}: {error}", path.display(), at + 1))?;
        }
        if file.breaker.is_empty() && file.intervals.is_empty() && file.not_covered.is_empty() {
            return Err(format!("{}: no scenarios", file.name));
        }
        Ok(file)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let config = |field: &str| value.get("config").is_some_and(|config| config.get(field).is_some());
        if value.get("function").is_some() {
            self.intervals.push(parse(&value)?);
        } else if config("sliding_window_type") {
            let scenario: scenario::Scenario = parse(&value)?;
            let (steps, rows) = (scenario.steps.len(), scenario.expected.len());
            if steps != rows {
                return Err(format!("`{}` has {steps} steps, but {rows} expected rows", scenario.name));
            }
            self.breaker.push(scenario);
        } else if config("limit_for_period") {
            *self.not_covered.entry("rate limiter").or_default() += 1;
        } else if config("max_concurrent_calls") {
            *self.not_covered.entry("bulkhead").or_default() += 1;
        } else {
            return Err("a scenario of no known subject".to_owned());
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let name = value.get("name").and_then(Value::as_str).unwrap_or("a scenario without a name");
    T::deserialize(value).map_err(|error| format!("`{name}`: {error}"))
}
