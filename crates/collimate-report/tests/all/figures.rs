//! Drawings: everything lies inside, nothing is drawn that is not there.

use collimate_report::{Curve, CurvePoint, Model, Report};
use roxmltree::Node;

use crate::escaped::parsed;
use crate::sample;

/// All numbers of a path.
fn numbers(path: &str) -> Vec<f64> {
    path.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect()
}

#[test]
fn everything_lies_inside_the_drawing() {
    for report in [sample::full(), sample::one_point(), sample::no_data(), sample::long()] {
        for figure in report.check().unwrap().figures() {
            let svg = figure.svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", figure.name());
            let document = parsed(&svg);
            let number = |node: Node<'_, '_>, name: &str| -> f64 {
                node.attribute(name).unwrap().parse().unwrap()
            };
            let root = document.root_element();
            let (width, height) = (number(root, "width"), number(root, "height"));
            assert!(height < 2.0 * width, "{}: {height}", figure.name());
            for node in document.descendants() {
                match node.tag_name().name() {
                    // Circles are written in relative steps.
                    "path" if !node.attribute("d").unwrap().contains('a') => {
                        for pair in numbers(node.attribute("d").unwrap()).chunks(2) {
                            assert!(
                                (0.0..=width).contains(&pair[0]),
                                "{}: {pair:?}",
                                figure.name()
                            );
                            assert!(
                                (0.0..=height).contains(&pair[1]),
                                "{}: {pair:?}",
                                figure.name()
                            );
                        }
                    }
                    "text" => {
                        assert!((0.0..=width).contains(&number(node, "x")), "{}", figure.name());
                        assert!((0.0..=height).contains(&number(node, "y")), "{}", figure.name());
                        assert!(number(node, "font-size") >= 12.0);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn one_point_is_drawn_as_a_point() {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    report.curve = Some(Curve::new([CurvePoint::new(7).with_loss(1.5)]));
    let svg = report.check().unwrap().figures().remove(0).svg();
    assert_eq!(svg.matches("a4.5 4.5 0 1 0 9 0").count(), 1);
}

#[test]
fn extreme_values_have_places() {
    for values in [
        [f64::MAX, f64::MIN, 0.0],
        [f64::MIN_POSITIVE, 5e-324, 0.0],
        [1e15, 1e15 + 2.0, 1e15 + 4.0],
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY],
        [f64::MAX, f64::MAX, f64::MAX],
    ] {
        for logarithmic in [false, true] {
            let mut report = Report::new("t", Model::new("a"), Model::new("b"));
            let steps = [0, u64::MAX / 2, u64::MAX];
            let points = steps.into_iter().zip(values);
            let mut curve =
                Curve::new(points.map(|(step, loss)| CurvePoint::new(step).with_loss(loss)));
            curve.logarithmic = logarithmic;
            report.curve = Some(curve);
            let svg = report.check().unwrap().figures().remove(0).svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?} {svg}");
        }
    }
}

#[test]
fn names_of_figures_are_names_of_files() {
    let figures = sample::hostile().check().unwrap().figures();
    let mut names: Vec<&str> = figures.iter().map(|figure| figure.name()).collect();
    assert_eq!(
        names,
        [
            "aqi-overall",
            "aqi-axioms",
            "aqi-change",
            "aqi-layers",
            "projection-1",
            "training-loss",
            "learning-rate",
            "gradient-norm",
        ]
    );
    names.dedup();
    assert_eq!(names.len(), figures.len());
}

#[cfg(feature = "png")]
#[test]
fn pixels_show_the_drawing_with_its_text() {
    let figure = &sample::full().check().unwrap().figures()[0];
    let png = figure.png().unwrap();
    assert_eq!(png, figure.png().unwrap());
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!(side(16), 1720);
    let pixmap = tiny_skia::Pixmap::decode_png(&png).unwrap();
    let has = |[red, green, blue]: [u8; 3]| {
        let same = |p: &&tiny_skia::PremultipliedColorU8| {
            (p.red(), p.green(), p.blue()) == (red, green, blue)
        };
        pixmap.pixels().iter().filter(same).count()
    };
    // Before, after, and letters.
    assert!(has([0x00, 0x72, 0xb2]) > 100);
    assert!(has([0xc4, 0x4e, 0x00]) > 100);
    assert!(has([0x1b, 0x1f, 0x24]) > 500);
}
