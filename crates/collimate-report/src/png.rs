//! A drawing in pixels, with a font that comes along: the same on every machine.

use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::palette::Ink;
use crate::scene::{Anchor, Dash, Item, Place, Scene, Shape};

/// Pixels for each pixel of the drawing.
const SCALE: f32 = 2.0;

/// The drawing on white; the error says what is wrong.
pub(crate) fn encode(scene: &Scene) -> Result<Vec<u8>, String> {
    let [width, height] = [scene.width, scene.height].map(|side| pixels(side * f64::from(SCALE)));
    let mut pixmap = Pixmap::new(width, height)
        .ok_or_else(|| format!("{width} × {height} pixels can't be drawn"))?;
    pixmap.fill(colour(Ink::Paper));
    let fonts = Fonts {
        regular: Face::parse(dejavu::sans::regular(), 0).map_err(|e| e.to_string())?,
        bold: Face::parse(dejavu::sans::bold(), 0).map_err(|e| e.to_string())?,
    };
    for item in &scene.items {
        draw(&mut pixmap, item, &fonts);
    }
    pixmap.encode_png().map_err(|e| e.to_string())
}

struct Fonts {
    regular: Face<'static>,
    bold: Face<'static>,
}

fn draw(pixmap: &mut Pixmap, item: &Item, fonts: &Fonts) {
    let to_pixels = Transform::from_scale(SCALE, SCALE);
    match item {
        Item::Line { places, ink, width, dash } => {
            let mut path = PathBuilder::new();
            for (index, place) in places.iter().enumerate() {
                let (x, y) = point(*place);
                if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
            }
            let dash = match dash {
                Dash::Solid => None,
                Dash::Dashed => StrokeDash::new(Dash::LENGTHS.map(single).to_vec(), 0.0),
            };
            let stroke = Stroke { width: single(*width), dash, ..Stroke::default() };
            if let Some(path) = path.finish() {
                pixmap.stroke_path(&path, &paint(*ink), &stroke, to_pixels, None);
            }
        }
        Item::Marks { places, ink, shape, radius } => {
            for path in places.iter().filter_map(|place| mark(*shape, *place, *radius)) {
                pixmap.fill_path(&path, &paint(*ink), FillRule::Winding, to_pixels, None);
            }
        }
        Item::Text { place, text, ink, size, anchor, bold } => {
            let face = if *bold { &fonts.bold } else { &fonts.regular };
            let scale = single(*size) / f32::from(face.units_per_em());
            let (x, y) = point(*place);
            let transform = to_pixels.pre_translate(x, y);
            if let Some(path) = glyphs(face, text, scale, *anchor) {
                pixmap.fill_path(&path, &paint(*ink), FillRule::Winding, transform, None);
            }
        }
    }
}

/// A line of text from left to right, its anchor at the origin. A character that the font lacks is
/// an empty box.
fn glyphs(face: &Face<'_>, text: &str, scale: f32, anchor: Anchor) -> Option<Path> {
    let glyphs: Vec<GlyphId> =
        text.chars().map(|c| face.glyph_index(c).unwrap_or(GlyphId(0))).collect();
    let advance = |glyph: &GlyphId| f32::from(face.glyph_hor_advance(*glyph).unwrap_or(0)) * scale;
    let width: f32 = glyphs.iter().map(advance).sum();
    let x = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let mut outline = Outline { path: PathBuilder::new(), x, scale };
    for glyph in &glyphs {
        face.outline_glyph(*glyph, &mut outline);
        outline.x += advance(glyph);
    }
    outline.path.finish()
}

/// Glyphs, whose y points up, as a path, whose y points down.
struct Outline {
    path: PathBuilder,
    x: f32,
    scale: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

fn mark(shape: Shape, place: Place, radius: f64) -> Option<Path> {
    let (x, y) = point(place);
    if shape == Shape::Circle {
        return PathBuilder::from_circle(x, y, single(radius));
    }
    let mut path = PathBuilder::new();
    for (index, corner) in shape.corners(place, radius).into_iter().enumerate() {
        let (x, y) = point(corner);
        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    path.finish()
}

fn colour(ink: Ink) -> Color {
    let [red, green, blue] = ink.light();
    Color::from_rgba8(red, green, blue, 255)
}

fn paint(ink: Ink) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour(ink));
    paint
}

fn point((x, y): Place) -> (f32, f32) {
    (single(x), single(y))
}

#[allow(clippy::cast_possible_truncation, reason = "coordinates of a drawing are small")]
fn single(x: f64) -> f32 {
    x as f32
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and what is too large can't be drawn"
)]
fn pixels(side: f64) -> u32 {
    side.ceil() as u32
}
