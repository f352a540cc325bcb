//! Values over steps or layers.

use crate::axis::Axis;
use crate::chart::frame::{Frame, GAP, Key, RADIUS, TEXT, below, label_width, legend, no_data};
use crate::number::count;
use crate::palette::Ink;
use crate::scene::{Anchor, Dash, Item, Scene, Shape};
use crate::text::wrap;
use crate::thin::{MANY, thin};

/// Up to this many points each has a mark.
const MARKED: usize = 40;

/// How far series with intervals stand beside each other.
const DODGE: f64 = 6.0;

/// A value at a place, with its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) interval: Option<[f64; 2]>,
}

/// Values that are connected, by rising x.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) ink: Ink,
    pub(crate) dash: Dash,
    pub(crate) shape: Shape,
    pub(crate) points: Vec<Point>,
}

/// Values over steps or layers.
#[derive(Clone, Debug)]
pub(crate) struct LineChart {
    pub(crate) x: String,
    pub(crate) y: String,
    /// Whether the vertical axis is logarithmic.
    pub(crate) logarithmic: bool,
    /// Whether x counts things, so that there is nothing between two of them.
    pub(crate) counted: bool,
    pub(crate) series: Vec<Series>,
}

impl LineChart {
    pub(crate) fn draw(&self, width: f64) -> Scene {
        let narrow = width < 500.0;
        let values = || self.series.iter().flat_map(|series| &series.points);
        let y_values = || {
            values().flat_map(|point| {
                let [low, high] = point.interval.unwrap_or([point.y; 2]);
                [point.y, low, high]
            })
        };
        let y = if self.logarithmic {
            Axis::logarithmic(y_values(), 5)
        } else {
            Axis::linear(y_values(), 5)
        };
        let drawn = |point: &&Point| y.takes(point.y);
        if !values().any(|point| drawn(&point)) {
            return no_data(width);
        }
        let x_values = values().map(|point| point.x);
        let x_ticks = if narrow { 4 } else { 8 };
        let x = if self.counted {
            Axis::whole(x_values, 2 * x_ticks)
        } else {
            Axis::tight(x_values, x_ticks)
        };

        let mut scene = Scene { width, ..Scene::default() };
        let left = label_width(&y) + GAP + 1.0;
        let mut top = 4.0;
        if self.series.len() > 1 {
            top = legend(&mut scene, &self.keys(), (1.0, top), width) + GAP;
        }
        for line in wrap(&self.y, TEXT, width, 2) {
            top += TEXT;
            scene.muted((0.0, top), line, TEXT, Anchor::Start);
            top += 0.25 * TEXT;
        }
        top += GAP + 0.3 * TEXT;
        let bottom = top + if narrow { 190.0 } else { 260.0 };
        scene.height = bottom + below(&self.x, width);
        // Half a tick label may stand over the right end.
        let frame = Frame { left, right: width - 2.2 * TEXT, top, bottom, x, y };
        frame.draw(&mut scene, &self.x);
        for (index, series) in self.series.iter().enumerate() {
            let beside = index as f64 - (self.series.len() - 1) as f64 / 2.0;
            self.draw_series(&mut scene, &frame, series, beside);
        }
        scene
    }

    fn keys(&self) -> Vec<Key> {
        let key = |series: &Series| Key {
            name: series.name.clone(),
            ink: series.ink,
            shape: series.shape,
            line: Some(series.dash),
        };
        self.series.iter().map(key).collect()
    }

    fn draw_series(&self, scene: &mut Scene, frame: &Frame, series: &Series, beside: f64) {
        let Series { ink, dash, shape, .. } = *series;
        let intervals = series.points.iter().any(|point| point.interval.is_some());
        let room = (frame.x(1.0) - frame.x(0.0)).abs() / 4.0;
        let shift = if intervals { beside * DODGE.min(room) } else { 0.0 };
        let clamp = |y: f64| frame.y(y).clamp(frame.top, frame.bottom);
        for point in series.points.iter().filter(|point| frame.y.takes(point.y)) {
            if let Some([low, high]) = point.interval {
                let x = frame.x(point.x) + shift;
                scene.line((x, clamp(low)), (x, clamp(high)), ink, 1.5);
            }
        }
        let places: Vec<_> = series
            .points
            .iter()
            .map(|point| {
                let y = frame.y.takes(point.y).then(|| frame.y(point.y));
                (frame.x(point.x) + shift, y)
            })
            .collect();
        let thinned = thin(&places);
        let marked = thinned.given <= MARKED;
        let mut marks = Vec::new();
        for piece in thinned.pieces {
            if marked || piece.len() == 1 {
                marks.extend(piece.iter().copied());
            }
            if piece.len() > 1 {
                scene.items.push(Item::Line { places: piece, ink, width: 2.0, dash });
            }
        }
        if !marks.is_empty() {
            let radius = if marked { RADIUS } else { 0.5 * RADIUS };
            scene.items.push(Item::Marks { places: marks, ink, shape, radius });
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for series in &self.series {
            let infinite = series.points.iter().filter(|point| !point.y.is_finite()).count();
            let below = series.points.iter().filter(|p| p.y.is_finite() && p.y <= 0.0).count();
            let drawn = series.points.len() - infinite;
            if infinite > 0 {
                let values = count(infinite, "value");
                let verb =
                    if infinite == 1 { "is not a finite number" } else { "are not finite numbers" };
                notes.push(format!("{}: {values} {verb}; the line has gaps there.", series.name));
            }
            if self.logarithmic && below > 0 {
                let values = count(below, "value");
                let verb = if below == 1 { "is" } else { "are" };
                notes.push(format!(
                    "{}: {values} {verb} not above zero and can't stand on a logarithmic axis.",
                    series.name
                ));
            }
            if drawn > MANY {
                notes.push(format!(
                    "{}: {}; for each column of pixels the first, the lowest, the highest and the \
                     last are drawn.",
                    series.name,
                    count(drawn, "point"),
                ));
            }
        }
        notes
    }
}
