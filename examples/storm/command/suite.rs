//! Stacks in all scenarios.

use serde_json::json;

use super::{Done, pairs};
use crate::{
    args::Suite,
    chart,
    figures::{Row, Summary, table},
    input,
    output::{Output, csv},
    worlds::{self, Spread},
};

/// What the table leaves out: the stack is in its title.
const SHOWN: usize = Row::COLUMNS.len() - 1;

pub(crate) fn suite(args: &Suite, output: &mut Output) -> Done {
    let stacks = input::stacks(&args.stacks.stacks, &["steadfast"])?;
    let scenarios = input::scenarios(&args.which.scenarios)?;
    let names: Vec<_> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    let storms: Vec<_> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    args.require.iter().try_for_each(|requirement| requirement.check(&names, &storms))?;

    let pairs = pairs(&stacks, &scenarios)?;
    let cells = output.runs(&pairs, 0..args.which.seeds)?;
    let drawn = match args.worlds.number {
        0 => Vec::new(),
        number => worlds::run(&pairs, scenarios.len(), 0..number, output)?,
    };
    let rows: Vec<&Row> = cells.iter().map(|cell| &cell.row).collect();
    let (mut missed, mut all) = (Vec::new(), Vec::new());
    for (number, (stack, rows)) in names.iter().zip(rows.chunks(scenarios.len())).enumerate() {
        let drawn = drawn.get(number);
        let summary = Summary::of(rows.iter().copied());
        missed.extend(args.require.iter().filter_map(|requirement| requirement.missed(stack, rows, summary)));
        if args.json {
            let figures: Vec<_> = rows.iter().map(|row| row.json()).collect();
            let mut figures =
                json!({ "stack": stack, "min": summary.min, "geomean": summary.geomean, "scenarios": figures });
            if let Some(drawn) = drawn {
                figures["drawn"] = drawn.json();
            }
            all.push(figures);
        } else {
            let cells: Vec<_> = rows.iter().map(|row| row.cells()).collect();
            let shown = table(&Row::COLUMNS[..SHOWN], cells.iter().map(|cells| &cells[..SHOWN]));
            output.say(&format!("{stack}, mean of {} seeds\n{shown}\n{summary}", args.which.seeds));
            if let Some(drawn) = drawn {
                let cells: Vec<_> = drawn.spreads.iter().map(Spread::cells).collect();
                let shown = table(&Spread::COLUMNS, cells.iter().map(<[String; 5]>::as_slice));
                output.say(&format!("{stack}, goodput in drawn worlds\n{shown}\n{}", drawn.line()));
            }
        }
    }
    if args.json {
        output.say(&format!("{:#}", json!({ "seeds": args.which.seeds, "stacks": all })));
    }
    let cells_: Vec<_> = rows.iter().map(|row| row.cells()).collect();
    output.write("suite.csv", &csv(&Row::COLUMNS, cells_.iter().map(<[String; 12]>::as_slice)))?;
    if !drawn.is_empty() {
        let (columns, rows) = worlds::every(&drawn);
        output.write("suite-worlds.csv", &csv(&columns, rows.iter().map(Vec::as_slice)))?;
    }
    for cell in &cells {
        let drawn = chart::of_one(&cell.reports[0], &cell.scenario);
        output.draw(&format!("{}-{}.svg", cell.row.scenario, cell.row.stack), drawn)?;
    }
    Ok(missed)
}
