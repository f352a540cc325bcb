//! What charts have in common: a frame with axes, and a legend.

use crate::axis::Axis;
use crate::palette::Ink;
use crate::scene::{Anchor, Dash, Item, Place, Scene, Shape};
use crate::text::{width, wrap};

/// Size of all text in charts.
pub(crate) const TEXT: f64 = 13.0;

/// Space between things.
pub(crate) const GAP: f64 = 8.0;

/// Radius of a mark.
pub(crate) const RADIUS: f64 = 4.5;

/// One entry of a legend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) ink: Ink,
    pub(crate) shape: Shape,
    /// Drawn as a line with a mark; without it, as a mark.
    pub(crate) line: Option<Dash>,
}

/// A rectangle in which values are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

impl Frame {
    pub(crate) fn x(&self, value: f64) -> f64 {
        self.left + self.x.share(value) * (self.right - self.left)
    }

    pub(crate) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.share(value) * (self.bottom - self.top)
    }

    /// Grid, ticks and names of both axes. The name of the vertical one stands above it.
    pub(crate) fn draw(&self, scene: &mut Scene, x_name: &str) {
        for (tick, label) in &self.y.ticks {
            let y = self.y(*tick);
            scene.line((self.left, y), (self.right, y), Ink::Grid, 1.0);
            scene.muted((self.left - GAP, y + 0.35 * TEXT), label.as_str(), TEXT, Anchor::End);
        }
        self.draw_x(scene, x_name);
    }

    /// The horizontal axis alone.
    pub(crate) fn draw_x(&self, scene: &mut Scene, name: &str) {
        scene.line((self.left, self.bottom), (self.right, self.bottom), Ink::Muted, 1.0);
        let mut end = f64::NEG_INFINITY;
        for (tick, label) in &self.x.ticks {
            let x = self.x(*tick);
            scene.line((x, self.bottom), (x, self.bottom + 4.0), Ink::Muted, 1.0);
            // A label that would touch the one before is left out; its tick stays.
            let half = width(label, TEXT) / 2.0;
            if x - half > end + GAP {
                let place = (x, self.bottom + GAP + 0.9 * TEXT);
                scene.muted(place, label.as_str(), TEXT, Anchor::Middle);
                end = x + half;
            }
        }
        let place = (f64::midpoint(self.left, self.right), self.bottom + 2.0 * GAP + 2.0 * TEXT);
        for (index, line) in wrap(name, TEXT, scene.width, 2).into_iter().enumerate() {
            let below = index as f64 * 1.25 * TEXT;
            scene.text((place.0, place.1 + below), line, TEXT, Anchor::Middle);
        }
    }
}

/// Space that ticks and name of a horizontal axis need below the frame.
pub(crate) fn below(name: &str, most: f64) -> f64 {
    let lines = wrap(name, TEXT, most, 2).len() as f64;
    3.0 * GAP + TEXT + lines * 1.25 * TEXT
}

/// Space that the widest label of a vertical axis needs.
pub(crate) fn label_width(axis: &Axis) -> f64 {
    axis.ticks.iter().map(|(_, label)| width(label, TEXT)).fold(0.0, f64::max)
}

/// A legend in as many lines as it needs, starting at a place; says where it ends below.
pub(crate) fn legend(scene: &mut Scene, keys: &[Key], (left, top): Place, right: f64) -> f64 {
    const SAMPLE: f64 = 26.0;
    let (mut x, mut y) = (left, top + 0.5 * TEXT);
    for key in keys {
        let sample = if key.line.is_some() { SAMPLE } else { 2.0 * RADIUS };
        let most = right - left - sample - GAP;
        let name = wrap(&key.name, TEXT, most, 1).concat();
        let needed = sample + 6.0 + width(&name, TEXT);
        if x > left && x + needed > right {
            (x, y) = (left, y + 1.6 * TEXT);
        }
        if let Some(dash) = key.line {
            let places = vec![(x, y), (x + sample, y)];
            scene.items.push(Item::Line { places, ink: key.ink, width: 2.0, dash });
        }
        let places = vec![(x + sample / 2.0, y)];
        scene.items.push(Item::Marks { places, ink: key.ink, shape: key.shape, radius: RADIUS });
        scene.text((x + sample + 6.0, y + 0.35 * TEXT), name, TEXT, Anchor::Start);
        x += needed + 2.0 * GAP;
    }
    y + 0.5 * TEXT
}

/// What stands in a chart without anything to draw.
pub(crate) fn no_data(width: f64) -> Scene {
    let mut scene = Scene { width, height: 100.0, items: Vec::new() };
    let (left, right, top, bottom) = (1.0, width - 1.0, 1.0, 96.0);
    let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    scene.items.push(Item::Line { places: corners, ink: Ink::Grid, width: 1.0, dash: Dash::Solid });
    scene.muted((width / 2.0, 52.0), "no data", TEXT, Anchor::Middle);
    scene
}
