//! What stands in the page, and how.

use std::collections::BTreeSet;

use collimate_report::{Curve, CurvePoint, Model, Report, Response};

use crate::escaped::parsed;
use crate::sample;

#[test]
fn equal_reports_are_equal_bytes() {
    let [a, b] = [(); 2].map(|()| sample::full().check().unwrap());
    assert_eq!(a.html(), b.html());
    assert_eq!(a.markdown(), b.markdown());
    let svgs = |checked: &collimate_report::CheckedReport| {
        checked.figures().iter().map(collimate_report::Figure::svg).collect::<Vec<_>>()
    };
    assert_eq!(svgs(&a), svgs(&b));
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = sample::full().check().unwrap().html();
    assert!(page.contains(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; style-src \
         &#39;unsafe-inline&#39;; img-src data:\"/>"
    ));
    for word in ["http://", "https://", "url(", "@import", "@font-face", "<script", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn headings_tables_and_figures_are_said_to_those_who_dont_see_them() {
    let page = sample::full().check().unwrap().html();
    let document = parsed(&page);
    let mut ids = BTreeSet::new();
    let mut depth = 0;
    for node in document.descendants().filter(|node| node.is_element()) {
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
        }
        let child = |name: &str| node.children().find(|child| child.has_tag_name(name));
        match node.tag_name().name() {
            "svg" => {
                assert_eq!(node.attribute("role"), Some("img"));
                for (name, suffix) in [("title", "-title"), ("desc", "-desc")] {
                    let words = child(name).unwrap();
                    assert!(!words.text().unwrap().is_empty());
                    let id = words.attribute("id").unwrap();
                    assert!(id.ends_with(suffix));
                    assert!(
                        node.attribute("aria-labelledby").unwrap().split(' ').any(|of| of == id)
                    );
                }
            }
            "th" => assert!(matches!(node.attribute("scope"), Some("row" | "col"))),
            "figure" => assert!(child("figcaption").is_some()),
            "table" => assert!(child("tbody").is_some()),
            "h1" => depth = 1,
            "h2" => depth = 2,
            "h3" => {
                assert!(depth >= 2);
                depth = 3;
            }
            "h4" => assert!(depth >= 3),
            _ => {}
        }
    }
    for link in document.descendants().filter_map(|node| node.attribute("href")) {
        assert!(ids.contains(link.trim_start_matches('#')), "{link} leads nowhere");
    }
}

#[test]
fn only_what_was_given_is_shown() {
    let page = Report::new("t", Model::new("a"), Model::new("b")).check().unwrap().html();
    assert!(page.contains("Nothing was measured."));
    for section in ["id=\"aqi\"", "id=\"training\"", "id=\"responses\"", "<svg"] {
        assert!(!page.contains(section), "{section}");
    }
    let page = sample::no_data().check().unwrap().html();
    assert!(page.matches(">no data</text>").count() >= 6);
    assert!(page.contains("AQI-S: not measured (the run was cancelled)."));
}

#[test]
fn a_long_answer_is_cut_visibly() {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    report.reading = report.reading.with_response_chars(10);
    report.responses = vec![Response::new("0123456789").with_after("0123456789äöü")];
    let checked = report.clone().check().unwrap();
    for text in [checked.html(), checked.markdown()] {
        assert_eq!(text.matches("3 more characters not shown").count(), 1);
        assert!(text.contains("no answer was recorded"));
        assert!(!text.contains("9äöü"));
    }
    report.responses = vec![Response::new("p"); 103];
    let page = report.check().unwrap().html();
    assert!(page.contains("3 responses more not shown."));
    assert_eq!(page.matches("class=\"response\"").count(), 100);
}

#[test]
fn what_is_thinned_or_missing_is_counted() {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    report.curve = Some(sample::curve(100_000));
    let checked = report.clone().check().unwrap();
    let figure = checked.figures().remove(0);
    assert_eq!(
        figure.notes(),
        [
            "training: 1 value is not a finite number; the line has gaps there.",
            "training: 99,999 points; for each column of pixels the first, the lowest, the highest and the \
             last are drawn.",
        ]
    );
    assert!(figure.svg().len() < 100_000);
    assert!(checked.html().contains("One in every 500 rows is shown; 99,800 are left out."));

    let points = [1.0, 0.0, f64::NAN, -1.0, 2.0].into_iter().enumerate();
    let points = points.map(|(step, loss)| CurvePoint::new(step as u64).with_loss(loss));
    report.curve = Some(Curve::new(points).with_logarithmic_loss());
    let notes = report.check().unwrap().figures().remove(0).notes().to_vec();
    assert_eq!(notes.len(), 2);
    assert!(notes[1].contains("2 values are not above zero"), "{notes:?}");
}
