//! One test for many layers, or other views of the same rows.

use super::permutation::{PermutationTest, null};
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::moments::Moments;
use crate::sample::Sample;
use serde::Serialize;

/// The permutation test of one of several views, with its p-value adjusted for their number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MaxTTest {
    /// The test of this view alone.
    #[serde(flatten)]
    pub test: PermutationTest,
    /// Chance that any view reaches this view's `z` under exchanged labels: controls the
    /// family-wise error over all views.
    pub adjusted_p_value: f64,
}

/// Permutation tests of several views of the same rows, such as the layers of a model, with
/// p-values adjusted by the largest standardized statistic under shared permutations
/// (single-step max-T, Westfall & Young 1993). Dependence between the views is kept.
///
/// All samples must have the same labels, groups and axioms; see
/// [`permutation_test`](crate::permutation_test) for how labels are exchanged.
///
/// # Errors
/// [`AqiError::Empty`] without a sample, [`AqiError::Incompatible`] if labels, groups or axioms
/// differ, and those of [`permutation_test`](crate::permutation_test).
pub fn max_t_test<F: Element>(
    samples: &[Sample<'_, F>],
    permutations: usize,
    seed: u64,
) -> Result<Vec<MaxTTest>> {
    let first = samples.first().ok_or(AqiError::Empty)?;
    for (index, sample) in samples.iter().enumerate() {
        if (sample.labels, sample.groups, sample.axioms)
            != (first.labels, first.groups, first.axioms)
        {
            return Err(AqiError::Incompatible {
                what: "labels, groups or axioms",
                left: "view 0".to_owned(),
                right: format!("view {index}"),
            });
        }
    }
    let nulls = samples
        .iter()
        .map(|sample| {
            let moments = Moments::from_rows(sample.rows, sample.labels)?;
            null(sample, &moments, permutations, seed)
        })
        .collect::<Result<Vec<_>>>()?;
    let tests: Vec<PermutationTest> = nulls.iter().map(super::permutation::Null::test).collect();
    let standardized = |view: usize, value: f64| {
        let test: &PermutationTest = &tests[view];
        if test.null_sd > 0.0 { (value - test.null_mean) / test.null_sd } else { 0.0 }
    };
    let draws = nulls[0].values.len();
    let largest: Vec<f64> = (0..draws)
        .map(|draw| {
            let of_view = |view: usize| standardized(view, nulls[view].values[draw]);
            (0..nulls.len()).map(of_view).fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    let adjust = |view: usize| {
        let z = standardized(view, nulls[view].observed);
        let bar = z - 1e-12 * z.abs();
        let reached = largest.iter().filter(|&&value| value >= bar).count() as f64;
        if nulls[view].exact {
            reached / draws as f64
        } else {
            (1.0 + reached) / (1.0 + draws as f64)
        }
    };
    let adjusted: Vec<f64> = (0..nulls.len()).map(adjust).collect();
    Ok(tests
        .into_iter()
        .zip(adjusted)
        .map(|(test, adjusted_p_value)| MaxTTest { test, adjusted_p_value })
        .collect())
}
