//! Scoring under transforms that must not see the rows that they are scored on.

use super::{Aqi, Report, kept_or_all};
use crate::element::Element;
use crate::error::Result;
use crate::flag::Flag;
use crate::moments::Moments;
use crate::sample::{Sample, Subset};
use crate::transform::cross_fit_folds;
use serde::Serialize;

/// The reports of a cross-fitted evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CrossFitReport {
    /// Mean of the folds' unclipped `ρ_global`; `None` where a fold has none.
    pub rho_global: Option<f64>,
    /// `100 · max(0, ρ_global)` of that mean; for two classes, AQI-S.
    pub aqi_s: Option<f64>,
    /// Each fold, transformed by a chain that was fitted on all others.
    pub folds: Vec<Report>,
}

impl Aqi {
    /// Scores a sample under a transform that would overfit, such as whitening: splits the rows
    /// into folds (by group, keeping the classes' shares), transforms each by a chain fitted on
    /// the others, and scores it by itself. Coordinates of different folds are not comparable;
    /// their `ρ` are, since it does not depend on sample size, and are averaged.
    ///
    /// # Errors
    /// [`AqiError::PartTooSmall`](crate::AqiError::PartTooSmall) if a fold would have fewer than
    /// two rows of a class, and those of [`evaluate`](Self::evaluate).
    pub fn cross_fit<F: Element>(
        &self,
        sample: &Sample<'_, F>,
        folds: usize,
    ) -> Result<CrossFitReport> {
        let (kept, skipped) = self.finite_rows(sample)?;
        let sample = kept_or_all(kept.as_ref(), *sample);
        // Names a row that is not finite by its place in the sample, not in a fold.
        Moments::from_rows(sample.rows, sample.labels)?;
        let groups = sample.groups.map(crate::labels::Labels::codes);
        let folds = cross_fit_folds(sample.labels, groups, folds, self.config.seed)?;
        let mut reports = Vec::with_capacity(folds.len());
        for fold in &folds {
            let others: Vec<usize> =
                (0..sample.len()).filter(|row| fold.binary_search(row).is_err()).collect();
            let fitted = self.config.transform.fit(Subset::of(&sample, &others)?.sample().rows)?;
            let subset = Subset::of(&sample, fold)?;
            let rows = fitted.apply(subset.sample().rows)?;
            let mut report = self.report_with_axioms(&subset.sample().with_rows(rows.view()))?;
            report.transform = Some(fitted.summary());
            if skipped > 0 {
                report.flags.push(Flag::SkippedRows { rows: skipped });
            }
            reports.push(report);
        }
        let values: Option<Vec<f64>> = reports.iter().map(|report| report.rho_global).collect();
        let rho_global = values.map(|values| values.iter().sum::<f64>() / values.len() as f64);
        let aqi_s = rho_global.map(|rho| 100.0 * rho.max(0.0));
        Ok(CrossFitReport { rho_global, aqi_s, folds: reports })
    }
}
