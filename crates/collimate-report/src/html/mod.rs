//! The page: one file that loads nothing and runs nothing.

mod aqi;
mod parts;
mod responses;
mod table;

pub(crate) use parts::{WHAT_AQI_IS, how_it_is_read};
pub(crate) use responses::{RESPONSES, cut_note, left_out as responses_left_out};
pub(crate) use table::{DIFFERS, TABLE_ROWS, differs, left_out as rows_left_out};

use crate::check::CheckedReport;
use crate::figure::Figure;
use crate::finding::{Finding, read_all};
use crate::markup::Markup;
use crate::report::{Model, Report};
use crate::text::one_line;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing is run, whatever the page says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Sections by the id that the navigation leads to.
const SECTIONS: [(&str, &str); 8] = [
    ("findings", "Findings"),
    ("aqi", "Alignment Quality Index"),
    ("hidden-states", "Hidden states"),
    ("measures", "Measures"),
    ("training", "Training"),
    ("responses", "Responses"),
    ("tables", "Tables"),
    ("about", "About"),
];

pub(crate) fn page(checked: &CheckedReport) -> String {
    let (report, findings, figures) = (checked.report(), checked.findings(), checked.figures());
    let title = one_line(&report.title);
    let mut markup = Markup::default();
    markup.constant("<!DOCTYPE html>\n");
    markup.element("html", &[("lang", "en")], |m| {
        m.element("head", &[], |m| {
            m.empty("meta", &[("charset", "utf-8")]);
            m.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            m.empty(
                "meta",
                &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")],
            );
            m.empty("meta", &[("name", "referrer"), ("content", "no-referrer")]);
            m.leaf("title", &[], &title);
            m.element("style", &[], |m| m.constant(STYLE));
        });
        m.element("body", &[], |m| {
            header(m, report, &title);
            let shown = |id: &str| has(report, id);
            m.element("nav", &[("aria-label", "Sections")], |m| {
                m.element("ul", &[], |m| {
                    for (id, name) in SECTIONS.into_iter().filter(|(id, _)| shown(id)) {
                        m.element("li", &[], |m| m.leaf("a", &[("href", &format!("#{id}"))], name));
                    }
                });
            });
            m.element("main", &[], |m| {
                for (id, name) in SECTIONS.into_iter().filter(|(id, _)| shown(id)) {
                    m.element("section", &[("id", id)], |m| {
                        m.leaf("h2", &[], name);
                        section(m, id, report, &findings, &figures);
                    });
                }
            });
            m.element("footer", &[], |m| {
                m.text(concat!("Made by collimate-report ", env!("CARGO_PKG_VERSION"), "."));
            });
        });
    });
    markup.finish()
}

fn has(report: &Report, id: &str) -> bool {
    match id {
        "aqi" => report.aqi.is_some(),
        "hidden-states" => !report.projections.is_empty(),
        "measures" => !report.groups.is_empty(),
        "training" => report.curve.is_some(),
        "responses" => !report.responses.is_empty(),
        "tables" => !report.tables.is_empty(),
        _ => true,
    }
}

fn section(m: &mut Markup, id: &str, report: &Report, findings: &[Finding], figures: &[Figure]) {
    match id {
        "findings" => parts::findings(m, report, findings),
        "aqi" => {
            if let Some(aqi) = &report.aqi {
                aqi::write(m, aqi, report, figures);
            }
        }
        "hidden-states" => parts::figures(m, figures, "projection-"),
        "measures" => {
            for group in &report.groups {
                m.leaf("h3", &[], &one_line(&group.title));
                if let Some(note) = &group.note {
                    m.leaf("p", &[], note);
                }
                let read = read_all(&group.measures, &report.reading);
                table::measures(m, &read, &report.reading);
            }
        }
        "training" => {
            for name in ["training-loss", "learning-rate", "gradient-norm"] {
                parts::figures(m, figures, name);
            }
        }
        "responses" => responses::write(m, &report.responses, &report.reading),
        "tables" => {
            for found in &report.tables {
                m.leaf("h3", &[], &one_line(&found.title));
                table::free(m, found);
            }
        }
        _ => parts::about(m, report),
    }
}

fn header(m: &mut Markup, report: &Report, title: &str) {
    m.element("header", &[], |m| {
        m.leaf("h1", &[], title);
        if let Some(when) = &report.when {
            m.leaf("p", &[("class", "muted")], &one_line(when));
        }
        m.element("dl", &[("class", "models")], |m| {
            let models =
                [("Before", "of-before", &report.before), ("After", "of-after", &report.after)];
            for (side, class, model) in models {
                let Model { name, version } = model;
                m.element("div", &[("class", class)], |m| {
                    m.leaf("dt", &[], side);
                    m.leaf("dd", &[("class", "name")], &one_line(name));
                    if let Some(version) = version {
                        m.leaf(
                            "dd",
                            &[("class", "muted")],
                            &format!("version {}", one_line(version)),
                        );
                    }
                });
            }
        });
    });
}
