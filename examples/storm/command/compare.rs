//! Two stacks, scenario by scenario.

use super::{Done, pairs};
use crate::{
    args::Compare,
    chart,
    figures::{Row, Summary, table},
    input,
    output::{Output, csv},
    problem::Problem,
    worlds::{self, Drawn},
};

/// Differences below this are no difference.
const SAME: f64 = 0.05;

pub(crate) fn compare(args: &Compare, output: &mut Output) -> Done {
    let stacks = input::stacks(&[args.one.clone(), args.other.clone()], &[])?;
    let scenarios = input::scenarios(&args.which.scenarios)?;
    let pairs = pairs(&stacks, &scenarios)?;
    let cells = output.runs(&pairs, 0..args.which.seeds)?;
    let (one, other) = cells.split_at(scenarios.len());
    let (left, right) = (stacks[0].name.as_str(), stacks[1].name.as_str());

    let better = |difference: f64| match difference {
        difference if difference > SAME => right.to_owned(),
        difference if difference < -SAME => left.to_owned(),
        _ => "=".into(),
    };
    let row = |name: &str, one: f64, other: f64, rest: [String; 6]| {
        let mut row = vec![name.to_owned(), format!("{one:.1}"), format!("{other:.1}")];
        row.extend([format!("{:+.1}", other - one), better(other - one)]);
        row.extend(rest);
        row
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (one, other) in one.iter().zip(other) {
        let (first, second) = (one.row.cells(), other.row.cells());
        let rest = [3, 5, 7].map(|column| [first[column].clone(), second[column].clone()]).concat();
        let rest = rest.try_into().unwrap_or_default();
        rows.push(row(&one.row.scenario, one.row.goodput, other.row.goodput, rest));
    }
    let [one_in_all, other_in_all] = [one, other].map(|cells| Summary::of(cells.iter().map(|cell| &cell.row)));
    for (name, one, other) in
        [("min", one_in_all.min, other_in_all.min), ("geomean", one_in_all.geomean, other_in_all.geomean)]
    {
        rows.push(row(name, one, other, Default::default()));
    }
    let figures = [Row::COLUMNS[3], Row::COLUMNS[5], Row::COLUMNS[7]];
    let mut columns = vec!["scenario".to_owned(), format!("{left} %"), format!("{right} %"), "difference".into()];
    columns.push("better".into());
    columns.extend(figures.iter().flat_map(|figure| [format!("{figure}, {left}"), format!("{figure}, {right}")]));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    output.say(&format!("Goodput in percent of the oracle, mean of {} seeds", args.which.seeds));
    output.say(&table(&columns, rows.iter().map(Vec::as_slice)));
    for (stack, summary) in [(left, one_in_all), (right, other_in_all)] {
        output.say(&format!("{stack}: {summary}"));
    }
    output.write(&format!("compare-{left}-{right}.csv"), &csv(&columns, rows.iter().map(Vec::as_slice)))?;
    if args.worlds.number > 0 {
        in_worlds(&worlds::run(&pairs, scenarios.len(), 0..args.worlds.number, output)?, output)?;
    }
    for (one, other) in one.iter().zip(other) {
        let drawn = chart::of_two(&one.reports[0], &other.reports[0], &one.scenario);
        output.draw(&format!("{}-{left}-{right}.svg", one.row.scenario), drawn)?;
    }
    Ok(Vec::new())
}

/// Both in drawn worlds. The medians are of one stack each: not of the same world.
fn in_worlds(drawn: &[Drawn], output: &mut Output) -> Result<(), Problem> {
    let [one, other] = drawn else { return Ok(()) };
    let (left, right) = (one.stack.as_str(), other.stack.as_str());
    let figures = worlds::Spread::COLUMNS[1..].iter();
    let columns: Vec<_> =
        figures.flat_map(|figure| [format!("{figure}, {left}"), format!("{figure}, {right}")]).collect();
    let columns: Vec<_> = ["scenario"].into_iter().chain(columns.iter().map(String::as_str)).collect();
    let row = |(one, other): (&worlds::Spread, &worlds::Spread)| {
        let [scenario, ones @ ..] = one.cells();
        let [_, others @ ..] = other.cells();
        let figures = ones.into_iter().zip(others).flat_map(|(one, other)| [one, other]);
        [scenario].into_iter().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = one.spreads.iter().zip(&other.spreads).map(row).collect();
    output.say("\nGoodput in drawn worlds");
    output.say(&table(&columns, rows.iter().map(Vec::as_slice)));
    for drawn in [one, other] {
        output.say(&format!("{}: {}", drawn.stack, drawn.line()));
    }
    let (columns, rows) = worlds::every(drawn);
    output.write(&format!("compare-{left}-{right}-worlds.csv"), &csv(&columns, rows.iter().map(Vec::as_slice)))?;
    Ok(())
}
