//! Goodput over the values of a knob.

use super::{Across, BLUE, DASHES, Drawn, GREEN, GREY, Line, OCHRE, PURPLE, Panel, RED, picture};
use crate::knob::Range;

/// What is drawn over the values.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) goodput: Vec<f64>,
}

/// One line each.
pub(crate) fn curves(range: &Range, curves: &[Curve]) -> Drawn<String> {
    const COLOURS: [plotters::style::RGBColor; 6] = [BLUE, RED, GREEN, PURPLE, OCHRE, GREY];
    let values = range.values();
    let at = |number: f64| if range.log { number.ln() } else { number };
    let marks: Vec<_> = values.iter().map(|value| (at(value.number()), value.to_string())).collect();
    let (first, last) = (marks[0].0, marks[marks.len() - 1].0);
    let each = marks.len().div_ceil(12);
    let line = |(number, curve): (usize, &Curve)| Line {
        label: curve.label.clone(),
        colour: COLOURS[number % COLOURS.len()],
        width: 2,
        dash: DASHES[number % DASHES.len()],
        points: marks.iter().map(|(at, _)| *at).zip(curve.goodput.iter().copied()).collect(),
    };
    let lines: Vec<_> = curves.iter().enumerate().map(line).collect();
    let most = curves.iter().flat_map(|curve| &curve.goodput).copied().fold(100.0, f64::max);
    let across = Across {
        label: if range.log { format!("{} (logarithmic)", range.path) } else { range.path.clone() },
        range: (first, if last > first { last } else { first + 1.0 }),
        marks: marks.iter().step_by(each).cloned().collect(),
        shaded: Vec::new(),
    };
    let panel = Panel {
        heading: String::new(),
        y: "goodput, % of the oracle".into(),
        lines,
        top: most + 5.0,
        part: 5,
        shade: None,
    };
    picture(&format!("Goodput over {}", range.path), &across, &[panel])
}
