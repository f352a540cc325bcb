//! The bootstrap of `ρ`: rows, or groups, drawn anew within each class.

use super::geometry::Geometry;
use super::space::Space;
use super::units::Units;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::moments::Moments;
use crate::quantile::sorted_quantile;
use crate::rng::Stream;
use crate::sample::Sample;
use ndarray::Array2;
use rayon::prelude::*;

/// Resamples per matrix product.
const BATCH: usize = 32;

/// `ρ_global` of each resample, ascending.
pub(crate) struct Resamples(Vec<f64>);

impl Resamples {
    fn standard_error(&self) -> f64 {
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        (self.0.iter().map(|rho| (rho - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt()
    }

    /// Standard error and percentiles.
    pub(crate) fn percentile(&self, level: f64) -> Result<(f64, f64, f64)> {
        if !(level > 0.0 && level < 1.0) {
            return Err(AqiError::parameter("level", level, "a number between 0 and 1"));
        }
        let tail = (1.0 - level) / 2.0;
        let ends = (sorted_quantile(&self.0, tail), sorted_quantile(&self.0, 1.0 - tail));
        Ok((self.standard_error(), ends.0, ends.1))
    }

    /// Standard error and percentiles, shifted so that the resamples' mean is the estimate.
    pub(crate) fn centered(&self, estimate: f64, level: f64) -> Result<(f64, f64, f64)> {
        let shift = estimate - self.0.iter().sum::<f64>() / self.0.len() as f64;
        let (error, lower, upper) = self.percentile(level)?;
        Ok((error, lower + shift, upper + shift))
    }
}

/// A set of rows of one unit and class.
struct Cell {
    class: usize,
    unit: usize,
    rows: Vec<usize>,
}

/// Draws units with replacement within each stratum and computes `ρ_global` of the rows drawn,
/// less the bias of independent rows.
pub(crate) fn resample<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    geometry: &Geometry,
    resamples: usize,
    seed: u64,
) -> Result<Resamples> {
    if resamples < 2 {
        return Err(AqiError::parameter("resamples", resamples, "at least 2"));
    }
    let units = Units::new(sample.labels, sample.groups);
    let k = sample.labels.class_count();
    let codes = sample.labels.codes();
    let mut cells = Vec::new();
    for (unit, rows) in units.rows().iter().enumerate() {
        for class in 0..k {
            let rows: Vec<usize> = rows.iter().copied().filter(|&r| codes[r] == class).collect();
            if !rows.is_empty() {
                cells.push(Cell { class, unit, rows });
            }
        }
    }
    let rows: Vec<Vec<usize>> = cells.iter().map(|cell| cell.rows.clone()).collect();
    let (space, squares) = Space::with_squares(sample, moments, &rows)?;
    let names = &geometry.whole().names;
    let batch = |batch: usize| -> Result<Vec<f64>> {
        let draws = batch * BATCH..((batch + 1) * BATCH).min(resamples);
        let times: Vec<Vec<u32>> =
            draws.map(|draw| drawn(geometry, &mut Stream::new(seed, draw as u64))).collect();
        let mut weights = Array2::zeros((times.len() * k, cells.len()));
        for (i, times) in times.iter().enumerate() {
            for (j, cell) in cells.iter().enumerate() {
                weights[[i * k + cell.class, j]] = f64::from(times[cell.unit]);
            }
        }
        let products = space.inner_products(&weights, k);
        times
            .iter()
            .zip(&products)
            .map(|(times, products)| {
                let (mut sizes, mut m2) = (vec![0.0; k], vec![0.0; k]);
                for (cell, square) in cells.iter().zip(&squares) {
                    let weight = f64::from(times[cell.unit]);
                    sizes[cell.class] += weight * cell.rows.len() as f64;
                    m2[cell.class] += weight * square;
                }
                rho(names, sizes, m2, products)
            })
            .collect()
    };
    let batches: Vec<Result<Vec<f64>>> =
        (0..resamples.div_ceil(BATCH)).into_par_iter().map(batch).collect();
    let mut values = Vec::with_capacity(resamples);
    for batch in batches {
        values.extend(batch?);
    }
    values.sort_by(f64::total_cmp);
    Ok(Resamples(values))
}

/// How often each unit is drawn.
fn drawn(geometry: &Geometry, stream: &mut Stream) -> Vec<u32> {
    let mut times = vec![0; geometry.units().len()];
    for stratum in geometry.strata() {
        for _ in stratum {
            times[stratum[stream.below(stratum.len())]] += 1;
        }
    }
    times
}

/// `ρ_global` from the sums' inner products and the sums of squares, both about the grand mean.
/// A resample of a single point, or without two rows of a class, shows no separation: zero.
fn rho(names: &[String], sizes: Vec<f64>, squares: Vec<f64>, products: &[f64]) -> Result<f64> {
    let k = sizes.len();
    if sizes.iter().any(|&size| size < 2.0) {
        return Ok(0.0);
    }
    let product = |a: usize, b: usize| products[a * k + b] / (sizes[a] * sizes[b]);
    let mut gaps = vec![0.0; k * k];
    for a in 0..k {
        for b in (0..k).filter(|&b| b != a) {
            gaps[a * k + b] = (product(a, a) + product(b, b) - 2.0 * product(a, b)).max(0.0);
        }
    }
    let m2 = (0..k)
        .map(|c| {
            let m2 = squares[c] - sizes[c] * product(c, c);
            if m2 > 1e-14 * squares[c] { m2 } else { 0.0 }
        })
        .collect();
    let resample = Dispersion {
        names: names.to_vec(),
        effective: sizes.clone(),
        sizes,
        m2,
        gaps,
        centroid_covariance: None,
    };
    let (between, within) = resample.balanced_variances()?;
    Ok(if between + within > 0.0 { between / (between + within) } else { 0.0 })
}
