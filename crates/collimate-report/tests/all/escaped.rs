//! Hostile text in every place that takes text is text.

use collimate_report::CheckedReport;
use proptest::prelude::*;
use roxmltree::{Document, ParsingOptions};

use crate::sample::{self, HOSTILE};

/// The page as XML: it is written so that it is both.
pub fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}"))
}

fn elements_of(page: &str) -> Vec<String> {
    let document = parsed(page);
    let mut names: Vec<String> = document
        .descendants()
        .filter(|node| node.is_element())
        .map(|node| {
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
                assert!(!matches!(attribute.name(), "src" | "style"), "{}", attribute.name());
                if attribute.name() == "href" {
                    assert!(attribute.value().starts_with('#'), "{}", attribute.value());
                }
            }
            node.tag_name().name().to_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_hostile_name_adds_no_element() {
    let (plain, hostile) = (sample::full().check().unwrap(), sample::hostile().check().unwrap());
    let count = |checked: &CheckedReport, name: &str| {
        elements_of(&checked.html()).iter().filter(|element| *element == name).count()
    };
    for element in ["script", "img", "a", "iframe", "style", "link", "meta"] {
        let expected = match element {
            "a" => 8,
            "style" => 1,
            "meta" => 4,
            _ => 0,
        };
        assert_eq!(count(&hostile, element), expected, "{element}");
        assert_eq!(count(&plain, element), expected, "{element}");
    }
    let page = hostile.html();
    assert!(!page.contains("<script"));
    assert!(!page.contains("<img"));
    assert!(!page.contains(['\u{202E}', '\u{0}']));
    assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("‹U+202E›‹U+0000›"));
}

#[test]
fn every_field_is_in_the_page_and_escaped() {
    // What the page would drop could not be tested for escaping.
    let page = sample::hostile().check().unwrap().html();
    for text in [
        "Fern, taught the house rules",
        "31 January 2026",
        "fern-1b-house-rules",
        "1.1.0",
        "AQI-S",
        "Justice &amp; Rights",
        "has a single row",
        "control",
        "layer 12, mean of the tokens",
        "probe-0000",
        "Refusals",
        "By the built-in rules",
        "Perplexity",
        "MiB",
        "no judge was given",
        "What is the code",
        "unsafe, secrets",
        "four, seven, one",
        "can&#39;t tell you",
        "Data",
        "dropped",
        "longer than 512",
        "Duplicates were removed",
        "learning rate",
        "2e-4",
        "database",
        "experiment 7",
        "made up",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn hostile_text_stays_text_in_figures() {
    for figure in sample::hostile().check().unwrap().figures() {
        let svg = figure.svg();
        let document = parsed(&svg);
        for node in document.descendants().filter(|node| node.is_element()) {
            let name = node.tag_name().name();
            assert!(matches!(name, "svg" | "title" | "desc" | "rect" | "path" | "text"), "{name}");
        }
        assert!(!svg.contains(['\u{202E}', '\u{0}']), "{}", figure.name());
    }
}

#[test]
fn hostile_text_stays_text_in_markdown() {
    let summary = sample::hostile().check().unwrap().markdown();
    assert!(!summary.contains(['\u{202E}', '\u{0}']));
    // Prompts and answers stand between fences, where nothing is markup.
    let mut fence: Option<String> = None;
    for line in summary.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None => {
                assert!(!line.contains('<'), "{line}");
                assert!(!line.contains("](") || line.contains("\\]("), "{line}");
                let columns = line.replace("\\|", "").matches('|').count();
                assert!(columns == 0 || line.starts_with('|') && line.ends_with('|'), "{line}");
            }
        }
    }
    assert!(fence.is_none());
    assert!(summary.contains(&format!("\n{}", HOSTILE.split('\u{202E}').next().unwrap())));
}

#[test]
fn pages_are_well_formed() {
    for report in [sample::full(), sample::one_point(), sample::no_data(), sample::long()] {
        let checked = report.check().unwrap();
        elements_of(&checked.html());
        for figure in checked.figures() {
            parsed(&figure.svg());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_is_well_formed(name in "\\PC{0,40}[\u{0}-\u{10FFFF}]{1,20}") {
        let mut report = sample::one_point();
        report.title = format!("x{name}");
        report.after.name.push_str(&name);
        if let Some(aqi) = &mut report.aqi {
            aqi.axioms[0].name.push_str(&name);
        }
        let checked = report.check().unwrap();
        parsed(&checked.html());
        for figure in checked.figures() {
            parsed(&figure.svg());
        }
    }
}
