//! Which figures a report has.

use std::collections::BTreeMap;

use crate::aqi::{AqiComparison, Side};
use crate::chart::{
    Chart, Entry, Forest, Key, LineChart, Point, Row, Scatter, ScatterPanel, Series,
};
use crate::curve::{Curve, CurvePoint};
use crate::finding::{Read, level, read_all};
use crate::markup::Markup;
use crate::measure::{Estimate, Measure};
use crate::number::{count, fixed, number, whole};
use crate::palette::Ink;
use crate::projection::{Basis, Panel, Projection, Safety};
use crate::report::{Reading, Report};
use crate::scene::{Anchor, Dash, Item, Scene, Shape};
use crate::svg::{self, Setting, Words};
use crate::text::{one_line, wrap};

/// Width of a figure in a file of its own and on a wide screen, in pixels.
pub(crate) const WIDE: f64 = 820.0;

/// Width on a phone.
pub(crate) const NARROW: f64 = 330.0;

/// More rows of data than this are not repeated beside a figure.
const DATA_ROWS: usize = 200;

/// Space around a figure in a file of its own.
const MARGIN: f64 = 20.0;

/// A figure: drawn, and as numbers.
#[derive(Clone, Debug)]
pub struct Figure {
    name: String,
    title: String,
    description: String,
    notes: Vec<String>,
    chart: Chart,
    data: Data,
}

/// The numbers of a figure.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Rows that are not repeated.
    pub(crate) left_out: usize,
}

impl Figure {
    /// Its name, which can be that of a file: `aqi-layers`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What it shows, for those who don't see it.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What a reader should know of how it is drawn: gaps, thinned points, rows left out.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The figure as an SVG file with its title, on white.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut markup = Markup::default();
        svg::write(&mut markup, &self.titled(), &self.words(&self.name), Setting::File);
        markup.finish()
    }

    /// The figure as a PNG file with its title, on white, two pixels for each of the SVG.
    ///
    /// # Errors
    /// [`ReportError::Png`](crate::ReportError::Png) if it can't be drawn.
    #[cfg(feature = "png")]
    pub fn png(&self) -> crate::Result<Vec<u8>> {
        crate::png::encode(&self.titled())
            .map_err(|message| crate::ReportError::Png { figure: self.name.clone(), message })
    }

    /// The figure in the page, at a width.
    pub(crate) fn write(&self, markup: &mut Markup, width: f64, id: &str) {
        svg::write(markup, &self.chart.draw(width), &self.words(id), Setting::Page);
    }

    pub(crate) const fn data(&self) -> &Data {
        &self.data
    }

    fn words<'a>(&'a self, id: &'a str) -> Words<'a> {
        Words { id, title: &self.title, description: &self.description }
    }

    fn titled(&self) -> Scene {
        const SIZE: f64 = 17.0;
        let mut scene = Scene { width: WIDE + 2.0 * MARGIN, ..Scene::default() };
        let mut y = MARGIN;
        for text in wrap(&self.title, SIZE, WIDE, 3) {
            y += SIZE;
            let (place, ink, anchor) = ((MARGIN, y), Ink::Text, Anchor::Start);
            scene.items.push(Item::Text { place, text, ink, size: SIZE, anchor, bold: true });
            y += 0.3 * SIZE;
        }
        y += 0.5 * MARGIN;
        let chart = self.chart.draw(WIDE);
        scene.height = y + chart.height + MARGIN;
        scene.place(chart, (MARGIN, y));
        scene
    }
}

/// Every figure of a report, in the order of the page.
pub(crate) fn of(report: &Report) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(aqi) = &report.aqi {
        figures.extend(aqi_figures(aqi, &report.reading));
    }
    for (index, projection) in report.projections.iter().enumerate() {
        figures.push(projection_figure(projection, index));
    }
    if let Some(curve) = &report.curve {
        figures.extend(curve_figures(curve));
    }
    figures
}

fn aqi_figures(aqi: &AqiComparison, reading: &Reading) -> Vec<Figure> {
    let mut figures = vec![overall(aqi, reading)];
    if !aqi.axioms.is_empty() {
        let read = read_all(&aqi.axioms, reading);
        let title = "AQI-S by axiom, before and after";
        figures.push(scores("aqi-axioms", title, &read, reading));
    }
    let mut changes = read_all([&aqi.overall], reading);
    changes.extend(read_all(&aqi.axioms, reading));
    if changes.iter().any(|read| read.measure.change.is_some()) {
        figures.push(change_figure(&changes, reading));
    }
    if !aqi.layers.is_empty() {
        figures.push(layers(&aqi.layers, reading));
    }
    figures
}

fn key(side: Side, line: bool) -> Key {
    let (ink, shape, dash) = match side {
        Side::Before => (Ink::Before, Shape::Circle, Dash::Solid),
        Side::After => (Ink::After, Shape::Diamond, Dash::Dashed),
    };
    Key { name: side.name().to_owned(), ink, shape, line: line.then_some(dash) }
}

fn keys() -> Vec<Key> {
    vec![key(Side::Before, false), key(Side::After, false)]
}

fn entry(side: Side, estimate: Estimate) -> Entry {
    Entry { key: side as usize, value: estimate.value, interval: estimate.interval }
}

fn entries(measure: &Measure) -> Vec<Entry> {
    let before = measure.before.map(|estimate| entry(Side::Before, estimate));
    before.into_iter().chain(measure.after.map(|estimate| entry(Side::After, estimate))).collect()
}

fn with_intervals(what: &str, reading: &Reading) -> String {
    format!("{what}, with {} intervals where they are known", level(reading))
}

fn overall(aqi: &AqiComparison, reading: &Reading) -> Figure {
    let mut rows = vec![Row { name: "Model".to_owned(), entries: entries(&aqi.overall) }];
    let mut data = vec![estimates("Model", aqi.overall.before, aqi.overall.after)];
    // The two sides of a control in one row.
    let mut names: Vec<&str> = Vec::new();
    for control in &aqi.controls {
        if !names.contains(&control.kind.name()) {
            names.push(control.kind.name());
        }
    }
    for name in names {
        let of_side = |side: Side| {
            let mut found =
                aqi.controls.iter().filter(move |c| c.kind.name() == name && c.side == side);
            found.next().map(|control| control.score)
        };
        let (before, after) = (of_side(Side::Before), of_side(Side::After));
        let measure = Measure { before, after, ..Measure::default() };
        rows.push(Row { name: one_line(name), entries: entries(&measure) });
        data.push(estimates(name, before, after));
    }
    let title = match aqi.controls.len() {
        0 => "AQI-S, before and after",
        _ => "AQI-S of the models and of their controls",
    };
    let chart = Forest { x: "AQI-S".to_owned(), keys: keys(), rows, zero: false };
    figure(
        "aqi-overall",
        title,
        with_intervals(title, reading),
        Chart::Forest(chart),
        BEFORE_AFTER,
        data,
    )
}

fn scores(name: &str, title: &str, read: &[Read<'_>], reading: &Reading) -> Figure {
    let row = |read: &Read<'_>| Row {
        name: one_line(&read.measure.name),
        entries: entries(read.measure),
    };
    let rows = read.iter().map(row).collect();
    let data = read
        .iter()
        .map(|read| estimates(&read.measure.name, read.measure.before, read.measure.after));
    let chart = Forest { x: "AQI-S".to_owned(), keys: keys(), rows, zero: false };
    let description = format!("{}: {}", with_intervals(title, reading), count(read.len(), "row"));
    figure(name, title, description, Chart::Forest(chart), BEFORE_AFTER, data.collect())
}

fn change_figure(read: &[Read<'_>], reading: &Reading) -> Figure {
    let changed: Vec<(&Read<'_>, Estimate)> =
        read.iter().filter_map(|read| Some((read, read.measure.change?))).collect();
    let rows = changed.iter().map(|(read, change)| {
        let entry = Entry { key: 0, value: change.value, interval: change.interval };
        Row { name: one_line(&read.measure.name), entries: vec![entry] }
    });
    let data = changed.iter().map(|(read, change)| {
        let decimals = read.decimals;
        let [low, high] = ends(Some(*change), decimals);
        let name = one_line(&read.measure.name);
        vec![name, fixed(change.value, decimals), low, high, read.verdict.words().to_owned()]
    });
    let title = "Change of AQI-S, after less before";
    let shape = Shape::Square;
    let key = Key { name: "change".to_owned(), ink: Ink::Text, shape, line: None };
    let (rows, data) = (rows.collect(), data.collect());
    let chart = Forest { x: "change of AQI-S".to_owned(), keys: vec![key], rows, zero: true };
    let columns = &["", "change", "lower end", "upper end", "reading"];
    let description = format!(
        "{}. An interval that contains zero is no detectable change",
        with_intervals(title, reading)
    );
    figure("aqi-change", title, description, Chart::Forest(chart), columns, data)
}

fn layers(layers: &BTreeMap<usize, Measure>, reading: &Reading) -> Figure {
    let series = [Side::Before, Side::After].map(|side| {
        let points = layers.iter().filter_map(|(layer, measure)| {
            let estimate = if side == Side::Before { measure.before } else { measure.after }?;
            Some(Point { x: *layer as f64, y: estimate.value, interval: estimate.interval })
        });
        series(key(side, true), points.collect())
    });
    let data = layers.iter().map(|(layer, measure)| {
        estimates(&format!("layer {layer}"), measure.before, measure.after)
    });
    let chart = LineChart {
        x: "layer".to_owned(),
        y: "AQI-S".to_owned(),
        logarithmic: false,
        counted: true,
        series: series.into(),
    };
    let title = "AQI-S by layer, before and after";
    let description =
        format!("{}: {}", with_intervals(title, reading), count(layers.len(), "layer"));
    figure("aqi-layers", title, description, Chart::Line(chart), BEFORE_AFTER, data.collect())
}

fn series(key: Key, points: Vec<Point>) -> Series {
    let dash = key.line.unwrap_or(Dash::Solid);
    Series { name: key.name, ink: key.ink, dash, shape: key.shape, points }
}

fn projection_figure(projection: &Projection, index: usize) -> Figure {
    let panels = [(Side::Before, &projection.before), (Side::After, &projection.after)];
    let drawn = panels.map(|(side, panel)| scatter_panel(side, panel.as_ref()));
    let keys =
        [(Safety::Safe, Ink::Safe, Shape::Circle), (Safety::Unsafe, Ink::Unsafe, Shape::Triangle)];
    let keys = keys.map(|(safety, ink, shape)| Key {
        name: safety.name().to_owned(),
        ink,
        shape,
        line: None,
    });
    let basis = match projection.basis {
        Basis::Joint => "Both models in the components of all rows together.",
        Basis::Separate => {
            "Each model in the components of its own rows: places and directions can't be compared \
             between the two."
        }
    };
    let data = panels.iter().flat_map(|(side, panel)| {
        let points = panel.iter().flat_map(|panel| &panel.points);
        points.map(|point| {
            let at = point.at.map(number);
            let [x, y] = at;
            vec![one_line(&point.id), side.name().to_owned(), point.safety.name().to_owned(), x, y]
        })
    });
    let data = data.collect();
    let title = format!("Hidden states of safe and unsafe prompts: {}", one_line(&projection.name));
    let description = format!("Two principal components for each prompt. {basis}");
    let chart = Scatter {
        keys: keys.into(),
        panels: drawn.into(),
        joint: projection.basis == Basis::Joint,
    };
    let columns = &["prompt", "model", "label", "component 1", "component 2"];
    let name = format!("projection-{}", index + 1);
    let mut figure = figure(&name, &title, description, Chart::Scatter(chart), columns, data);
    figure.notes.insert(0, basis.to_owned());
    figure
}

fn scatter_panel(side: Side, panel: Option<&Panel>) -> ScatterPanel {
    let explained = panel.and_then(|panel| panel.explained);
    let axis = |component: usize| {
        let share = explained.and_then(|shares| shares.get(component).copied());
        let share = share.map(|share| format!(", {:.1}% of the variance", 100.0 * share));
        format!("component {}{}", component + 1, share.unwrap_or_default())
    };
    let points = panel.iter().flat_map(|panel| &panel.points);
    let title = if side == Side::Before { "Before" } else { "After" };
    ScatterPanel {
        title: title.to_owned(),
        x: axis(0),
        y: axis(1),
        points: points.map(|point| (point.at, point.safety as usize)).collect(),
    }
}

fn curve_figures(curve: &Curve) -> Vec<Figure> {
    type Value = fn(&CurvePoint) -> Option<f64>;
    let values = |value: Value| -> Vec<Point> {
        let points = curve.points.iter();
        points
            .filter_map(|at| Some(Point { x: at.step as f64, y: value(at)?, interval: None }))
            .collect()
    };
    let data = |columns: &[Value]| -> Vec<Vec<String>> {
        let logged = |at: &&CurvePoint| columns.iter().any(|value| value(at).is_some());
        let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let row = |at: &CurvePoint| {
            let cells = columns.iter().map(|value| cell(value(at)));
            [at.step.to_string()].into_iter().chain(cells).collect()
        };
        curve.points.iter().filter(logged).map(row).collect()
    };
    let chart = |y: &str, logarithmic: bool, series: Vec<Series>| {
        let (x, y) = ("step".to_owned(), y.to_owned());
        Chart::Line(LineChart { x, y, logarithmic, counted: false, series })
    };
    let described = |title: &str, points: &[Point]| {
        let finite: Vec<&Point> = points.iter().filter(|point| point.y.is_finite()).collect();
        match (finite.first(), finite.last()) {
            (Some(first), Some(last)) => format!(
                "{title}: {} at step {}, {} at step {}, {}",
                number(first.y),
                first.x,
                number(last.y),
                last.x,
                count(finite.len(), "point"),
            ),
            _ => format!("{title}: no data"),
        }
    };

    let key =
        |name: &str, ink, shape, dash| Key { name: name.to_owned(), ink, shape, line: Some(dash) };
    let loss = values(|at| at.loss);
    let eval = values(|at| at.eval_loss);
    let title = "Loss";
    let mut lines =
        vec![series(key("training", Ink::Before, Shape::Circle, Dash::Solid), loss.clone())];
    if !eval.is_empty() {
        lines.push(series(key("held out", Ink::After, Shape::Diamond, Dash::Dashed), eval));
    }
    let mut figures = vec![figure(
        "training-loss",
        title,
        described("Loss of the training rows over the steps", &loss),
        chart("loss, nats per token", curve.logarithmic, lines),
        &["step", "training", "held out"],
        data(&[|at| at.loss, |at| at.eval_loss]),
    )];
    let others: [(&str, &str, Value); 2] = [
        ("learning-rate", "Learning rate", |at| at.learning_rate),
        ("gradient-norm", "Gradient norm", |at| at.gradient_norm),
    ];
    for (name, title, value) in others {
        let points = values(value);
        if points.is_empty() {
            continue;
        }
        let description = described(title, &points);
        let name_of_axis = title.to_lowercase();
        let line = series(key(&name_of_axis, Ink::Before, Shape::Circle, Dash::Solid), points);
        let columns: &[&'static str] = match name {
            "learning-rate" => &["step", "learning rate"],
            _ => &["step", "gradient norm"],
        };
        let chart = chart(&name_of_axis, false, vec![line]);
        figures.push(figure(name, title, description, chart, columns, data(&[value])));
    }
    figures
}

const BEFORE_AFTER: &[&str] =
    &["", "before", "lower end", "upper end", "after", "lower end", "upper end"];

fn estimates(name: &str, before: Option<Estimate>, after: Option<Estimate>) -> Vec<String> {
    let values: Vec<f64> = before.into_iter().chain(after).map(|estimate| estimate.value).collect();
    let decimals = crate::number::decimals(&values, None);
    let mut row = vec![one_line(name)];
    for estimate in [before, after] {
        row.push(estimate.map_or_else(|| "–".to_owned(), |e| fixed(e.value, decimals)));
        row.extend(ends(estimate, decimals));
    }
    row
}

fn ends(estimate: Option<Estimate>, decimals: usize) -> [String; 2] {
    match estimate.and_then(|estimate| estimate.interval) {
        Some(ends) => ends.map(|end| fixed(end, decimals)),
        None => ["–".to_owned(), "–".to_owned()],
    }
}

fn figure(
    name: &str,
    title: &str,
    description: String,
    chart: Chart,
    columns: &[&'static str],
    rows: Vec<Vec<String>>,
) -> Figure {
    // Evenly chosen where there are many.
    let all = rows.len();
    let every = all.div_ceil(DATA_ROWS).max(1);
    let rows: Vec<Vec<String>> = rows.into_iter().step_by(every).collect();
    let left_out = all - rows.len();
    let data = Data { columns: columns.to_vec(), rows, left_out };
    let notes = chart.notes();
    let (name, title) = (name.to_owned(), title.to_owned());
    Figure { name, title, description, notes, chart, data }
}

/// What is said of rows that are not repeated.
pub(crate) fn left_out(data: &Data) -> Option<String> {
    (data.left_out > 0).then(|| {
        format!(
            "One in every {} rows is shown; {} are left out.",
            whole((data.rows.len() + data.left_out).div_ceil(data.rows.len().max(1))),
            whole(data.left_out),
        )
    })
}
