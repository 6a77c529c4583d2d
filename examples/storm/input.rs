//! Stacks and scenarios, by name or from files.

use std::{fs, path::Path, sync::Arc};

use steadfast::storm::{Scenario, StormError};

use crate::{
    problem::{Problem, instead},
    stack::{BUILT_IN, Plan},
};

/// The built-in stack of this name, or the one in this file.
pub(crate) fn stack(given: &str) -> Result<Plan, Problem> {
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == given) {
        return Plan::parse(text, name);
    }
    let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    Plan::parse(&file(given, "stack", &known)?, given)
}

/// The stacks that are given, or these.
pub(crate) fn stacks(given: &[String], default: &[&str]) -> Result<Vec<Plan>, Problem> {
    let default: Vec<_> = default.iter().map(|name| (*name).to_owned()).collect();
    let stacks: Result<Vec<_>, _> =
        if given.is_empty() { &default } else { given }.iter().map(|given| stack(given)).collect();
    let stacks = stacks?;
    let names: Vec<_> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    once(&names, "stacks")?;
    Ok(stacks)
}

/// The listed scenario of this name, or the one in this file.
pub(crate) fn scenario(given: &str) -> Result<Scenario, Problem> {
    if let Some(scenario) = Scenario::named(given) {
        return Ok(scenario);
    }
    let listed = Scenario::listed();
    let known: Vec<_> = listed.iter().map(|scenario| scenario.name.as_str()).collect();
    let text = file(given, "scenario", &known)?;
    let wrong = |error: StormError| Problem::new("", error.to_string()).of(given);
    Scenario::from_toml(&text).map_err(wrong)
}

/// The scenarios that are given, or all that are listed.
pub(crate) fn scenarios(given: &[String]) -> Result<Vec<Arc<Scenario>>, Problem> {
    let scenarios: Result<Vec<_>, _> = given.iter().map(|given| scenario(given)).collect();
    let scenarios = if given.is_empty() { Scenario::listed() } else { scenarios? };
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    once(&names, "scenarios")?;
    Ok(scenarios.into_iter().map(Arc::new).collect())
}

fn file(given: &str, what: &str, known: &[&str]) -> Result<String, Problem> {
    if !Path::new(given).exists() && !given.contains(['/', '.']) {
        return Err(Problem::new(given, format!("is neither a {what} nor a file{}", instead(given, known))));
    }
    fs::read_to_string(given).map_err(|error| Problem::new("", error.to_string()).of(given))
}

/// Two of one name could not be told apart in tables and files.
fn once(names: &[&str], what: &str) -> Result<(), Problem> {
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    twice.map_or(Ok(()), |(_, name)| Err(Problem::new("", format!("two {what} are called `{name}`"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        assert_eq!(
            stack("naiv").unwrap_err().to_string(),
            "`naiv`: is neither a stack nor a file; did you mean `naive`?"
        );
        let problem = scenario("grey").unwrap_err().to_string();
        assert_eq!(problem, "`grey`: is neither a scenario nor a file; did you mean `gray`?");
        assert!(stack("no/such.toml").unwrap_err().to_string().starts_with("no/such.toml: "));
        let twice = scenarios(&["gray".into(), "flap".into(), "gray".into()]).unwrap_err();
        assert_eq!(twice.to_string(), "two scenarios are called `gray`");
        assert_eq!(scenarios(&[]).unwrap().len(), 16);
    }
}
