//! Pictures as SVG: panels of lines over a common axis, readable on light and on dark ground.

mod curve;
mod timeline;

use std::error::Error;

use plotters::{
    coord::{
        ranged1d::{DefaultFormatting, KeyPointHint},
        types::RangedCoordf64,
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

pub(crate) use self::{
    curve::{Curve, curves},
    timeline::{name as fault_name, of_one, of_two},
};

/// Colours that stay apart for the colour-blind (Okabe and Ito), by role, with what they are on dark ground.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(crate) const RED: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
pub(crate) const PURPLE: RGBColor = RGBColor(0xb3, 0x52, 0x85);
pub(crate) const GREY: RGBColor = RGBColor(0x80, 0x80, 0x80);
pub(crate) const OCHRE: RGBColor = RGBColor(0xb0, 0x7d, 0x00);
/// For the first line, the second and so on.
const DASHES: [Option<(i32, i32)>; 5] = [None, Some((8, 5)), Some((3, 4)), Some((12, 8)), Some((1, 3))];
const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xe8);
const SHADE: RGBColor = RGBColor(0xfb, 0xea, 0xd9);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const DARK: [(RGBColor, &str); 10] = [
    (BLUE, "#5ab4f0"),
    (GREEN, "#2fd0a0"),
    (RED, "#ff9350"),
    (PURPLE, "#ec9cc6"),
    (GREY, "#a0a6ad"),
    (OCHRE, "#e9c04a"),
    (INK, "#e3e6ea"),
    (GRID, "#41474f"),
    (SHADE, "#46362a"),
    (PAPER, "#16191d"),
];

const SIZE: (u32, u32) = (1000, 600);
/// What a letter of a legend takes at most, and what is beside its text.
const LETTER: f64 = 7.6;
const SWATCH: i32 = 26;
const ROW: i32 = 22;

/// A line of a panel, with its place in the legend.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) colour: RGBColor,
    pub(crate) width: u32,
    /// Strokes and gaps, in pixels; so lines that coincide are all seen.
    pub(crate) dash: Option<(i32, i32)>,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over the common axis.
#[derive(Clone, Debug)]
struct Panel {
    heading: String,
    y: String,
    lines: Vec<Line>,
    top: f64,
    /// Its part of the height.
    part: u32,
    /// Whether its legend says what the shade is.
    shade: Option<String>,
}

/// The common axis.
#[derive(Clone, Debug)]
struct Across {
    label: String,
    range: (f64, f64),
    /// Where it is marked, and with what; evenly if nowhere.
    marks: Vec<(f64, String)>,
    shaded: Vec<(f64, f64)>,
}

type Drawn<T> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A picture, as the text of an SVG.
fn picture(title: &str, across: &Across, panels: &[Panel]) -> Drawn<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&PAPER)?;
        let middle = font(21).pos(Pos::new(HPos::Center, VPos::Center));
        root.draw_text(title, &middle, (SIZE.0 as i32 / 2, 20))?;
        let mut rest = root.margin(38, 6, 6, 24);
        let (mut height, mut parts) = (rest.dim_in_pixel().1, panels.iter().map(|panel| panel.part).sum::<u32>());
        for (at, panel) in panels.iter().enumerate() {
            let own = height * panel.part / parts;
            let (area, below) = rest.split_vertically(own);
            draw(&area, across, panel, at + 1 == panels.len())?;
            (rest, height, parts) = (below, height - own, parts - panel.part);
        }
        root.present()?;
    }
    Ok(themed(&svg, title))
}

fn draw(area: &Area<'_>, across: &Across, panel: &Panel, last: bool) -> Drawn<()> {
    let rows = legend(area, panel)?;
    let (_, area) = area.split_vertically(rows * ROW + 4);
    let mut chart = ChartBuilder::on(&area);
    chart.set_label_area_size(LabelAreaPosition::Left, 62);
    chart.set_label_area_size(LabelAreaPosition::Bottom, if last { 44 } else { 8 });
    let (from, to) = across.range;
    let marks: Vec<f64> = across.marks.iter().map(|(at, _)| *at).collect();
    let name = |at: &f64| match across.marks.iter().find(|(mark, _)| (mark - at).abs() < 1e-9) {
        Some((_, name)) => name.clone(),
        None => number(*at),
    };
    let marks = if marks.is_empty() { even(from, to) } else { marks };
    let mut chart = chart.build_cartesian_2d(Marked { axis: (from..to).into(), marks }, 0.0..panel.top)?;
    for (from, until) in &across.shaded {
        let corners = [(*from, 0.0), (*until, panel.top)];
        chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
    }
    let mut mesh = chart.configure_mesh();
    mesh.axis_style(INK).bold_line_style(GRID).light_line_style(TRANSPARENT).label_style(font(15));
    mesh.axis_desc_style(font(16)).y_desc(&panel.y).y_labels(if panel.part > 2 { 7 } else { 4 });
    let y = |at: &f64| number(*at);
    let nothing = |_: &f64| String::new();
    mesh.y_label_formatter(&y);
    if last {
        mesh.x_desc(&across.label).x_labels(20).x_label_formatter(&name).draw()?;
    } else {
        mesh.x_labels(20).x_label_formatter(&nothing).draw()?;
    }
    for line in &panel.lines {
        let style = line.colour.stroke_width(line.width);
        let points = line.points.iter().copied();
        match line.dash {
            Some((stroke, gap)) => chart.draw_series(DashedLineSeries::new(points, stroke, gap, style))?,
            None => chart.draw_series(LineSeries::new(points, style))?,
        };
    }
    Ok(())
}

/// An axis with marks where they are wanted.
struct Marked {
    axis: RangedCoordf64,
    marks: Vec<f64>,
}

impl Ranged for Marked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // The light lines are not shown.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.axis.range()
    }
}

/// Heading and legend, above the lines and never over them. How many rows they take.
fn legend(area: &Area<'_>, panel: &Panel) -> Drawn<i32> {
    let wide = |text: &str| (text.chars().count() as f64 * LETTER) as i32;
    let right = area.dim_in_pixel().0 as i32;
    let text = font(16).pos(Pos::new(HPos::Left, VPos::Center));
    let begin = 62 + if panel.heading.is_empty() { 0 } else { wide(&panel.heading) + 30 };
    let (mut x, mut row) = (begin, 0);
    area.draw_text(&panel.heading, &font(17).pos(Pos::new(HPos::Left, VPos::Center)), (62, ROW / 2))?;
    let mut place = |label: &str| {
        let takes = SWATCH + wide(label) + 20;
        if x > begin && x + takes > right {
            (x, row) = (begin, row + 1);
        }
        let at = (x, row * ROW + ROW / 2);
        x += takes;
        at
    };
    for line in &panel.lines {
        let (x, y) = place(&line.label);
        let style = line.colour.stroke_width(line.width.max(2));
        let (stroke, gap) = line.dash.unwrap_or((20, 0));
        for from in (0..20).step_by((stroke + gap) as usize) {
            area.draw(&PathElement::new([(x + from, y), (x + (from + stroke).min(20), y)], style))?;
        }
        area.draw_text(&line.label, &text, (x + SWATCH, y))?;
    }
    if let Some(label) = &panel.shade {
        let (x, y) = place(label);
        area.draw(&Rectangle::new([(x, y - 6), (x + 20, y + 6)], SHADE.filled()))?;
        area.draw_text(label, &text, (x + SWATCH, y))?;
    }
    Ok(row + 1)
}

/// Round values, some ten of them.
fn even(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / 10.0;
    let size = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * size).find(|step| *step >= rough).unwrap_or(rough);
    let first = (from / step).ceil() as i64;
    (first..).map(|at| at as f64 * step).take_while(|at| *at <= to + step * 1e-9).collect()
}

/// The least round number that is not below.
fn round_up(top: f64) -> f64 {
    let size = 10_f64.powf(top.max(1e-9).log10().floor());
    let round = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().map(|times| times * size);
    round.into_iter().find(|round| *round >= top).unwrap_or(top)
}

fn number(at: f64) -> String {
    let at = (at * 1e6).round() / 1e6;
    format!("{at}")
}

/// Gives the picture a style for dark ground. The attributes stay, for viewers that know no styles.
fn themed(svg: &str, title: &str) -> String {
    let mut style = String::from("@media (prefers-color-scheme: dark) {");
    for (RGBColor(red, green, blue), dark) in DARK {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        style += &format!(" [fill=\"{light}\"] {{ fill: {dark} }} [stroke=\"{light}\"] {{ stroke: {dark} }}");
    }
    style += " }";
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let (head, body) = svg.split_once('>').unwrap_or_default();
    format!("{head} role=\"img\">\n<title>{title}</title>\n<style>{style}</style>{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks() {
        assert_eq!(even(0.0, 70.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0]);
        assert_eq!(even(0.5, 1.0).len(), 11);
        assert_eq!([round_up(0.93), round_up(1301.0), round_up(60.0), round_up(5.1)], [1.0, 1500.0, 60.0, 6.0]);
    }

    #[test]
    fn every_colour_has_one_for_dark_ground() {
        let across = Across { label: "x".into(), range: (0.0, 1.0), marks: Vec::new(), shaded: vec![(0.2, 0.4)] };
        let line = |colour| Line {
            label: "a".into(),
            colour,
            width: 2,
            dash: Some((6, 4)),
            points: vec![(0.0, 0.0), (1.0, 1.0)],
        };
        let lines = [BLUE, GREEN, RED, PURPLE, GREY, OCHRE].map(line).to_vec();
        let panel = Panel { heading: "h".into(), y: "y".into(), lines, top: 1.0, part: 1, shade: Some("s".into()) };
        let svg = picture("a < b", &across, &[panel]).unwrap();
        assert!(svg.contains("<title>a &lt; b</title>"));
        let body = svg.split_once("</style>").unwrap().1;
        let style = &svg[..svg.len() - body.len()];
        for attribute in ["fill=\"#", "stroke=\"#"] {
            for (at, _) in body.match_indices(attribute) {
                let colour = &body[at..at + attribute.len() + 7];
                assert!(style.contains(&format!("[{colour}]")), "{colour}");
            }
        }
    }
}
