//! Estimates with their intervals, a row for each thing that was measured.

use crate::axis::Axis;
use crate::chart::frame::{Frame, GAP, Key, RADIUS, TEXT, below, legend, no_data};
use crate::number::count;
use crate::palette::Ink;
use crate::scene::{Anchor, Item, Scene};
use crate::text::{width, wrap};

/// More rows than this are left to the table.
const ROWS: usize = 60;

/// Height of an entry.
const ENTRY: f64 = 15.0;

/// An estimate in a row, drawn as the key of this number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: usize,
    pub(crate) value: f64,
    pub(crate) interval: Option<[f64; 2]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) entries: Vec<Entry>,
}

/// Estimates with their intervals.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    pub(crate) x: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) rows: Vec<Row>,
    /// Whether zero has a line of its own: for differences.
    pub(crate) zero: bool,
}

impl Forest {
    pub(crate) fn draw(&self, width: f64) -> Scene {
        let narrow = width < 500.0;
        let rows: Vec<&Row> = self.drawn().collect();
        if rows.is_empty() {
            return no_data(width);
        }
        let values = rows.iter().flat_map(|row| &row.entries).flat_map(|entry| {
            let [low, high] = entry.interval.unwrap_or([entry.value; 2]);
            [entry.value, low, high]
        });
        let zero = self.zero.then_some(0.0);
        let x = Axis::linear(values.chain(zero), if narrow { 4 } else { 7 });

        // Beside the row where there is room, above it where not.
        let column = if narrow { width } else { name_column(&rows, width) };
        let names: Vec<Vec<String>> = rows
            .iter()
            .map(|row| wrap(&row.name, TEXT, column, if narrow { 2 } else { 3 }))
            .collect();
        let left = if narrow { 1.5 * TEXT } else { column + 2.0 * GAP };

        let mut scene = Scene { width, ..Scene::default() };
        let mut top = 4.0;
        if self.keys.len() > 1 {
            top = legend(&mut scene, &self.keys, (1.0, top), width) + GAP;
        }
        // A place for each key in each row, so that rows are alike.
        let entries = self.keys.len() as f64 * ENTRY;
        let heights: Vec<f64> = names
            .iter()
            .map(|lines| {
                let lines = lines.len() as f64 * 1.2 * TEXT;
                GAP + if narrow { entries + lines + 2.0 } else { entries.max(lines) }
            })
            .collect();
        let bottom = top + heights.iter().sum::<f64>() + GAP / 2.0;
        scene.height = bottom + below(&self.x, width);
        let y = Axis::linear([], 1);
        let frame = Frame { left, right: width - 2.2 * TEXT, top, bottom, x, y };
        for (tick, _) in &frame.x.ticks {
            let x = frame.x(*tick);
            let ink = if self.zero && *tick == 0.0 { Ink::Text } else { Ink::Grid };
            scene.line((x, top), (x, bottom), ink, 1.0);
        }
        frame.draw_x(&mut scene, &self.x);

        let mut y = top;
        for ((row, lines), height) in rows.iter().zip(&names).zip(heights) {
            let block = lines.len() as f64 * 1.2 * TEXT;
            let middle = y + (height + GAP / 2.0) / 2.0;
            let (first_line, first_entry) = if narrow {
                (y + GAP, y + GAP + block + 2.0)
            } else {
                (middle - block / 2.0, middle - entries / 2.0)
            };
            let (at, anchor) = if narrow { (0.0, Anchor::Start) } else { (column, Anchor::End) };
            for (index, line) in lines.iter().enumerate() {
                let base = first_line + (index as f64 + 0.85) * 1.2 * TEXT;
                scene.text((at, base), line.as_str(), TEXT, anchor);
            }
            for entry in row.entries.iter().filter(|entry| entry.value.is_finite()) {
                let at = first_entry + (entry.key as f64 + 0.5) * ENTRY;
                self.draw_entry(&mut scene, &frame, entry, at);
            }
            y += height;
        }
        scene
    }

    fn draw_entry(&self, scene: &mut Scene, frame: &Frame, entry: &Entry, y: f64) {
        let Some(key) = self.keys.get(entry.key) else { return };
        let clamp = |value: f64| frame.x(value).clamp(frame.left, frame.right);
        if let Some([low, high]) = entry.interval {
            scene.line((clamp(low), y), (clamp(high), y), key.ink, 2.0);
            for end in [low, high].into_iter().filter(|end| end.is_finite()) {
                scene.line((clamp(end), y - 4.0), (clamp(end), y + 4.0), key.ink, 2.0);
            }
        }
        let places = vec![(frame.x(entry.value), y)];
        scene.items.push(Item::Marks { places, ink: key.ink, shape: key.shape, radius: RADIUS });
    }

    fn drawn(&self) -> impl Iterator<Item = &Row> {
        self.drawable().take(ROWS)
    }

    fn drawable(&self) -> impl Iterator<Item = &Row> {
        let finite = |entry: &Entry| entry.value.is_finite();
        self.rows.iter().filter(move |row| row.entries.iter().any(finite))
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let empty = self.rows.len() - self.drawable().count();
        if empty > 0 && empty < self.rows.len() {
            let verb = if empty == 1 { "has" } else { "have" };
            notes.push(format!("{} {verb} no number to draw.", count(empty, "row")));
        }
        let more = self.drawable().count().saturating_sub(ROWS);
        if more > 0 {
            notes.push(format!("{} more stand in the table only.", count(more, "row")));
        }
        let open =
            |entry: &Entry| entry.interval.is_some_and(|ends| !ends.iter().all(|x| x.is_finite()));
        if self.drawn().flat_map(|row| &row.entries).any(open) {
            notes.push("An interval without a cap at its end goes on beyond the axis.".to_owned());
        }
        notes
    }
}

/// How wide names are drawn beside their rows.
fn name_column(rows: &[&Row], most: f64) -> f64 {
    let widest = rows.iter().map(|row| width(&row.name, TEXT)).fold(0.0, f64::max);
    (widest + 2.0).min(0.34 * most)
}
