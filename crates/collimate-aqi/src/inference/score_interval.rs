//! The score interval: inverting a test whose variance follows the effect.

use super::geometry::{Geometry, deviation_sums};
use super::interval::t_quantile;
use super::jackknife::Replicates;
use super::trace_products::UnitVectors;
use super::units::Units;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::moments::Moments;
use crate::sample::Sample;
use ndarray::{Array2, Axis, Slice};
use rayon::prelude::*;

/// The signal ratio `φ = B̄_u / W̄ = ρ/(1−ρ)` of some classes, and how its estimate varies.
///
/// The variance of `φ̂` has a part that stays without an effect, `V₀ = 2Q/W̄²`, and one that
/// grows with it. The jackknife's variance counts the first twice (Efron & Stein 1981), so
/// that `V_lin = V_J − 2V₀` is the second. As a function of `φ` it is taken to be `s·φ`, with a
/// slope that is shrunk towards the one that the effect's direction implies,
/// `λ = L/(B̄·W̄)`, where `φ̂` is small against its own error at no effect.
pub(crate) struct Signal {
    phi: f64,
    /// `V₀`.
    null_variance: f64,
    /// `V_lin`.
    linear_variance: f64,
    /// `s`.
    slope: f64,
    degrees_of_freedom: f64,
}

impl Signal {
    pub(crate) fn new<F: Element>(
        sample: &Sample<'_, F>,
        moments: &Moments,
        geometry: &Geometry,
        classes: &[usize],
    ) -> Result<Self> {
        let chosen = geometry.whole().select(classes);
        let (between, within) = chosen.balanced_variances()?;
        let strata = strata(geometry, classes);
        if let Some(small) = strata.iter().position(|units| units.len() < 3) {
            let class = chosen.names[small].clone();
            return Err(AqiError::NeedThreePerClass { class });
        }
        let views: Vec<&[usize]> = strata.iter().map(Vec::as_slice).collect();
        let replicates = Replicates::new(geometry, &views, |rest| signal(&rest.select(classes)))?;
        let degrees_of_freedom = replicates.degrees_of_freedom();
        if within == 0.0 {
            let phi = f64::INFINITY;
            let (null_variance, linear_variance, slope) = (0.0, 0.0, 0.0);
            return Ok(Self { phi, null_variance, linear_variance, slope, degrees_of_freedom });
        }
        let phi = between / within;
        let vectors = UnitVectors {
            strata: unit_vectors(sample, moments, geometry, classes),
            negative_from: usize::MAX,
        };
        let quadratic = vectors.trace_products().quadratic_variance();
        let null_variance = 2.0 * quadratic / (within * within);
        let linear_variance = (replicates.variance() - 2.0 * null_variance).max(0.0);
        let null_error = null_variance.sqrt();
        let lambda = direction_variance(geometry, &chosen, classes, &strata) / within;
        let weight = 2.0 * null_error;
        let denominator = phi.max(0.0) + weight;
        let slope = if denominator > 0.0 {
            (linear_variance + 2.0 * weight * lambda) / denominator
        } else {
            0.0
        };
        Ok(Self { phi, null_variance, linear_variance, slope, degrees_of_freedom })
    }

    /// Standard error of `ρ`, from that of `φ` by `dρ/dφ = (1 + φ)⁻²`.
    pub(crate) fn standard_error(&self) -> f64 {
        (self.linear_variance + self.null_variance).sqrt() / (1.0 + self.phi).powi(2)
    }

    /// All `ρ` whose `φ` satisfies `(φ̂ − φ)² ≤ q² (V₀ + s·max(φ, 0))`, with Student's `q`.
    pub(crate) fn interval(&self, level: f64) -> Result<(f64, f64)> {
        let q = t_quantile(level, self.degrees_of_freedom)?;
        let phi = self.phi;
        if phi == f64::INFINITY {
            return Ok((1.0, 1.0));
        }
        let reach = q * self.null_variance.sqrt();
        let lean = q * q * self.slope / 2.0;
        let root = (lean * lean + q * q * (self.null_variance + self.slope * phi)).max(0.0).sqrt();
        let lower = if phi <= reach { phi - reach } else { phi + lean - root };
        let upper = if phi <= -reach { phi + reach } else { phi + lean + root };
        let rho = |phi: f64| if phi > -1.0 { phi / (1.0 + phi) } else { f64::NEG_INFINITY };
        Ok((rho(lower), rho(upper)))
    }
}

/// `φ = B̄_u / W̄`; infinite, or zero without any variance, where `W̄ = 0`.
fn signal(dispersion: &Dispersion) -> Result<f64> {
    let (between, within) = dispersion.balanced_variances()?;
    Ok(if within > 0.0 {
        between / within
    } else if between > 0.0 {
        f64::MAX
    } else {
        0.0
    })
}

/// The units of each of some classes, or all units that have rows of one of them where groups
/// span classes.
pub(super) fn strata(geometry: &Geometry, classes: &[usize]) -> Vec<Vec<usize>> {
    if geometry.nested() {
        return classes.iter().map(|&c| geometry.strata()[c].clone()).collect();
    }
    let concerned =
        |unit: &usize| geometry.units()[*unit].iter().any(|part| classes.contains(&part.class));
    vec![(0..geometry.units().len()).filter(concerned).collect()]
}

/// The vector of each unit in each stratum: `u_g = s_g/n_c`, or, where groups span classes, its
/// contributions to all centroids less their mean, side by side, over `√k`.
pub(super) fn unit_vectors<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    geometry: &Geometry,
    classes: &[usize],
) -> Vec<Array2<f64>> {
    let units = Units::new(sample.labels, sample.groups);
    let k = classes.len();
    let (dim, sizes) = (moments.dim, &geometry.whole().sizes);
    let width = if geometry.nested() { dim } else { k * dim };
    let fill = |unit: usize, mut vector: ndarray::ArrayViewMut1<'_, f64>| {
        for part in deviation_sums(sample, moments, &units.rows()[unit]) {
            let Some(at) = classes.iter().position(|&class| class == part.class) else {
                continue;
            };
            let at = if geometry.nested() { 0 } else { at * dim };
            for (value, s) in vector.iter_mut().skip(at).zip(&part.sum) {
                *value = s / sizes[part.class];
            }
        }
        if !geometry.nested() {
            let root = (k as f64).sqrt();
            for j in 0..dim {
                let column = Slice::new(j as isize, None, dim as isize);
                let mut over_classes = vector.slice_axis_mut(Axis(0), column);
                let mean = over_classes.sum() / k as f64;
                over_classes.mapv_inplace(|value| (value - mean) / root);
            }
        }
    };
    strata(geometry, classes)
        .iter()
        .map(|stratum| {
            let mut vectors = Array2::zeros((stratum.len(), width));
            vectors
                .axis_iter_mut(Axis(0))
                .into_par_iter()
                .zip(stratum)
                .for_each(|(vector, &unit)| fill(unit, vector));
            vectors
        })
        .collect()
}

/// `L / B̄`, the variance of the centroids along the effect relative to the effect:
/// `L = (4/k²) Σ_c G_c/(G_c−1) Σ_g (u_g · m_c)²`, where `m_c` is the centroid of class `c` less
/// the mean centroid and `B̄ = (1/k²) Σ_{a<b} δ²_ab`. Zero without an effect.
fn direction_variance(
    geometry: &Geometry,
    chosen: &Dispersion,
    classes: &[usize],
    strata: &[Vec<usize>],
) -> f64 {
    let k = classes.len() as f64;
    let between: f64 = chosen.pair_indices().map(|(a, b)| chosen.gap(a, b)).sum::<f64>() / (k * k);
    if between == 0.0 {
        return 0.0;
    }
    let along = |&unit: &usize| -> f64 {
        let parts = geometry.units()[unit].iter().filter(|part| classes.contains(&part.class));
        parts
            .map(|part| {
                let projection: f64 = classes.iter().map(|&b| part.projections[b]).sum();
                projection / (k * geometry.whole().sizes[part.class])
            })
            .sum()
    };
    let variance = |units: &Vec<usize>| {
        let values: Vec<f64> = units.iter().map(along).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        squares * count / (count - 1.0)
    };
    4.0 / (k * k) * strata.iter().map(variance).sum::<f64>() / between
}
