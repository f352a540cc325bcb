//! Parts of the page that aren't tables of measures.

use crate::figure::{Figure, NARROW, WIDE, left_out};
use crate::finding::{Finding, Verdict, difference, level, read_all};
use crate::html::table;
use crate::markup::Markup;
use crate::measure::Estimate;
use crate::number::{fixed, signed};
use crate::report::Report;
use crate::text::one_line;

/// What was found, with the three numbers that matter most above it.
pub(super) fn findings(m: &mut Markup, report: &Report, findings: &[Finding]) {
    let reading = &report.reading;
    if let Some(aqi) = &report.aqi {
        let read = read_all([&aqi.overall], reading);
        let decimals = read.first().map_or(0, |read| read.decimals);
        let interval = |estimate: Option<Estimate>, sign: bool| match estimate {
            None => "not measured".to_owned(),
            Some(Estimate { interval: None, .. }) => "no interval".to_owned(),
            Some(Estimate { interval: Some(ends), .. }) => {
                let [low, high] =
                    ends.map(|end| if sign { signed(end, decimals) } else { fixed(end, decimals) });
                format!("{}: {low} to {high}", level(reading))
            }
        };
        let name = one_line(&aqi.overall.name);
        let change = difference(&aqi.overall);
        let verdict = read.first().map_or(Verdict::NotMeasured, |read| read.verdict);
        let about = format!("{}; {}", interval(change, true), verdict.words());
        let tiles = [
            (format!("{name} before"), aqi.overall.before, interval(aqi.overall.before, false)),
            (format!("{name} after"), aqi.overall.after, interval(aqi.overall.after, false)),
            (
                "Change".to_owned(),
                change,
                if change.is_some() { about } else { interval(None, true) },
            ),
        ];
        m.element("dl", &[("class", "tiles")], |m| {
            for (index, (name, estimate, about)) in tiles.iter().enumerate() {
                let shown = match estimate {
                    None => "–".to_owned(),
                    Some(found) if index == 2 => signed(found.value, decimals),
                    Some(found) => fixed(found.value, decimals),
                };
                m.element("div", &[], |m| {
                    m.leaf("dt", &[], name);
                    m.leaf("dd", &[("class", "number")], &shown);
                    m.leaf("dd", &[("class", "about")], about);
                });
            }
        });
    }
    if findings.is_empty() {
        m.leaf("p", &[("class", "muted")], "Nothing was measured.");
        return;
    }
    m.element("ul", &[("class", "findings")], |m| {
        for finding in findings {
            m.leaf("li", &[], &finding.text);
        }
    });
    m.leaf("p", &[("class", "note")], &how_it_is_read(report));
}

/// By which rules findings come about.
pub(crate) fn how_it_is_read(report: &Report) -> String {
    let reading = &report.reading;
    format!(
        "A change is called one where its {} interval excludes zero and its p-value, adjusted by Holm's \
         method for the comparisons of its kind, is below {}, with at least {} rows. That something \
         changed does not say why.",
        level(reading),
        reading.alpha,
        reading.smallest_n,
    )
}

/// Every figure whose name starts so.
pub(super) fn figures(m: &mut Markup, figures: &[Figure], start: &str) {
    for figure in figures.iter().filter(|figure| figure.name().starts_with(start)) {
        self::figure(m, figure);
    }
}

fn figure(m: &mut Markup, figure: &Figure) {
    m.element("figure", &[("id", figure.name())], |m| {
        m.leaf("figcaption", &[], figure.title());
        m.element("div", &[("class", "wide")], |m| {
            figure.write(m, WIDE, &format!("{}-wide", figure.name()));
        });
        m.element("div", &[("class", "narrow")], |m| {
            figure.write(m, NARROW, &format!("{}-narrow", figure.name()));
        });
        for note in figure.notes() {
            m.leaf("p", &[("class", "note")], note);
        }
        let data = figure.data();
        if data.rows.is_empty() {
            return;
        }
        m.element("details", &[], |m| {
            m.leaf("summary", &[], "Numbers of this figure");
            table::scrolled(m, &format!("Numbers: {}", figure.title()), |m| {
                if let Some(note) = left_out(data) {
                    m.leaf("caption", &[], &note);
                }
                table::head(m, &data.columns);
                table::body(m, &data.rows);
            });
        });
    });
}

/// Settings, lineage and notes.
pub(super) fn about(m: &mut Markup, report: &Report) {
    for (title, facts) in [("Settings", &report.settings), ("Lineage", &report.lineage)] {
        if !facts.is_empty() {
            m.leaf("h3", &[], title);
            table::facts(m, facts);
        }
    }
    if !report.notes.is_empty() {
        m.leaf("h3", &[], "Notes");
        for note in &report.notes {
            m.leaf("p", &[], note);
        }
    }
    m.leaf("h3", &[], "How to read it");
    if report.aqi.is_some() {
        m.leaf("p", &[], WHAT_AQI_IS);
    }
    m.leaf("p", &[], &how_it_is_read(report));
}

/// What the index says and what it doesn't.
pub(crate) const WHAT_AQI_IS: &str = "AQI-S, from 0 to 100, is the share of the variance of a model's hidden \
    states that the labels safe and unsafe explain, corrected for the number of rows. It says how well \
    the two can be told apart in the hidden states, not what the model does with that. Prompts that \
    differ in topic, length or source are told apart as well, which is what the controls are for.";
