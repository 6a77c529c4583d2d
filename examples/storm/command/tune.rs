//! Searches for settings.

use super::{Done, pairs};
use crate::{
    args::Tune,
    figures::Summary,
    input,
    knob::{Amount, Range},
    output::Output,
    place,
    problem::Problem,
    search,
    stack::{Plan, Value},
    worlds,
};

/// The search uses seeds from here on, and the figures at the end others: what is only luck with the former shows.
const SEARCH: u64 = 1_000_000;

pub(crate) fn tune(args: &Tune, output: &mut Output) -> Done {
    let stack = input::stack(&args.stack)?;
    let scenarios = input::scenarios(&args.which.scenarios)?;
    let ranges: Result<Vec<_>, _> = args.knobs.iter().map(|knob| Range::parse(knob)).collect();
    let ranges = ranges?;
    for range in &ranges {
        if place::is_in_scenario(&range.path) {
            return Err(Problem::new(&range.path, "is a knob of the scenario; only stacks are tuned"));
        }
        // Both ends now, rather than in the middle of the search.
        stack.clone().set(&range.path, range.from.value())?;
        stack.clone().set(&range.path, range.to.value())?;
    }
    let set = |at: &[f64]| -> Result<(Plan, String), Problem> {
        let (mut tuned, mut said) = (stack.clone(), Vec::new());
        for (range, share) in ranges.iter().zip(at) {
            let amount = range.at(*share);
            tuned.set(&range.path, amount.value())?;
            said.push(format!("{}={amount}", range.path));
        }
        Ok((tuned, said.join(" ")))
    };
    let seeds = args.which.seeds;
    let measure = |stack: &Plan, seeds: std::ops::Range<u64>, output: &mut Output| -> Result<Summary, Problem> {
        let pairs = pairs(std::slice::from_ref(stack), &scenarios)?;
        // Other worlds at the end than in the search, as with the seeds.
        let worlds = seeds.start..seeds.start + args.worlds.number;
        let cells = output.runs(&pairs, seeds)?;
        let drawn = if worlds.is_empty() { Vec::new() } else { worlds::run(&pairs, scenarios.len(), worlds, output)? };
        let drawn = drawn.iter().flat_map(|drawn| &drawn.rows).map(|(_, row)| row);
        Ok(Summary::of(cells.iter().map(|cell| &cell.row).chain(drawn)))
    };

    let first = measure(&stack, SEARCH..SEARCH + seeds, output)?;
    output.say(&format!("{:>4}  {first}  {} as it is", 0, stack.name));
    let mut best = order(first);
    let mut tried: Vec<(String, (f64, f64))> = Vec::new();
    let mut round = 0;
    let found = search::best(ranges.len(), args.rounds, (best, begin(&stack, &ranges)), |at| {
        let (tuned, said) = set(at)?;
        round += 1;
        // Whole numbers come up again and again.
        if let Some((_, figures)) = tried.iter().find(|(before, _)| *before == said) {
            return Ok(*figures);
        }
        let summary = measure(&tuned, SEARCH..SEARCH + seeds, output)?;
        if order(summary) > best {
            best = order(summary);
            output.say(&format!("{round:>4}  {summary}  {said}"));
        }
        tried.push((said, order(summary)));
        Ok::<_, Problem>(order(summary))
    })?;
    let improved = best > order(first);
    let tuned = match found.filter(|_| improved) {
        Some(at) => set(&at)?.0,
        None => stack.clone(),
    };
    let before = measure(&stack, 0..seeds, output)?;
    output.say(&format!("\nWith other seeds: {before} before"));
    if improved {
        let after = measure(&tuned, 0..seeds, output)?;
        output.say(&format!("With other seeds: {after} after\n\n{}", tuned.text()));
    } else {
        output.say("Nothing was better than what there is.");
    }
    Ok(Vec::new())
}

/// The geometric mean first; the least decides between those that look the same.
fn order(summary: Summary) -> (f64, f64) {
    ((summary.geomean * 10.0).round(), summary.min)
}

/// Where the stack is in the ranges, if all knobs are set in it.
fn begin(stack: &Plan, ranges: &[Range]) -> Option<Vec<f64>> {
    let at = |range: &Range| {
        let number = match stack.get(&range.path).ok()?? {
            Value::Whole(whole) => *whole as f64,
            Value::Number(number) => *number,
            Value::Text(text) => Amount::parse(text)?.number(),
            _ => return None,
        };
        Some(search::share(range, number))
    };
    ranges.iter().map(at).collect()
}
