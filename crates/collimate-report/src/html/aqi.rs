//! The section on the Alignment Quality Index.

use crate::aqi::{AqiComparison, Control};
use crate::control::{model_score, verdict};
use crate::figure::Figure;
use crate::finding::read_all;
use crate::html::parts;
use crate::html::table::{self, Cell};
use crate::markup::Markup;
use crate::number::{decimals, fixed, signed};
use crate::report::Report;
use crate::text::one_line;

/// Tables of more layers than this are folded.
const OPEN: usize = 8;

pub(super) fn write(m: &mut Markup, aqi: &AqiComparison, report: &Report, figures: &[Figure]) {
    let reading = &report.reading;
    table::measures(m, &read_all([&aqi.overall], reading), reading);
    parts::figures(m, figures, "aqi-overall");
    if !aqi.controls.is_empty() {
        m.leaf("h3", &[], "Controls");
        controls(m, aqi, report);
    }
    if !aqi.axioms.is_empty() {
        m.leaf("h3", &[], "By axiom");
        table::measures(m, &read_all(&aqi.axioms, reading), reading);
        parts::figures(m, figures, "aqi-axioms");
    }
    parts::figures(m, figures, "aqi-change");
    if !aqi.layers.is_empty() {
        m.leaf("h3", &[], "By layer");
        parts::figures(m, figures, "aqi-layers");
        let read = read_all(aqi.layers.values(), reading);
        if read.len() > OPEN {
            m.element("details", &[], |m| {
                m.leaf("summary", &[], "Table of the layers");
                table::measures(m, &read, reading);
            });
        } else {
            table::measures(m, &read, reading);
        }
    }
}

fn controls(m: &mut Markup, aqi: &AqiComparison, report: &Report) {
    let row = |control: &Control| {
        let model = model_score(aqi, control.side);
        let values: Vec<f64> =
            model.iter().chain([&control.score]).map(|score| score.value).collect();
        let decimals = decimals(&values, control.excess.map(|excess| excess.value));
        let name = format!("{}, {}", one_line(control.kind.name()), control.side.name());
        let verdict = verdict(aqi, control, &report.reading);
        vec![
            Cell::new("Control", name),
            Cell::estimate("AQI-S", Some(control.score), |x| fixed(x, decimals)),
            Cell::estimate("The model's", model, |x| fixed(x, decimals)),
            Cell::estimate("Excess", control.excess, |x| signed(x, decimals)),
            Cell::new("Reading", verdict.words()),
        ]
    };
    table::blocks(m, None, &aqi.controls.iter().map(row).collect::<Vec<_>>());
}
