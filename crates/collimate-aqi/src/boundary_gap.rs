//! The gap between safe and unsafe rows.

use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::json_float;
use crate::labels::Labels;
use crate::moments::times_power_of_two;
use crate::order_statistic::{PairValues, Quantile, extents, neighbours};
use crate::pairwise::{Pairwise, Tile, by_class};
use crate::range::Rows;
use ndarray::ArrayView2;
use serde::Serialize;
use std::ops::Range;

/// How close safe and unsafe rows come to each other: larger is better. In the units of the
/// rows, so only rows of one scale compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BoundaryGap {
    /// `min_{i,j} ‖z_i − z_j‖² + λ(1 − cos(z_i, z_j))`.
    #[serde(with = "json_float")]
    pub minimum: f64,
    /// The quantile `τ` of the same set.
    #[serde(with = "json_float")]
    pub quantile: f64,
    /// `Δ_latent = min_{i,j} ‖z_i − z_j‖`.
    #[serde(with = "json_float")]
    pub delta_latent: f64,
    /// The weight of the cosine distance.
    pub lambda: f64,
    /// Which quantile.
    pub tau: f64,
}

/// The boundary gap of appendix G.3 of Borah et al. 2025 (arXiv 2506.13901), where it is called
/// "XBI" although it has nothing in common with Xie-Beni: over all pairs of a safe row `i` and an
/// unsafe row `j`, the minimum and the quantile `tau` (numpy's interpolation; 0.05 in the paper)
/// of `‖z_i − z_j‖² + λ(1 − cos(z_i, z_j))`.
///
/// Unsafe is every class but the one declared safe; of two classes none need be declared. The
/// quantile is exact, whatever the number of pairs. Values beyond the range of `f64` are `+∞`.
///
/// ```
/// use collimate_aqi::{Labels, boundary_gap};
/// use ndarray::array;
/// let rows = array![[1.0_f32, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]];
/// let gap = boundary_gap(rows.view(), &Labels::from_safe(&[true, true, false, false])?, 0.5, 0.05)?;
/// assert_eq!(gap.minimum, 2.5);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Empty`], [`AqiError::ZeroDim`], [`AqiError::Shape`], [`AqiError::NonFinite`],
/// [`AqiError::SingleClass`], [`AqiError::DegenerateData`] if all rows are identical,
/// [`AqiError::TwoClasses`] for more classes none of which is declared safe,
/// [`AqiError::ZeroRow`] for a row without direction, [`AqiError::Parameter`] unless `λ` is
/// finite, `λ ≥ 0` and `0 ≤ τ ≤ 1`.
pub fn boundary_gap<F: Element>(
    rows: ArrayView2<'_, F>,
    labels: &Labels,
    lambda: f64,
    tau: f64,
) -> Result<BoundaryGap> {
    if !(lambda.is_finite() && lambda >= 0.0) {
        return Err(AqiError::parameter("lambda", lambda, "a finite number, zero or more"));
    }
    if !(0.0..=1.0).contains(&tau) {
        return Err(AqiError::parameter("tau", tau, "a number in [0, 1]"));
    }
    let rows = Rows::labelled(rows, labels)?;
    let safe = match (labels.safe(), labels.class_count()) {
        (Some(safe), _) => safe,
        (None, 2) => 0,
        (None, found) => {
            return Err(AqiError::TwoClasses {
                what: "a boundary gap without a class declared safe",
                found,
            });
        }
    };
    let sides: Vec<usize> = labels.codes().iter().map(|&code| usize::from(code != safe)).collect();
    let (order, ranges) = by_class(&sides, 2);
    let norms = rows.norms()?;
    let norms = order.iter().map(|&row| norms[row]).collect();
    let pairs = Pairwise::new(&rows, order);
    let mut gaps =
        Gaps { rows: &rows, pairs: &pairs, safe: ranges[0].end, norms, lambda: 0.0, exponent: 0 };
    let nearest = extents(&pairs, &gaps)[0].least;
    gaps.lambda = lambda;
    gaps.exponent = rows.exponent();
    let extents = extents(&pairs, &gaps);
    let quantile = Quantile::new(tau, extents[0].count);
    let found = neighbours(&pairs, &gaps, &extents, &[(0, quantile)]);
    Ok(BoundaryGap {
        minimum: extents[0].least,
        quantile: found.first().map_or(extents[0].least, |&values| quantile.between(values)),
        delta_latent: times_power_of_two(nearest.sqrt(), rows.exponent()),
        lambda,
        tau,
    })
}

/// Norms that differ by more than this factor leave too few digits to the law of cosines.
const SIMILAR: f64 = 256.0;

/// `‖z_i − z_j‖² + λ(1 − cos)` of rows before and after position `safe`.
struct Gaps<'p, 'a, F: Element> {
    rows: &'p Rows<'a, F>,
    pairs: &'p Pairwise<'p, 'a, F>,
    safe: usize,
    /// By position.
    norms: Vec<f64>,
    lambda: f64,
    /// Of the squared distances' unit.
    exponent: i32,
}

impl<F: Element> Gaps<'_, '_, F> {
    /// `1 − cos` of the rows at two positions.
    fn cosine_distance(&self, i: usize, j: usize, squared: f64) -> f64 {
        let (a, b) = (self.norms[i], self.norms[j]);
        let distance = if a.max(b) <= SIMILAR * a.min(b) && squared > 0.0 {
            // 2ab(1 − cos) = ‖x−y‖² − (a−b)², in factors that don't overflow.
            let distance = squared.sqrt();
            0.5 * ((distance - (a - b)) / a) * ((distance + (a - b)) / b)
        } else {
            let dim = self.rows.dim();
            let (zero, mut x, mut y) = (vec![0.0; dim], vec![0.0; dim], vec![0.0; dim]);
            let row = |position| [self.pairs.row(position)];
            self.rows.read(row(i), 0..dim, |_| &zero, &mut x);
            self.rows.read(row(j), 0..dim, |_| &zero, &mut y);
            1.0 - x.iter().zip(&y).map(|(x, y)| x / a * (y / b)).sum::<f64>()
        };
        distance.clamp(0.0, 2.0)
    }
}

impl<F: Element> PairValues for Gaps<'_, '_, F> {
    const SETS: usize = 1;

    fn wanted(&self, rows: &Range<usize>, columns: &Range<usize>) -> bool {
        rows.start < self.safe && columns.end > self.safe
    }

    fn each(&self, tile: &Tile<'_>, mut emit: impl FnMut(usize, f64)) {
        tile.each_row(|i, from, squared| {
            if i >= self.safe {
                return;
            }
            let skipped = self.safe.saturating_sub(from);
            for (j, &squared) in (from..).zip(squared).skip(skipped) {
                let angle = match self.lambda {
                    0.0 => 0.0,
                    lambda => lambda * self.cosine_distance(i, j, squared),
                };
                emit(0, times_power_of_two(squared, 2 * self.exponent) + angle);
            }
        });
    }
}
