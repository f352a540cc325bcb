//! Points of two classes in two dimensions.

use crate::axis::Axis;
use crate::chart::frame::{Frame, GAP, Key, TEXT, below, label_width, legend, no_data};
use crate::number::{count, whole};
use crate::palette::Ink;
use crate::scene::{Anchor, Item, Scene};
use crate::text::wrap;

/// More points than this in a panel are drawn as every second, third, …
const MOST: usize = 3000;

/// Points of a class that are drawn before those of another.
const SLICE: usize = 20;

#[derive(Clone, Debug)]
pub(crate) struct ScatterPanel {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    /// Places and the number of their key.
    pub(crate) points: Vec<([f64; 2], usize)>,
}

/// Panels beside each other where there is room, below each other where not.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    pub(crate) keys: Vec<Key>,
    pub(crate) panels: Vec<ScatterPanel>,
    /// Whether all panels have the same axes.
    pub(crate) joint: bool,
}

impl Scatter {
    pub(crate) fn draw(&self, width: f64) -> Scene {
        let drawable = |panel: &ScatterPanel| panel.points.iter().any(is_finite);
        if !self.panels.iter().any(drawable) {
            return no_data(width);
        }
        let narrow = width < 500.0;
        let mut scene = Scene { width, ..Scene::default() };
        let mut top = legend(&mut scene, &self.keys, (1.0, 4.0), width) + 1.5 * GAP;
        let column = if narrow { width } else { (width - 3.0 * GAP) / 2.0 };
        let mut height = 0.0_f64;
        for (index, panel) in self.panels.iter().enumerate() {
            let drawn = if drawable(panel) {
                self.draw_panel(panel, column)
            } else {
                let mut empty = Scene { width: column, ..Scene::default() };
                let below = titled(&mut empty, &panel.title);
                let frame = no_data(column);
                empty.height = below + frame.height;
                empty.place(frame, (0.0, below));
                empty
            };
            if narrow {
                top += height + if index == 0 { 0.0 } else { GAP };
                height = drawn.height;
                scene.place(drawn, (0.0, top));
            } else {
                height = height.max(drawn.height);
                scene.place(drawn, (index as f64 * (column + 3.0 * GAP), top));
            }
        }
        scene.height = top + height;
        scene
    }

    /// The axes of a panel: the same length on both, so that distances can be compared.
    fn axes(&self, panel: &ScatterPanel) -> (Axis, Axis) {
        let axes = if self.joint { &self.panels[..] } else { std::slice::from_ref(panel) };
        let points =
            || axes.iter().flat_map(|panel| &panel.points).filter(|point| is_finite(point));
        let ends = |side: usize| {
            points()
                .map(|(at, _)| at[side])
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)))
        };
        let [(left, right), (low, high)] = [ends(0), ends(1)];
        let half = (right / 2.0 - left / 2.0).max(high / 2.0 - low / 2.0);
        let half = if half > 0.0 { 1.06 * half } else { 1.0 };
        let around = |a: f64, b: f64| {
            let middle = a / 2.0 + b / 2.0;
            Axis::tight([middle - half, middle + half], 5)
        };
        (around(left, right), around(low, high))
    }

    fn draw_panel(&self, panel: &ScatterPanel, width: f64) -> Scene {
        let (x, y) = self.axes(panel);
        let mut scene = Scene { width, ..Scene::default() };
        let mut top = titled(&mut scene, &panel.title);
        for line in wrap(&panel.y, TEXT, width, 2) {
            top += TEXT;
            scene.muted((0.0, top), line, TEXT, Anchor::Start);
            top += 0.25 * TEXT;
        }
        top += GAP;
        // The same in all panels, so that they stand side by side.
        let labels = self.panels.iter().filter(|panel| panel.points.iter().any(is_finite));
        let labels = labels.map(|panel| label_width(&self.axes(panel).1)).fold(0.0, f64::max);
        let left = labels + GAP + 1.0;
        let right = width - GAP;
        let bottom = top + (right - left);
        scene.height = bottom + below(&panel.x, width);
        let frame = Frame { left, right, top, bottom, x, y };
        for (tick, _) in &frame.x.ticks {
            let x = frame.x(*tick);
            scene.line((x, top), (x, bottom), Ink::Grid, 1.0);
        }
        frame.draw(&mut scene, &panel.x);

        let drawn: Vec<_> = panel.points.iter().filter(|point| is_finite(point)).collect();
        let radius = if drawn.len() > 400 { 2.2 } else { 3.2 };
        let every = drawn.len().div_ceil(MOST).max(1);
        // A few of each class in turn, so that neither covers the other.
        let drawn: Vec<_> = drawn.into_iter().step_by(every).collect();
        let of_key = |number: usize| -> Vec<_> {
            let of_key = drawn.iter().filter(|(_, found)| *found == number);
            of_key.map(|(at, _)| (frame.x(at[0]), frame.y(at[1]))).collect()
        };
        let classes: Vec<_> = (0..self.keys.len()).map(of_key).collect();
        for from in (0..drawn.len()).step_by(SLICE) {
            for (key, places) in self.keys.iter().zip(&classes) {
                let places: Vec<_> = places.iter().skip(from).take(SLICE).copied().collect();
                if !places.is_empty() {
                    let Key { ink, shape, .. } = *key;
                    scene.items.push(Item::Marks { places, ink, shape, radius });
                }
            }
        }
        scene
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for panel in &self.panels {
            let finite = panel.points.iter().filter(|point| is_finite(point)).count();
            let lost = panel.points.len() - finite;
            if lost > 0 {
                let verb = if lost == 1 { "is" } else { "are" };
                notes.push(format!(
                    "{}: {} {verb} not at a finite place and not drawn.",
                    panel.title,
                    count(lost, "point"),
                ));
            }
            let every = finite.div_ceil(MOST);
            if every > 1 {
                notes.push(format!(
                    "{}: of {}, one in every {every} is drawn, {} in all.",
                    panel.title,
                    count(finite, "point"),
                    whole(finite.div_ceil(every)),
                ));
            }
        }
        notes
    }
}

fn is_finite((at, _): &([f64; 2], usize)) -> bool {
    at.iter().all(|x| x.is_finite())
}

/// The title of a panel; says where it ends below.
fn titled(scene: &mut Scene, title: &str) -> f64 {
    let mut base = 0.0;
    for text in wrap(title, TEXT, 0.9 * scene.width, 2) {
        base += TEXT;
        let (place, ink, size, anchor) = ((0.0, base), Ink::Text, TEXT, Anchor::Start);
        scene.items.push(Item::Text { place, text, ink, size, anchor, bold: true });
        base += 0.3 * TEXT;
    }
    base + GAP / 2.0
}
