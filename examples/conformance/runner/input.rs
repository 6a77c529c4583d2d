//! Reads files of recorded scenarios, whichever subject they are about.

use std::{fs, path::Path};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    bulkhead::Bulkhead,
    intervals,
    limiter::Limiter,
    recorded::{self, Subject},
    scenario,
};

/// One file of recorded scenarios.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) breaker: Vec<scenario::Scenario>,
    pub(crate) intervals: Vec<intervals::Scenario>,
    pub(crate) limiter: Vec<recorded::Scenario<Limiter>>,
    pub(crate) bulkhead: Vec<recorded::Scenario<Bulkhead>>,
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
        let File { breaker, intervals, limiter, bulkhead, .. } = &file;
        if breaker.len() + intervals.len() + limiter.len() + bulkhead.len() == 0 {
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
            counted(&scenario.name, scenario.steps.len(), scenario.expected.len())?;
            self.breaker.push(scenario);
        } else if config("limit_for_period") {
            self.limiter.push(recorded(&value)?);
        } else if config("max_concurrent_calls") {
            self.bulkhead.push(recorded(&value)?);
        } else {
            return Err("a scenario of no known subject".to_owned());
        }
        Ok(())
    }
}

fn recorded<S: Subject>(value: &Value) -> Result<recorded::Scenario<S>, String> {
    let scenario: recorded::Scenario<S> = parse(value)?;
    counted(&scenario.name, scenario.steps.len(), scenario.expected.len())?;
    Ok(scenario)
}

fn counted(name: &str, steps: usize, rows: usize) -> Result<(), String> {
    if steps == rows { Ok(()) } else { Err(format!("`{name}` has {steps} steps, but {rows} expected rows")) }
}

fn parse<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    let name = value.get("name").and_then(Value::as_str).unwrap_or("a scenario without a name");
    T::deserialize(value).map_err(|error| format!("`{name}`: {error}"))
}
