//! Checks that everything in a report can be shown and compared.

use std::path::{Path, PathBuf};

use crate::control;
use crate::error::{ReportError, Result};
use crate::figure::{self, Figure};
use crate::finding::{Finding, read_all, together};
use crate::measure::{Estimate, Measure};
use crate::report::Report;
use crate::{html, markdown, write};

/// A report that can be drawn and written.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedReport {
    report: Report,
}

impl Report {
    /// Checks that everything can be shown.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] says which part can't: an empty name, a level or a p-value that is
    /// none, an interval that is upside down, steps that fall, a table whose rows are not as long as
    /// its heading.
    pub fn check(self) -> Result<CheckedReport> {
        named("title", &self.title)?;
        named("before.name", &self.before.name)?;
        named("after.name", &self.after.name)?;
        for (place, share) in [("alpha", self.reading.alpha), ("level", self.reading.level)] {
            if !(share > 0.0 && share < 1.0) {
                let message = format!("expected a number between 0 and 1, found {share}");
                return Err(ReportError::invalid(format!("reading.{place}"), message));
            }
        }
        if let Some(aqi) = &self.aqi {
            measure("aqi.overall", &aqi.overall)?;
            for (index, axiom) in aqi.axioms.iter().enumerate() {
                measure(&format!("aqi.axioms[{index}]"), axiom)?;
            }
            for (layer, found) in &aqi.layers {
                measure(&format!("aqi.layers[{layer}]"), found)?;
            }
            for (index, control) in aqi.controls.iter().enumerate() {
                let place = format!("aqi.controls[{index}]");
                named(&format!("{place}.kind"), control.kind.name())?;
                estimate(&format!("{place}.score"), control.score)?;
                if let Some(excess) = control.excess {
                    estimate(&format!("{place}.excess"), excess)?;
                }
            }
        }
        for (index, projection) in self.projections.iter().enumerate() {
            named(&format!("projections[{index}].name"), &projection.name)?;
            let panels = [("before", &projection.before), ("after", &projection.after)];
            for (side, explained) in
                panels.map(|(side, panel)| (side, panel.as_ref().and_then(|panel| panel.explained)))
            {
                for share in explained.into_iter().flatten() {
                    if !(0.0..=1.0).contains(&share) {
                        let place = format!("projections[{index}].{side}.explained");
                        let message = format!("expected shares from 0 to 1, found {share}");
                        return Err(ReportError::invalid(place, message));
                    }
                }
            }
        }
        for (index, group) in self.groups.iter().enumerate() {
            named(&format!("groups[{index}].title"), &group.title)?;
            for (row, found) in group.measures.iter().enumerate() {
                measure(&format!("groups[{index}].measures[{row}]"), found)?;
            }
        }
        if let Some(curve) = &self.curve
            && let Some(at) = curve.points.windows(2).position(|pair| pair[0].step > pair[1].step)
        {
            let place = format!("curve.points[{}]", at + 1);
            return Err(ReportError::invalid(
                place,
                "the step is less than the one before; sort the points by step",
            ));
        }
        for (index, table) in self.tables.iter().enumerate() {
            named(&format!("tables[{index}].title"), &table.title)?;
            let columns = table.columns.len();
            if columns == 0 {
                return Err(ReportError::invalid(
                    format!("tables[{index}]"),
                    "no column has a heading",
                ));
            }
            if let Some(row) = table.rows.iter().position(|row| row.len() != columns) {
                let found = table.rows.get(row).map_or(0, Vec::len);
                let message =
                    format!("expected {columns} cells, one for each heading, found {found}");
                return Err(ReportError::invalid(format!("tables[{index}].rows[{row}]"), message));
            }
        }
        Ok(CheckedReport { report: self })
    }
}

impl CheckedReport {
    /// What was checked.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What the numbers say, most general first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let reading = &self.report.reading;
        let mut findings = Vec::new();
        if let Some(aqi) = &self.report.aqi {
            let overall = read_all([&aqi.overall], reading);
            findings.extend(overall.iter().map(|read| read.finding(reading)));
            findings.extend(control::findings(aqi, reading));
            let axioms = read_all(&aqi.axioms, reading);
            findings.extend(axioms.iter().map(|read| read.finding(reading)));
            let layers = read_all(aqi.layers.values(), reading);
            match &layers[..] {
                [] => {}
                [layer] => findings.push(layer.finding(reading)),
                several => findings.push(together("AQI-S by layer", "layers", several, reading)),
            }
        }
        for group in &self.report.groups {
            let measures = read_all(&group.measures, reading);
            findings.extend(measures.iter().map(|read| read.finding(reading)));
        }
        findings
    }

    /// Every figure, in the order in which the page has them.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        figure::of(&self.report)
    }

    /// The page: one file that loads nothing.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// The summary in Markdown, with tables and without figures.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::summary(self)
    }

    /// Writes `report.html`, `summary.md` and `figures/` with each figure as SVG, and with the
    /// feature `png` as PNG, into a folder, and says what it wrote. Everything is drawn before the
    /// first file is written; each file appears whole or not at all, in the place of an older one.
    ///
    /// # Errors
    /// [`ReportError::Io`]; [`ReportError::Png`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        write::write(self, folder.as_ref())
    }
}

fn named(place: &str, name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(ReportError::invalid(place, "is empty; everything in a report has a name"));
    }
    Ok(())
}

fn measure(place: &str, measure: &Measure) -> Result<()> {
    named(&format!("{place}.name"), &measure.name)?;
    let parts = [("before", measure.before), ("after", measure.after), ("change", measure.change)];
    for (part, found) in parts {
        if let Some(found) = found {
            estimate(&format!("{place}.{part}"), found)?;
        }
    }
    Ok(())
}

fn estimate(place: &str, estimate: Estimate) -> Result<()> {
    if let Some([low, high]) = estimate.interval
        && (low.is_nan() || high.is_nan() || low > high)
    {
        let message = format!("expected a lower and an upper end, found {low} and {high}");
        return Err(ReportError::invalid(format!("{place}.interval"), message));
    }
    if let Some(p) = estimate.p_value
        && !(0.0..=1.0).contains(&p)
    {
        let message = format!("expected a number from 0 to 1, found {p}");
        return Err(ReportError::invalid(format!("{place}.p_value"), message));
    }
    Ok(())
}
