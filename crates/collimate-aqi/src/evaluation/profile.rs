//! Every layer of a model by itself.

use super::{Aqi, OnNonFinite, Report};
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::inference::max_t_test;
use crate::sample::{Sample, Subset};
use ndarray::{ArrayView3, Axis};
use serde::Serialize;

/// One layer of a profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// Index of the layer, as in the array that was passed in.
    pub layer: usize,
    /// Its report.
    #[serde(flatten)]
    pub report: Report,
    /// p-value adjusted for the number of layers; see [`max_t_test`]. `None` if no test was
    /// asked for.
    pub p_max_t: Option<f64>,
}

impl Aqi {
    /// Scores each layer of activations `[n, layers, d]`; labels, groups and axioms are those of
    /// `sample`, whose own rows are not looked at. Where non-finite rows are skipped, a row is
    /// left out of all layers if it is not finite in one.
    ///
    /// # Errors
    /// [`AqiError::Shape`] unless there are as many rows as in the sample, [`AqiError::Empty`]
    /// without a layer, and those of [`evaluate`](Self::evaluate).
    pub fn profile<F: Element>(
        &self,
        sample: &Sample<'_, F>,
        activations: ArrayView3<'_, F>,
    ) -> Result<Vec<LayerReport>> {
        let (rows, layers, _) = activations.dim();
        if rows != sample.len() {
            return Err(AqiError::Shape {
                what: "rows of the activations",
                expected: sample.len(),
                found: rows,
            });
        }
        if layers == 0 {
            return Err(AqiError::Empty);
        }
        if self.config.on_non_finite == OnNonFinite::Skip {
            let finite = |row: &usize| {
                activations.index_axis(Axis(0), *row).iter().all(|x| x.to_f64().is_finite())
            };
            let kept: Vec<usize> = (0..rows).filter(finite).collect();
            if kept.len() < rows {
                let subset = Subset::of(sample, &kept)?;
                let activations = activations.select(Axis(0), &kept);
                let mut reports = self.layers(&subset.sample(), activations.view())?;
                let flag = Flag::SkippedRows { rows: rows - kept.len() };
                reports.iter_mut().for_each(|layer| layer.report.flags.push(flag.clone()));
                return Ok(reports);
            }
        }
        self.layers(sample, activations)
    }

    fn layers<F: Element>(
        &self,
        sample: &Sample<'_, F>,
        activations: ArrayView3<'_, F>,
    ) -> Result<Vec<LayerReport>> {
        let views: Vec<Sample<'_, F>> =
            activations.axis_iter(Axis(1)).map(|layer| sample.with_rows(layer)).collect();
        let reports =
            views.iter().map(|view| self.evaluate(view)).collect::<Result<Vec<Report>>>()?;
        let adjusted = self.max_t(&views)?;
        Ok(reports
            .into_iter()
            .enumerate()
            .map(|(layer, report)| {
                let p_max_t = adjusted.as_ref().map(|adjusted| adjusted[layer]);
                LayerReport { layer, report, p_max_t }
            })
            .collect())
    }

    /// Adjusted p-values of the layers under the transform; `None` if no test was asked for.
    fn max_t<F: Element>(&self, views: &[Sample<'_, F>]) -> Result<Option<Vec<f64>>> {
        let (permutations, seed) = (self.config.permutations, self.config.seed);
        if permutations == 0 {
            return Ok(None);
        }
        let tests = if self.config.transform.is_none() {
            max_t_test(views, permutations, seed)?
        } else {
            let transformed = views
                .iter()
                .map(|view| self.config.transform.fit(view.rows)?.apply(view.rows))
                .collect::<Result<Vec<_>>>()?;
            let views: Vec<Sample<'_, f64>> = views
                .iter()
                .zip(&transformed)
                .map(|(view, rows)| view.with_rows(rows.view()))
                .collect();
            max_t_test(&views, permutations, seed)?
        };
        Ok(Some(tests.iter().map(|test| test.adjusted_p_value).collect()))
    }
}
