//! A drawing as SVG.

use crate::markup::Markup;
use crate::palette::Ink;
use crate::scene::{Anchor, Dash, Item, Place, Scene, Shape};

/// Where an SVG stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Setting {
    /// In the page, whose style says which colour an ink has.
    Page,
    /// In a file of its own, on white.
    File,
}

/// What is said of a drawing to those who don't see it.
pub(crate) struct Words<'a> {
    /// Unique in the document.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    pub(crate) description: &'a str,
}

/// Fonts that most systems have one of.
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

pub(crate) fn write(markup: &mut Markup, scene: &Scene, words: &Words<'_>, setting: Setting) {
    let (width, height) = (coordinate(scene.width), coordinate(scene.height));
    let view = format!("0 0 {width} {height}");
    let (title_id, description_id) = (format!("{}-title", words.id), format!("{}-desc", words.id));
    let labelled = format!("{title_id} {description_id}");
    let mut attributes = vec![
        ("role", "img"),
        ("aria-labelledby", labelled.as_str()),
        ("viewBox", view.as_str()),
        ("width", width.as_str()),
        ("height", height.as_str()),
    ];
    if setting == Setting::File {
        attributes.push(("xmlns", "http://www.w3.org/2000/svg"));
        attributes.push(("font-family", FONTS));
    }
    markup.element("svg", &attributes, |m| {
        m.leaf("title", &[("id", &title_id)], words.title);
        m.leaf("desc", &[("id", &description_id)], words.description);
        if setting == Setting::File {
            let paper = Ink::Paper.light_hex();
            m.empty("rect", &[("width", &width), ("height", &height), ("fill", &paper)]);
        }
        for item in &scene.items {
            write_item(m, item, setting);
        }
    });
}

fn write_item(markup: &mut Markup, item: &Item, setting: Setting) {
    match item {
        Item::Line { places, ink, width, dash } => {
            let hex = ink.light_hex();
            let width = coordinate(*width);
            let path = line(places, false);
            let dashes = Dash::LENGTHS.map(coordinate).join(" ");
            let mut attributes = vec![("d", path.as_str()), ("stroke-width", width.as_str())];
            match setting {
                Setting::Page => attributes.push(("class", ink.classes().0)),
                Setting::File => attributes.extend([("fill", "none"), ("stroke", hex.as_str())]),
            }
            if *dash == Dash::Dashed {
                attributes.push(("stroke-dasharray", &dashes));
            }
            markup.empty("path", &attributes);
        }
        Item::Marks { places, ink, shape, radius } => {
            let hex = ink.light_hex();
            let path: String = places.iter().map(|place| mark(*shape, *place, *radius)).collect();
            let ink = match setting {
                Setting::Page => ("class", ink.classes().1),
                Setting::File => ("fill", hex.as_str()),
            };
            markup.empty("path", &[("d", &path), ink]);
        }
        Item::Text { place: (x, y), text, ink, size, anchor, bold } => {
            let hex = ink.light_hex();
            let (x, y, size) = (coordinate(*x), coordinate(*y), coordinate(*size));
            let mut attributes = vec![("x", x.as_str()), ("y", y.as_str()), ("font-size", &size)];
            match anchor {
                Anchor::Start => {}
                Anchor::Middle => attributes.push(("text-anchor", "middle")),
                Anchor::End => attributes.push(("text-anchor", "end")),
            }
            if *bold {
                attributes.push(("font-weight", "600"));
            }
            attributes.push(match setting {
                Setting::Page => ("class", ink.classes().1),
                Setting::File => ("fill", &hex),
            });
            markup.leaf("text", &attributes, text);
        }
    }
}

fn line(places: &[Place], closed: bool) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let step = if index == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{step}{} {}", coordinate(*x), coordinate(*y)));
    }
    if closed {
        path.push('Z');
    }
    path
}

fn mark(shape: Shape, place: Place, radius: f64) -> String {
    if shape != Shape::Circle {
        return line(&shape.corners(place, radius), true);
    }
    let (x, y) = place;
    let (r, d) = (coordinate(radius), coordinate(2.0 * radius));
    format!(
        "M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z",
        coordinate(x - radius),
        coordinate(y)
    )
}

/// A coordinate to a hundredth of a pixel.
fn coordinate(x: f64) -> String {
    let written = format!("{x:.2}");
    let short = written.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}
