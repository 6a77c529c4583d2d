//! What can be asked for. Each command gives what was missed, if anything was.

mod boundary;
mod compare;
mod run;
mod suite;
mod sweep;
mod tune;

use std::sync::Arc;

use steadfast::storm::{Candidate, Scenario};

pub(crate) use self::{boundary::boundary, compare::compare, run::run, suite::suite, sweep::sweep, tune::tune};
use crate::{knob::Amount, place, problem::Problem, stack::Plan};

type Done = Result<Vec<String>, Problem>;

/// A stack and a scenario to be run.
type Pair = (Arc<dyn Candidate>, Arc<Scenario>);

/// Each stack in each scenario.
fn pairs(stacks: &[Plan], scenarios: &[Arc<Scenario>]) -> Result<Vec<Pair>, Problem> {
    let mut pairs = Vec::new();
    for stack in stacks {
        let candidate: Arc<dyn Candidate> = stack.candidate()?.into();
        pairs.extend(scenarios.iter().map(|scenario| (Arc::clone(&candidate), Arc::clone(scenario))));
    }
    Ok(pairs)
}

/// A stack and a scenario, with a knob turned in whichever of them it is.
fn turned(stack: &Plan, scenario: &Scenario, path: &str, amount: Amount) -> Result<(Plan, Scenario), Problem> {
    let (mut stack, mut scenario) = (stack.clone(), scenario.clone());
    if place::is_in_scenario(path) {
        place::set(&mut scenario, path, amount)?;
    } else {
        stack.set(path, amount.value())?;
    }
    Ok((stack, scenario))
}
