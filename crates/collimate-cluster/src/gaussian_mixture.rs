//! linfa's Gaussian mixture, in units in which its densities neither overflow nor vanish.

use crate::clusters::{Clusters, by_first_row};
use crate::error::{ClusterError, Result};
use crate::json;
use crate::spread::{Spread, times_power_of_two};
use collimate_aqi::{Element, FuzzySettings, FuzzyXieBeni, fuzzy_xie_beni};
use linfa::traits::Fit;
use linfa::{DatasetBase, Float, ParamGuard};
use linfa_clustering::GaussianMixtureModel;
use ndarray::{Array2, ArrayView2, Axis};
use ndarray_linfa as linfa_nd;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde::Serialize;
use std::f64::consts::{LN_2, PI};

/// `ln √(2πe)`: the entropy of a normal of variance 1 is this; one narrower by `√(2πe)` has
/// entropy zero, hence densities around one in any number of dimensions.
const ENTROPY: f64 = 1.418_938_533_204_672_7;

/// Settings of a mixture of Gaussians with full covariances.
///
/// A full covariance of each component needs more rows than dimensions, `n ≥ k·(d + 1)`;
/// activations must as a rule be projected to a few principal components first.
///
/// ```
/// use collimate_cluster::GaussianMixture;
/// let rows = ndarray::array![[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]];
/// let fit = GaussianMixture::new(2).fit(rows.view())?;
/// assert!((fit.weights[0] - 0.5).abs() < 1e-6);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GaussianMixture {
    n_components: usize,
    n_runs: u64,
    tolerance: f64,
    max_iterations: u64,
    covariance_floor: f64,
    seed: u64,
}

/// The mixture that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GaussianMixtureFit {
    /// The most probable component of each row. Components are numbered in order of the first row
    /// that each is the most probable for; those that are nobody's come last.
    pub clusters: Clusters,
    /// Probability of each component given the row, `[n, k]`; rows sum to 1.
    #[serde(serialize_with = "json::matrix")]
    pub responsibilities: Array2<f64>,
    /// Share of each component, `[k]`.
    pub weights: Vec<f64>,
    /// Mean of each component, `[k, d]`.
    #[serde(serialize_with = "json::matrix")]
    pub means: Array2<f64>,
    /// Mean log-density of a row, in nats, in the rows' units.
    pub log_likelihood: f64,
    /// Runs that failed; at least one did not.
    pub failed_runs: u64,
    /// The settings.
    pub settings: GaussianMixture,
}

impl Default for GaussianMixture {
    /// Two components.
    fn default() -> Self {
        Self::new(2)
    }
}

impl GaussianMixture {
    /// `n_components` components; one run from k-means with seed 0, at most 100 iterations, until
    /// the mean log-density gains less than `1e-3` nats; covariance floor `1e-6`.
    #[must_use]
    pub fn new(n_components: usize) -> Self {
        Self {
            n_components,
            n_runs: 1,
            tolerance: 1e-3,
            max_iterations: 100,
            covariance_floor: 1e-6,
            seed: 0,
        }
    }

    /// How many starts are tried, with seeds `seed`, `seed + 1`, …; the one of greatest
    /// likelihood is kept. Default 1.
    #[must_use]
    pub fn with_n_runs(mut self, n_runs: u64) -> Self {
        self.n_runs = n_runs;
        self
    }

    /// The gain in mean log-density, in nats, below which a run stops. Default `1e-3`.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Most iterations of a run; one that needs more fails. Default 100.
    #[must_use]
    pub fn with_max_iterations(mut self, max_iterations: u64) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// What is added to the diagonal of each covariance, as a share of the mean variance of a
    /// dimension. Default `1e-6`.
    #[must_use]
    pub fn with_covariance_floor(mut self, covariance_floor: f64) -> Self {
        self.covariance_floor = covariance_floor;
        self
    }

    /// Seed of the first start. Default 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Fits the mixture to `rows`, `[n, d]`.
    ///
    /// linfa sums densities, not their logarithms, so rows are copied to `f64`, centred, and
    /// scaled to densities around one; a row whose density vanishes even so under every component
    /// is an error, not a NaN. The result is in the units of the rows.
    ///
    /// # Errors
    /// [`ClusterError::Parameter`]; [`ClusterError::SingularCovariance`] if `n < k·(d + 1)`;
    /// [`ClusterError::Algorithm`] if every run failed, with the last error;
    /// [`ClusterError::Aqi`] for rows that are not finite or all identical.
    pub fn fit<F: Element + Float>(&self, rows: ArrayView2<'_, F>) -> Result<GaussianMixtureFit> {
        self.check()?;
        let spread = Spread::of(rows)?;
        let (n, d) = (spread.len(), spread.dim());
        if n / self.n_components < d + 1 {
            return Err(ClusterError::SingularCovariance {
                rows: n,
                dim: d,
                components: self.n_components,
                largest_dim: (n / self.n_components).saturating_sub(1),
            });
        }
        let units = Units::of(&spread);
        let dataset = DatasetBase::from(units.apply(&spread));
        let mut best: Option<Run> = None;
        let mut failed_runs = 0;
        let mut failure = None;
        for run in 0..self.n_runs {
            let seed = self.seed.wrapping_add(run);
            match self.run(&dataset, seed) {
                Ok(run)
                    if best
                        .as_ref()
                        .is_none_or(|best| run.log_likelihood > best.log_likelihood) =>
                {
                    best = Some(run);
                }
                Ok(_) => {}
                Err(source) => {
                    failed_runs += 1;
                    failure = Some((seed, source));
                }
            }
        }
        match (best, failure) {
            (Some(run), _) => Ok(self.result(&run, &units, failed_runs)),
            (None, Some((seed, source))) => Err(ClusterError::Algorithm {
                algorithm: "Gaussian mixture",
                rows: n,
                dim: d,
                seed,
                source,
            }),
            (None, None) => Err(ClusterError::parameter("n_runs", self.n_runs, "at least 1")),
        }
    }

    fn check(&self) -> Result<()> {
        let positive = |name, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(ClusterError::parameter(name, value, "a positive number"))
            }
        };
        let counts = [("n_runs", self.n_runs), ("max_iterations", self.max_iterations)];
        if self.n_components < 2 {
            return Err(ClusterError::parameter("n_components", self.n_components, "at least 2"));
        }
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ClusterError::parameter(name, 0, "at least 1"));
        }
        positive("tolerance", self.tolerance)?;
        positive("covariance_floor", self.covariance_floor)
    }

    fn result(&self, run: &Run, units: &Units, failed_runs: u64) -> GaussianMixtureFit {
        let rows = run.responsibilities.rows();
        let assignments: Vec<usize> = rows.into_iter().map(most_probable).collect();
        let order = by_first_row(&assignments, self.n_components);
        let responsibilities = run.responsibilities.select(Axis(1), &order);
        let rows = responsibilities.rows();
        GaussianMixtureFit {
            clusters: Clusters::new(rows.into_iter().map(most_probable)),
            weights: order.iter().map(|&k| run.model.weights()[k]).collect(),
            means: units.undo(run.model.means()).select(Axis(0), &order),
            log_likelihood: run.log_likelihood - units.mean.len() as f64 * units.ln(),
            responsibilities,
            failed_runs,
            settings: *self,
        }
    }

    /// One start, in the units of `dataset`.
    fn run(
        &self,
        dataset: &DatasetBase<linfa_nd::Array2<f64>, linfa_nd::Array1<()>>,
        seed: u64,
    ) -> Result<Run, Box<dyn std::error::Error + Send + Sync>> {
        let model = GaussianMixtureModel::params_with_rng(
            self.n_components,
            Xoshiro256PlusPlus::seed_from_u64(seed),
        )
        .tolerance(self.tolerance)
        .max_n_iterations(self.max_iterations)
        .reg_covariance(self.covariance_floor * (-2.0 * ENTROPY).exp())
        .check()?
        .fit(dataset)?;
        let (log_likelihood, responsibilities) = expectation(&model, dataset.records())
            .ok_or("a covariance of the fitted mixture is not positive definite")?;
        Ok(Run { log_likelihood, responsibilities, model })
    }
}

impl GaussianMixtureFit {
    /// Xie-Beni of `rows`, `[n, d]`, with the responsibilities as fuzzy memberships
    /// ([`collimate_aqi::fuzzy_xie_beni`]): lower is better. The rows may be those that were
    /// clustered or the same rows in other coordinates, for example before a projection.
    ///
    /// # Errors
    /// [`ClusterError::Aqi`] with those of that function.
    pub fn fuzzy_xie_beni<F: Element>(
        &self,
        rows: ArrayView2<'_, F>,
        settings: &FuzzySettings,
    ) -> Result<FuzzyXieBeni> {
        Ok(fuzzy_xie_beni(rows, self.responsibilities.view(), settings)?)
    }

    /// Bayesian information criterion, `p ln n − 2 n · log-likelihood` with
    /// `p = k − 1 + k d + k d (d + 1)/2` free parameters (Schwarz 1978): lower is better.
    #[must_use]
    pub fn bic(&self) -> f64 {
        let (k, d) = self.means.dim();
        let parameters = k - 1 + k * d + k * d * (d + 1) / 2;
        let n = self.responsibilities.nrows() as f64;
        parameters as f64 * n.ln() - 2.0 * n * self.log_likelihood
    }
}

/// What one start led to.
#[derive(Debug)]
struct Run {
    log_likelihood: f64,
    responsibilities: Array2<f64>,
    model: GaussianMixtureModel<f64>,
}

/// An affine map to densities around one: `(x·2^−power − mean) / unit`.
struct Units {
    power: i32,
    mean: Vec<f64>,
    unit: f64,
}

impl Units {
    fn of<F: Element + Float>(spread: &Spread<'_, F>) -> Self {
        let deviation = (spread.variance / spread.dim() as f64).sqrt();
        Self { power: spread.power, mean: spread.mean.clone(), unit: deviation * ENTROPY.exp() }
    }

    fn apply<F: Element + Float>(&self, spread: &Spread<'_, F>) -> linfa_nd::Array2<f64> {
        linfa_nd::Array2::from_shape_fn((spread.len(), spread.dim()), |(i, j)| {
            (Element::to_f64(spread.rows[(i, j)]) - self.mean[j]) / self.unit
        })
    }

    fn undo(&self, points: &linfa_nd::Array2<f64>) -> Array2<f64> {
        Array2::from_shape_fn(points.dim(), |(i, j)| {
            times_power_of_two(points[(i, j)] * self.unit + self.mean[j], self.power)
        })
    }

    /// `ln(unit · 2^power)`.
    fn ln(&self) -> f64 {
        self.unit.ln() + f64::from(self.power) * LN_2
    }
}

/// Mean log-density and responsibilities, by sums of exponentials that cannot underflow.
fn expectation(
    model: &GaussianMixtureModel<f64>,
    rows: &linfa_nd::Array2<f64>,
) -> Option<(f64, Array2<f64>)> {
    let (n, d) = rows.dim();
    let factors: Vec<Vec<f64>> = model
        .covariances()
        .outer_iter()
        .map(|covariance| cholesky(&covariance.iter().copied().collect::<Vec<_>>(), d))
        .collect::<Option<_>>()?;
    let constants: Vec<f64> = factors
        .iter()
        .zip(model.weights())
        .map(|(factor, weight)| {
            let half_log_determinant: f64 = (0..d).map(|j| factor[j * d + j].ln()).sum();
            weight.ln() - 0.5 * d as f64 * (2.0 * PI).ln() - half_log_determinant
        })
        .collect();
    let mut responsibilities = Array2::zeros((n, factors.len()));
    let mut total = 0.0;
    let mut whitened = vec![0.0; d];
    for (row, mut out) in rows.rows().into_iter().zip(responsibilities.rows_mut()) {
        for (k, (factor, mean)) in factors.iter().zip(model.means().rows()).enumerate() {
            for i in 0..d {
                let known: f64 = (0..i).map(|j| factor[i * d + j] * whitened[j]).sum();
                whitened[i] = (row[i] - mean[i] - known) / factor[i * d + i];
            }
            out[k] = constants[k] - 0.5 * whitened.iter().map(|z| z * z).sum::<f64>();
        }
        let largest = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let density = largest + out.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
        if !density.is_finite() {
            return None;
        }
        out.mapv_inplace(|x| (x - density).exp());
        total += density;
    }
    Some((total / n as f64, responsibilities))
}

/// The lower triangle `L` of `L Lᵀ = matrix`, row-major; `None` if not positive definite.
fn cholesky(matrix: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let known: f64 = (0..j).map(|m| factor[i * d + m] * factor[j * d + m]).sum();
            let rest = matrix[i * d + j] - known;
            factor[i * d + j] = if i == j {
                if rest.is_nan() || rest <= 0.0 {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / factor[j * d + j]
            };
        }
    }
    Some(factor)
}

/// Index of the largest responsibility, the first of equals.
fn most_probable(row: ndarray::ArrayView1<'_, f64>) -> usize {
    let mut best = 0;
    for (k, &p) in row.iter().enumerate() {
        if p > row[best] {
            best = k;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entropy_unit_is_that_of_a_normal() {
        assert!((ENTROPY - 0.5 * (2.0 * PI * std::f64::consts::E).ln()).abs() < 1e-15);
    }

    #[test]
    fn responsibilities_are_those_of_linfa() {
        let rows = linfa_nd::Array2::from_shape_fn((60, 2), |(i, j)| {
            f64::from(((i * 37 + j * 61 + i * j * 13) % 50) as u32) / 50.0
                + if i % 3 == 0 { 0.8 } else { 0.0 }
        });
        let dataset = DatasetBase::from(rows);
        let run = GaussianMixture::new(2).run(&dataset, 0).unwrap();
        let theirs = run.model.predict_proba(dataset.records());
        for (a, b) in run.responsibilities.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert_eq!(cholesky(&[1.0, 2.0, 2.0, 1.0], 2), None);
        assert_eq!(cholesky(&[4.0, 2.0, 2.0, 5.0], 2), Some(vec![2.0, 0.0, 1.0, 2.0]));
    }
}
