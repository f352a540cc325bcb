//! A drawing: what is where, in which ink. Written as SVG or turned into pixels.

use crate::palette::Ink;

/// A place, in pixels from the upper left corner.
pub(crate) type Place = (f64, f64);

/// A drawing of this size, in pixels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    /// A line through places.
    Line { places: Vec<Place>, ink: Ink, width: f64, dash: Dash },
    /// Marks of one kind.
    Marks { places: Vec<Place>, ink: Ink, shape: Shape, radius: f64 },
    /// A line of text.
    Text { place: Place, text: String, ink: Ink, size: f64, anchor: Anchor, bold: bool },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dash {
    Solid,
    Dashed,
}

impl Dash {
    /// Lengths of the strokes and the gaps between them.
    pub(crate) const LENGTHS: [f64; 2] = [7.0, 4.0];
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Shape {
    /// Corners around a place; none for a circle.
    pub(crate) fn corners(self, (x, y): Place, radius: f64) -> Vec<Place> {
        let r = radius;
        match self {
            Self::Circle => Vec::new(),
            Self::Square => {
                let r = 0.89 * r;
                vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
            }
            Self::Triangle => {
                let r = 1.25 * r;
                vec![(x, y - r), (x + 0.87 * r, y + 0.5 * r), (x - 0.87 * r, y + 0.5 * r)]
            }
            Self::Diamond => {
                let r = 1.25 * r;
                vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Scene {
    pub(crate) fn line(&mut self, from: Place, to: Place, ink: Ink, width: f64) {
        self.items.push(Item::Line { places: vec![from, to], ink, width, dash: Dash::Solid });
    }

    pub(crate) fn text(
        &mut self,
        place: Place,
        text: impl Into<String>,
        size: f64,
        anchor: Anchor,
    ) {
        let (ink, text) = (Ink::Text, text.into());
        self.items.push(Item::Text { place, text, ink, size, anchor, bold: false });
    }

    pub(crate) fn muted(
        &mut self,
        place: Place,
        text: impl Into<String>,
        size: f64,
        anchor: Anchor,
    ) {
        let (ink, text) = (Ink::Muted, text.into());
        self.items.push(Item::Text { place, text, ink, size, anchor, bold: false });
    }

    /// Takes in another drawing, this far from the upper left corner.
    pub(crate) fn place(&mut self, other: Self, (dx, dy): Place) {
        let moved =
            |places: Vec<Place>| places.into_iter().map(|(x, y)| (x + dx, y + dy)).collect();
        self.items.extend(other.items.into_iter().map(|item| match item {
            Item::Line { places, ink, width, dash } => {
                Item::Line { places: moved(places), ink, width, dash }
            }
            Item::Marks { places, ink, shape, radius } => {
                Item::Marks { places: moved(places), ink, shape, radius }
            }
            Item::Text { place: (x, y), text, ink, size, anchor, bold } => {
                Item::Text { place: (x + dx, y + dy), text, ink, size, anchor, bold }
            }
        }));
    }
}
