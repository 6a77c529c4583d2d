//! Stacks in all scenarios.

use serde_json::json;

use super::{Done, pairs};
use crate::{
    args::Suite,
    chart,
    figures::{Row, Summary, table},
    input,
    output::{Output, csv},
};

/// What the table leaves out: the stack is in its title.
const SHOWN: usize = Row::COLUMNS.len() - 1;

pub(crate) fn suite(args: &Suite, output: &mut Output) -> Done {
    let stacks = input::stacks(&args.stacks.stacks, &["steadfast"])?;
    let scenarios = input::scenarios(&args.which.scenarios)?;
    let names: Vec<_> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    let storms: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    args.require.iter().try_for_each(|requirement| requirement.check(&names, &storms))?;

    let cells = output.runs(&pairs(&stacks, &scenarios)?, 0..args.which.seeds)?;
    let rows: Vec<&Row> = cells.iter().map(|cell| &cell.row).collect();
    let (mut missed, mut all) = (Vec::new(), Vec::new());
    for (stack, rows) in names.iter().zip(rows.chunks(scenarios.len())) {
        let summary = Summary::of(rows.iter().copied());
        missed.extend(args.require.iter().filter_map(|requirement| requirement.missed(stack, rows, summary)));
        if args.json {
            let figures: Vec<_> = rows.iter().map(|row| row.json()).collect();
            all.push(json!({ "stack": stack, "min": summary.min, "geomean": summary.geomean, "scenarios": figures }));
        } else {
            let cells: Vec<_> = rows.iter().map(|row| row.cells()).collect();
            let shown = table(&Row::COLUMNS[..SHOWN], cells.iter().map(|cells| &cells[..SHOWN]));
            output.say(&format!("{stack}, mean of {} seeds\n{shown}\n{summary}", args.which.seeds));
        }
    }
    if args.json {
        output.say(&format!("{:#}", json!({ "seeds": args.which.seeds, "stacks": all })));
    }
    let cells_: Vec<_> = rows.iter().map(|row| row.cells()).collect();
    output.write("suite.csv", &csv(&Row::COLUMNS, cells_.iter().map(<[String; 12]>::as_slice)))?;
    for cell in &cells {
        let drawn = chart::of_one(&cell.reports[0], &cell.scenario);
        output.draw(&format!("{}-{}.svg", cell.row.scenario, cell.row.stack), drawn)?;
    }
    Ok(missed)
}
