//! The main job: one call from embeddings to a report.

mod axioms;
mod cross_fit;
mod profile;
mod report;

pub use axioms::{AxiomReport, Outcome};
pub use cross_fit::CrossFitReport;
pub use profile::LayerReport;
pub use report::Report;

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::flag::Flag;
use crate::inference::{Delta, DeltaConfig, IntervalMethod, delta};
use crate::sample::{Sample, Subset};
use crate::score::Mode;
use crate::transform::TransformChain;
use ndarray::ArrayView2;

/// What to do with rows that hold a NaN or an infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnNonFinite {
    /// Refuse, naming the first such value. The default.
    #[default]
    Error,
    /// Leave such rows out and count them in the report; in a paired comparison, both rows of
    /// the prompt.
    Skip,
}

/// Settings of an evaluation. [`check`](Self::check) turns them into an [`Aqi`], which computes.
#[derive(Clone, Debug, PartialEq)]
pub struct AqiConfig {
    mode: Mode,
    transform: TransformChain,
    interval: Option<IntervalMethod>,
    permutations: usize,
    seed: u64,
    pairwise: bool,
    on_non_finite: OnNonFinite,
}

impl Default for AqiConfig {
    /// AQI-S of the rows as they are, with the score interval, 999 permutations and the indices
    /// that look at all pairs of rows; seed 0; non-finite values are errors.
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            transform: TransformChain::default(),
            interval: Some(IntervalMethod::default()),
            permutations: 999,
            seed: 0,
            pairwise: true,
            on_non_finite: OnNonFinite::default(),
        }
    }
}

impl AqiConfig {
    /// Sets the mode of the score. AQI-S is reported in any case.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Sets what is done to the rows first.
    #[must_use]
    pub fn with_transform(self, transform: TransformChain) -> Self {
        Self { transform, ..self }
    }

    /// Sets how the interval is computed; `None` for no interval.
    #[must_use]
    pub fn with_interval(self, interval: Option<IntervalMethod>) -> Self {
        Self { interval, ..self }
    }

    /// Sets the number of permutations of the test; 0 for no test.
    #[must_use]
    pub fn with_permutations(self, permutations: usize) -> Self {
        Self { permutations, ..self }
    }

    /// Sets the seed of permutations and folds.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Turns silhouette and Dunn, which take `O(n² d)`, on or off.
    #[must_use]
    pub fn with_pairwise(self, pairwise: bool) -> Self {
        Self { pairwise, ..self }
    }

    /// Sets what is done with rows that hold a NaN or an infinity.
    #[must_use]
    pub fn with_on_non_finite(self, on_non_finite: OnNonFinite) -> Self {
        Self { on_non_finite, ..self }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a `chi_max` that is not positive and finite, or fewer than
    /// two resamples.
    pub fn check(self) -> Result<Aqi> {
        if let Mode::PaperGeometric { chi_max, .. } = self.mode
            && !(chi_max.is_finite() && chi_max > 0.0)
        {
            return Err(AqiError::parameter("chi_max", chi_max, "a positive number"));
        }
        if let Some(
            IntervalMethod::Centered { resamples, .. }
            | IntervalMethod::LegacyPercentile { resamples, .. },
        ) = self.interval
            && resamples < 2
        {
            return Err(AqiError::parameter("resamples", resamples, "at least 2"));
        }
        Ok(Aqi { config: self })
    }
}

/// An evaluation with checked settings.
///
/// ```
/// use collimate_aqi::{AqiConfig, Labels, Sample};
/// use ndarray::array;
///
/// let hidden_states = array![
///     [0.1_f32, 0.0, 0.2], [0.0, 0.3, 0.1], [0.2, 0.1, 0.0], [0.0, 0.1, 0.1],
///     [1.0, 0.9, 1.1], [1.2, 1.0, 0.8], [0.9, 1.1, 1.0], [1.1, 1.0, 1.2],
/// ];
/// let labels = Labels::new(["safe", "safe", "safe", "safe", "unsafe", "unsafe", "unsafe", "unsafe"])?
///     .with_safe("safe")?;
/// let report = AqiConfig::default().check()?.evaluate(&Sample::new(hidden_states.view(), &labels)?)?;
/// assert!(report.aqi_s.unwrap() > 90.0);
/// assert_eq!(report.p_value, Some(2.0 / 70.0)); // the best of all 70 labelings, and its mirror
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Aqi {
    config: AqiConfig,
}

impl Aqi {
    /// Scores a sample: indices, score, interval, test, and a report for each axiom.
    ///
    /// # Errors
    /// [`AqiError::CrossFitRequired`] for a transform that would overfit; those of
    /// [`Moments::from_rows`](crate::Moments::from_rows) and
    /// [`Moments::dispersion`](crate::Moments::dispersion), of the mode's score, of the transform
    /// and of the permutation test. What a class of too few rows rules out (`ρ`, AQI-S, the
    /// interval) is left out of the report if the mode does not need it.
    pub fn evaluate<F: Element>(&self, sample: &Sample<'_, F>) -> Result<Report> {
        self.check_in_sample()?;
        let (kept, skipped) = self.finite_rows(sample)?;
        let sample = kept_or_all(kept.as_ref(), *sample);
        let mut report = if self.config.transform.is_none() {
            self.report_with_axioms(&sample)?
        } else {
            let fitted = self.config.transform.fit(sample.rows)?;
            let rows = fitted.apply(sample.rows)?;
            let mut report = self.report_with_axioms(&sample.with_rows(rows.view()))?;
            report.transform = Some(fitted.summary());
            report
        };
        if skipped > 0 {
            report.flags.push(Flag::SkippedRows { rows: skipped });
        }
        Ok(report)
    }

    /// Compares the same prompts before and after; see [`delta`]. Each sample is transformed by
    /// a chain fitted on itself.
    ///
    /// # Errors
    /// Those of [`delta`]; [`AqiError::CrossFitRequired`]; those of the transform.
    pub fn delta<A: Element, B: Element>(
        &self,
        before: &Sample<'_, A>,
        after: &Sample<'_, B>,
        config: &DeltaConfig,
    ) -> Result<Delta> {
        self.check_in_sample()?;
        let transform = &self.config.transform;
        let (kept_before, _) = self.finite_rows(before)?;
        let (kept_after, _) = self.finite_rows(after)?;
        let before = kept_or_all(kept_before.as_ref(), *before);
        let after = kept_or_all(kept_after.as_ref(), *after);
        if transform.is_none() {
            return delta(&before, &after, config);
        }
        let of_before = transform.fit(before.rows)?.apply(before.rows)?;
        let of_after = transform.fit(after.rows)?.apply(after.rows)?;
        delta(&before.with_rows(of_before.view()), &after.with_rows(of_after.view()), config)
    }

    /// How much better a layer separates the classes than a reference does for the same rows, in
    /// order: the embedding layer, a randomly initialised twin. What is read off the reference
    /// as well (topic, length, source) is no evidence of alignment.
    ///
    /// # Errors
    /// [`AqiError::Shape`] unless there are as many reference rows; those of [`Self::delta`].
    pub fn excess_over<F: Element, G: Element>(
        &self,
        sample: &Sample<'_, F>,
        reference: ArrayView2<'_, G>,
        config: &DeltaConfig,
    ) -> Result<Delta> {
        let ids: Vec<String> = (0..sample.len()).map(|row| row.to_string()).collect();
        // Groups and axioms are those of the rows, whatever layer is read.
        let mut of_reference = Sample::new(reference, sample.labels)?.with_ids(&ids)?;
        if let Some(groups) = sample.groups {
            of_reference = of_reference.with_groups(groups)?;
        }
        if let Some(axioms) = sample.axioms {
            of_reference = of_reference.with_axioms(axioms)?;
        }
        let rows = sample.rows.reborrow();
        self.delta(&of_reference, &sample.with_rows(rows).with_ids(&ids)?, config)
    }

    /// Refuses transforms that would overfit the rows that they are scored on.
    fn check_in_sample(&self) -> Result<()> {
        if self.config.transform.needs_cross_fitting() {
            return Err(AqiError::CrossFitRequired { transform: "whitening" });
        }
        Ok(())
    }

    /// The rows to keep where some are to be skipped, and how many are skipped.
    fn finite_rows<F: Element>(
        &self,
        sample: &Sample<'_, F>,
    ) -> Result<(Option<Subset<F>>, usize)> {
        if self.config.on_non_finite == OnNonFinite::Error {
            return Ok((None, 0));
        }
        let kept = finite(sample.rows);
        let skipped = sample.len() - kept.len();
        if skipped == 0 {
            return Ok((None, 0));
        }
        Ok((Some(Subset::of(sample, &kept)?), skipped))
    }
}

/// The rows that were kept, or all where none was left out.
fn kept_or_all<'short, 'long: 'short, F: Element>(
    kept: Option<&'short Subset<F>>,
    all: Sample<'long, F>,
) -> Sample<'short, F> {
    kept.map_or(all.with_rows(all.rows.reborrow()), Subset::sample)
}

/// The rows without a NaN or an infinity.
fn finite<F: Element>(rows: ArrayView2<'_, F>) -> Vec<usize> {
    let finite = |row: &usize| rows.row(*row).iter().all(|x| x.to_f64().is_finite());
    (0..rows.nrows()).filter(finite).collect()
}
