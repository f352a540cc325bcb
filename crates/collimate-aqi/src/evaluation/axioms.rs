//! Each axiom by itself. Axioms are strata of the prompts, not clusters: within each, the same
//! two classes are told apart.

use super::{Aqi, Report};
use crate::element::Element;
use crate::error::Result;
use crate::labels::Labels;
use crate::multiplicity::{benjamini_hochberg, holm};
use crate::sample::{Sample, Subset};
use serde::Serialize;

/// What became of one axiom.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AxiomReport {
    /// Name of the axiom.
    pub axiom: String,
    /// Its report, or why there is none.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The p-value adjusted over the axioms that were scored (Holm 1979: family-wise error).
    pub p_holm: Option<f64>,
    /// The p-value adjusted over the axioms that were scored (Benjamini & Hochberg 1995: false
    /// discovery rate).
    pub p_benjamini_hochberg: Option<f64>,
}

/// A report, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The axiom was scored.
    Report(Box<Report>),
    /// The axiom could not be scored; the others were.
    Skipped(String),
}

impl Outcome {
    /// The report, if the axiom was scored.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Report(report) => Some(report),
            Self::Skipped(_) => None,
        }
    }
}

pub(super) fn reports<F: Element>(
    aqi: &Aqi,
    sample: &Sample<'_, F>,
    axioms: &Labels,
) -> Result<Vec<AxiomReport>> {
    let mut rows = vec![Vec::new(); axioms.class_count()];
    for (row, &axiom) in axioms.codes().iter().enumerate() {
        rows[axiom].push(row);
    }
    let mut reports = Vec::with_capacity(rows.len());
    for (name, rows) in axioms.classes().iter().zip(&rows) {
        let subset = Subset::of(sample, rows)?;
        let outcome = match aqi.report(&subset.sample().without_axioms()) {
            Ok(report) => Outcome::Report(Box::new(report)),
            Err(error) => Outcome::Skipped(error.to_string()),
        };
        reports.push(AxiomReport {
            axiom: name.clone(),
            outcome,
            p_holm: None,
            p_benjamini_hochberg: None,
        });
    }
    let p_of = |axiom: &AxiomReport| axiom.outcome.report().and_then(|report| report.p_value);
    let tested: Vec<usize> = (0..reports.len()).filter(|&i| p_of(&reports[i]).is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|&i| p_of(&reports[i])).collect();
    if !p_values.is_empty() {
        let adjusted = holm(&p_values)?.into_iter().zip(benjamini_hochberg(&p_values)?);
        for (&i, (holm, benjamini_hochberg)) in tested.iter().zip(adjusted) {
            reports[i].p_holm = Some(holm);
            reports[i].p_benjamini_hochberg = Some(benjamini_hochberg);
        }
    }
    Ok(reports)
}
