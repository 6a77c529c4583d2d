//! What comes out for the values of a knob.

use std::sync::Arc;

use super::{Done, Pair, turned};
use crate::{
    args::Sweep,
    chart::{self, Curve},
    figures::{Row, Summary, table},
    input,
    knob::Range,
    output::{Output, csv},
};

pub(crate) fn sweep(args: &Sweep, output: &mut Output) -> Done {
    let range = Range::parse(&args.knob)?;
    let stacks = input::stacks(&args.stacks.stacks, &["steadfast"])?;
    let scenarios = input::scenarios(&args.which.scenarios)?;
    let values = range.values();

    // All values before any run, so that one that cannot be is known at once.
    let mut pairs: Vec<Pair> = Vec::new();
    for value in &values {
        for stack in &stacks {
            for scenario in &scenarios {
                let (stack, scenario) = turned(stack, scenario, &range.path, *value)?;
                pairs.push((stack.candidate()?.into(), Arc::new(scenario)));
            }
        }
    }
    let cells = output.runs(&pairs, 0..args.which.seeds)?;

    let whole = args.which.scenarios.is_empty();
    let (mut rows, mut curves): (Vec<Vec<String>>, Vec<Curve>) = (Vec::new(), Vec::new());
    let mut add = |label: String, goodput: f64| match curves.iter_mut().find(|curve| curve.label == label) {
        Some(curve) => curve.goodput.push(goodput),
        None => curves.push(Curve { label, goodput: vec![goodput] }),
    };
    for (number, cells) in cells.chunks(scenarios.len()).enumerate() {
        let value = values[number / stacks.len()].to_string();
        let stack = &cells[0].row.stack;
        let summary = Summary::of(cells.iter().map(|cell| &cell.row));
        if whole {
            add(format!("{stack}: min"), summary.min);
            add(format!("{stack}: geomean"), summary.geomean);
            rows.push(vec![value, stack.clone(), format!("{:.1}", summary.min), format!("{:.1}", summary.geomean)]);
        } else {
            for cell in cells {
                let label =
                    if scenarios.len() == 1 { stack.clone() } else { format!("{stack} in {}", cell.row.scenario) };
                add(label, cell.row.goodput);
                let mut row = cell.row.cells().to_vec();
                let stack = row.pop().unwrap_or_default();
                row.splice(0..0, [value.clone(), stack]);
                rows.push(row);
            }
        }
    }
    let columns: Vec<&str> = if whole {
        vec!["value", "stack", "min %", "geomean %"]
    } else {
        ["value", "stack"].into_iter().chain(Row::COLUMNS[..Row::COLUMNS.len() - 1].iter().copied()).collect()
    };
    let over = if whole { "the suite".to_owned() } else { args.which.scenarios.join(", ") };
    output.say(&format!("{} over {over}, mean of {} seeds", range.path, args.which.seeds));
    output.say(&table(&columns, rows.iter().map(Vec::as_slice)));
    let name = format!("sweep-{}", range.path);
    let csv = output.write(&format!("{name}.csv"), &csv(&columns, rows.iter().map(Vec::as_slice)))?;
    let svg = output.draw(&format!("{name}.svg"), chart::curves(&range, &curves))?;
    output.say(&format!("\n{csv}\n{svg}"));
    Ok(Vec::new())
}
