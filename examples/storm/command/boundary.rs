//! The value of a knob at which goodput falls under a figure.

use std::sync::Arc;

use steadfast::storm::Scenario;

use super::{Done, turned};
use crate::{
    args::Boundary,
    input,
    knob::{Amount, Range},
    output::Output,
    place,
    problem::Problem,
    search::{Edge, bisect, bracket},
    stack::{Plan, Value},
};

/// As near as this, in parts of the value: below it, the means of a few seeds say nothing.
const NEAR: f64 = 0.01;
/// How often the value is doubled and halved to find both sides.
const TIMES: u32 = 8;

pub(crate) fn boundary(args: &Boundary, output: &mut Output) -> Done {
    let stacks = input::stacks(&args.stacks.stacks, &["steadfast"])?;
    let scenario = input::scenario(&args.scenario)?;
    let range = args.knob.contains('=').then(|| Range::parse(&args.knob)).transpose()?;
    let path = range.as_ref().map_or(args.knob.as_str(), |range| range.path.as_str());
    for stack in &stacks {
        let from = match &range {
            Some(range) => range.from,
            None => present(stack, &scenario, path)?,
        };
        output.say(&format!("{} in {}: {path}", stack.name, scenario.name));
        let amount = |number: f64| range.as_ref().map_or_else(|| from.with(number), |range| range.of(number));
        let mut probe = |number: f64| -> Result<Option<bool>, Problem> {
            let amount = amount(number);
            // A value that cannot be is the end of the way, not a mistake of who asked.
            let Ok((stack, scenario)) = turned(stack, &scenario, path, amount) else { return Ok(None) };
            let pair = (stack.candidate()?.into(), Arc::new(scenario));
            let cells = output.runs(&[pair], 0..args.seeds)?;
            let (goodput, oracle) = (cells[0].row.goodput, cells[0].row.oracle);
            output.say(&format!("  {amount:<12} goodput {goodput:.1} % of the oracle's {oracle:.1} %"));
            Ok(Some(goodput >= args.goodput))
        };
        let edge = match &range {
            Some(range) => {
                let (low, high) = (range.from.number(), range.to.number());
                // Here a value that cannot be is one: it was given.
                turned(stack, &scenario, path, range.from)?;
                turned(stack, &scenario, path, range.to)?;
                match (probe(low)?, probe(high)?) {
                    (Some(true), Some(false)) => Some(Edge { good: low, bad: high }),
                    (Some(false), Some(true)) => Some(Edge { good: high, bad: low }),
                    _ => None,
                }
            }
            None => bracket(from.number(), TIMES, &mut probe)?,
        };
        let next_to =
            |one: f64, other: f64| matches!(from, Amount::Whole(_)) && (one.round() - other.round()).abs() <= 1.0;
        let goodput = args.goodput;
        let Some(edge) = edge else {
            output.say(&format!("{}: goodput is on one side of {goodput} % at all of these", stack.name));
            continue;
        };
        let edge = bisect(edge, NEAR, next_to, |at| probe(at).map(|good| good.unwrap_or(false)))?;
        let (good, bad) = (amount(edge.good), amount(edge.bad));
        output.say(&format!("{}: goodput falls under {goodput} % between {good} and {bad}", stack.name));
    }
    Ok(Vec::new())
}

/// What the knob is at.
fn present(stack: &Plan, scenario: &Scenario, path: &str) -> Result<Amount, Problem> {
    let absent = || Problem::new(path, "has no value to begin with; give a range: KNOB=a..b");
    if place::is_in_scenario(path) {
        return place::get(scenario, path)?.ok_or_else(absent);
    }
    let value = stack.get(path)?;
    match value {
        Some(Value::Whole(whole)) => Some(Amount::Whole(*whole)),
        Some(Value::Number(number)) => Some(Amount::Number(*number)),
        Some(Value::Text(text)) => Amount::parse(text),
        _ => None,
    }
    .ok_or_else(absent)
}
