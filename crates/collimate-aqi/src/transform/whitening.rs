//! Whitening with a shrunk covariance, in as many dimensions as the smaller of `n` and `d`.

use super::Shrinkage;
use super::scaling::mean;
use crate::error::{AqiError, Result};
use crate::linalg::{cholesky, gram, power_of_two_near, solve_lower, solve_lower_transposed};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Rows whitened by one task.
const TILE_ROWS: usize = 256;

/// With no more rows than dimensions, less shrinkage than this leaves a singular covariance.
const LEAST_SHRINKAGE: f64 = 1e-12;

/// A fitted whitening `x ↦ (x − mean) R` with `R R' = Σ⁻¹`, `Σ = (1−γ) S + γ μ I`,
/// `S = X'X / n` of the centred rows and `μ = tr S / d`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Whitening {
    pub(super) mean: Array1<f64>,
    /// Deviations are divided by this power of two, so that their squares stay in range.
    pub(super) unit: f64,
    pub(super) shrinkage: f64,
    pub(super) root: Root,
}

/// The inverse square root of `Σ`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Root {
    /// `R = L'⁻¹` with `Σ = L L'`, `[d, d]`: where rows outnumber dimensions.
    Columns {
        /// The Cholesky factor.
        factor: Array2<f64>,
    },
    /// `R = (I − c X' K X) / √b` with `Σ = b (I + c X'X)`, `I + c X X' = L L'`, `[n, n]`, and
    /// `K = L'⁻¹ (I + L)⁻¹`: the square root of Andrews (1968), "A square root formulation of the
    /// Kalman covariance equations", which needs no `d × d` matrix.
    Rows {
        /// The centred rows `X`, `[n, d]`.
        rows: Array2<f64>,
        /// `c K X`, `[n, d]`.
        weighted: Array2<f64>,
        /// `b = γ μ`.
        floor: f64,
    },
}

impl Whitening {
    /// # Errors
    /// [`AqiError::DegenerateData`] if all rows are equal; [`AqiError::Parameter`] for no
    /// shrinkage where rows don't outnumber dimensions; [`AqiError::NotPositiveDefinite`] where
    /// the covariance is singular nonetheless.
    pub(super) fn fit(rows: &Array2<f64>, shrinkage: Shrinkage) -> Result<Self> {
        let (n, d) = rows.dim();
        let mean = mean(rows);
        let mut x = rows - &mean;
        let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        if largest == 0.0 {
            return Err(AqiError::DegenerateData);
        }
        let unit = power_of_two_near(largest);
        x.mapv_inplace(|x| x / unit);
        let products = if n < d { gram(x.view()) } else { gram(x.t()) };
        let variance = products.diag().sum() / (n as f64 * d as f64);
        let shrinkage = match shrinkage {
            Shrinkage::Fixed(intensity) => intensity,
            Shrinkage::LedoitWolf => ledoit_wolf(&x, &products),
        };
        if shrinkage < LEAST_SHRINKAGE && n <= d {
            return Err(AqiError::parameter(
                "shrinkage",
                shrinkage,
                "more than zero where rows do not outnumber dimensions",
            ));
        }
        let root = if n < d {
            rows_root(x, products, shrinkage, variance)?
        } else {
            let mut covariance = products * ((1.0 - shrinkage) / n as f64);
            covariance.diag_mut().mapv_inplace(|x| x + shrinkage * variance);
            Root::Columns { factor: cholesky(&covariance)? }
        };
        Ok(Self { mean, unit, shrinkage, root })
    }

    pub(super) fn apply(&self, rows: &Array2<f64>) -> Array2<f64> {
        let mut out = (rows - &self.mean) / self.unit;
        out.axis_chunks_iter_mut(Axis(0), TILE_ROWS).par_bridge().for_each(|mut tile| match &self
            .root
        {
            Root::Columns { factor } => {
                let mut columns = tile.t().as_standard_layout().into_owned();
                solve_lower(factor, columns.view_mut());
                tile.assign(&columns.t());
            }
            Root::Rows { rows, weighted, floor } => {
                let removed = tile.dot(&rows.t()).dot(weighted);
                tile -= &removed;
                tile.mapv_inplace(|x| x / floor.sqrt());
            }
        });
        out
    }
}

/// `products` is `X X'`.
fn rows_root(x: Array2<f64>, products: Array2<f64>, shrinkage: f64, variance: f64) -> Result<Root> {
    let floor = shrinkage * variance;
    let c = (1.0 - shrinkage) / (x.nrows() as f64 * floor);
    let mut inner = products * c;
    inner.diag_mut().mapv_inplace(|x| x + 1.0);
    let factor = cholesky(&inner)?;
    let mut shifted = factor.clone();
    shifted.diag_mut().mapv_inplace(|x| x + 1.0);
    let mut weighted = &x * c;
    solve_lower(&shifted, weighted.view_mut());
    solve_lower_transposed(&factor, weighted.view_mut());
    Ok(Root::Rows { rows: x, weighted, floor })
}

/// Shrinkage intensity of Ledoit & Wolf (2004) for centred rows `x`, `[n, d]`, from whichever of
/// `X X'` and `X' X` is smaller: both have the same sum of squares.
///
/// `γ = min(β, δ) / δ` with `δ = ‖S − μI‖²` and `β = Σ_i ‖x_i x_i' − S‖² / n²`.
fn ledoit_wolf(x: &Array2<f64>, products: &Array2<f64>) -> f64 {
    let (n, d) = (x.nrows() as f64, x.ncols() as f64);
    let squares = |a: ArrayView2<'_, f64>| a.iter().map(|x| x * x).sum::<f64>();
    let sample = squares(products.view()) / (n * n);
    let trace = products.diag().sum() / n;
    let delta = sample - trace * trace / d;
    let fourth: f64 = x.rows().into_iter().map(|row| row.dot(&row).powi(2)).sum();
    let beta = (fourth / n - sample) / n;
    // In one dimension, or where S is a multiple of the identity, there is nothing to shrink.
    if x.ncols() == 1 || delta <= f64::EPSILON * sample {
        0.0
    } else {
        (beta / delta).clamp(0.0, 1.0)
    }
}
