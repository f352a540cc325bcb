//! linfa's k-means, checked before and measured after.

use crate::clusters::{Clusters, by_first_row};
use crate::error::{ClusterError, Result};
use crate::json;
use crate::spread::{Spread, squared_distance, times_power_of_two};
use collimate_aqi::{Element, Labels, Moments};
use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, Float, ParamGuard};
use linfa_clustering::KMeansInit;
use ndarray::{Array2, ArrayView2};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde::Serialize;

/// Settings of k-means.
///
/// ```
/// use collimate_cluster::KMeans;
/// let rows = ndarray::array![[0.0], [2.0], [10.0], [12.0]];
/// let fit = KMeans::new(2).fit(rows.view())?;
/// assert_eq!(fit.inertia, 4.0);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KMeans {
    n_clusters: usize,
    n_runs: usize,
    tolerance: f64,
    max_iterations: u64,
    initialization: Initialization,
    seed: u64,
}

/// Where k-means starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Initialization {
    /// Rows drawn in proportion to their squared distance to those already drawn (k-means++,
    /// Arthur & Vassilvitskii 2007). The default.
    #[default]
    PlusPlus,
    /// Distinct rows drawn uniformly.
    Random,
}

/// What k-means found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KMeansFit {
    /// The cluster of each row, numbered from zero in order of first rows; each cluster has rows.
    pub clusters: Clusters,
    /// Means of the clusters, `[k, d]`, accumulated in `f64`.
    #[serde(serialize_with = "json::matrix")]
    pub centroids: Array2<f64>,
    /// Sum of squared distances of rows to their centroids, in squared units of the rows; `+∞`
    /// beyond `f64`.
    #[serde(serialize_with = "json::float")]
    pub inertia: f64,
    /// Share of the variance that the clusters explain, `η² = B / (B + W)`. Chosen to be large:
    /// not comparable with that of given labels.
    pub explained: f64,
    /// True if every row is closest to its own centroid: Lloyd's iteration would change nothing.
    pub converged: bool,
    /// The settings.
    pub settings: KMeans,
}

impl Default for KMeans {
    /// Two clusters, the safe and the unsafe one if all goes well.
    fn default() -> Self {
        Self::new(2)
    }
}

impl KMeans {
    /// `n_clusters` clusters; 10 runs from k-means++ with seed 0, at most 300 iterations each,
    /// until centroids move by less than `1e-4` of the rows' spread.
    #[must_use]
    pub fn new(n_clusters: usize) -> Self {
        Self {
            n_clusters,
            n_runs: 10,
            tolerance: 1e-4,
            max_iterations: 300,
            initialization: Initialization::default(),
            seed: 0,
        }
    }

    /// How many starts are tried; the one of least inertia is kept. Default 10.
    #[must_use]
    pub fn with_n_runs(mut self, n_runs: usize) -> Self {
        self.n_runs = n_runs;
        self
    }

    /// The movement of centroids, as a share of the root mean squared distance of rows to their
    /// mean, below which a run stops. Default `1e-4`.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Most iterations of a run. Default 300.
    #[must_use]
    pub fn with_max_iterations(mut self, max_iterations: u64) -> Self {
        self.max_iterations = max_iterations;
        self
    }

    /// Where runs start. Default [`Initialization::PlusPlus`].
    #[must_use]
    pub fn with_initialization(mut self, initialization: Initialization) -> Self {
        self.initialization = initialization;
        self
    }

    /// Seed of the starts. Default 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Clusters `rows`, `[n, d]`, borrowed where they are contiguous.
    ///
    /// linfa iterates in the rows' own float type; centroids and inertia are then computed from
    /// its assignments in `f64`.
    ///
    /// # Errors
    /// [`ClusterError::Parameter`], [`ClusterError::TooFewRows`] for less than one row for each
    /// cluster, [`ClusterError::EmptyCluster`], [`ClusterError::Algorithm`];
    /// [`ClusterError::Aqi`] for rows that are not finite or all identical.
    pub fn fit<F: Element + Float>(&self, rows: ArrayView2<'_, F>) -> Result<KMeansFit> {
        self.check()?;
        let spread = Spread::of(rows)?;
        if spread.len() < self.n_clusters {
            return Err(ClusterError::TooFewRows {
                algorithm: "k-means",
                rows: spread.len(),
                needed: self.n_clusters,
            });
        }
        let mut assignments = self.assign(&spread)?;
        let order = by_first_row(&assignments, self.n_clusters);
        for id in &mut assignments {
            *id = order.iter().position(|old| old == id).unwrap_or(*id);
        }
        let clusters = Clusters::new(assignments.iter().copied());
        if clusters.count() < self.n_clusters {
            return Err(ClusterError::EmptyCluster {
                wanted: self.n_clusters,
                occupied: clusters.count(),
            });
        }
        let moments = Moments::from_rows(rows, &Labels::new(&assignments)?)?;
        let means: Vec<f64> =
            (0..self.n_clusters).filter_map(|cluster| moments.mean(cluster)).flatten().collect();
        let mut centroids = Array2::zeros((self.n_clusters, spread.dim()));
        centroids.iter_mut().zip(means).for_each(|(c, m)| *c = m);
        let (inertia, converged) = measure(&spread, &assignments, &centroids);
        Ok(KMeansFit {
            clusters,
            centroids,
            inertia,
            explained: moments.dispersion()?.eta_squared(),
            converged,
            settings: *self,
        })
    }

    fn check(&self) -> Result<()> {
        let at_least_one = "at least 1";
        if self.n_clusters < 2 {
            return Err(ClusterError::parameter("n_clusters", self.n_clusters, "at least 2"));
        }
        if self.n_runs == 0 {
            return Err(ClusterError::parameter("n_runs", 0, at_least_one));
        }
        if self.max_iterations == 0 {
            return Err(ClusterError::parameter("max_iterations", 0, at_least_one));
        }
        if !(self.tolerance.is_finite() && self.tolerance > 0.0) {
            return Err(ClusterError::parameter("tolerance", self.tolerance, "a positive number"));
        }
        Ok(())
    }

    /// The clusters that linfa finds.
    fn assign<F: Element + Float>(&self, spread: &Spread<'_, F>) -> Result<Vec<usize>> {
        let view = spread.rows.view();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Algorithm {
            algorithm: "k-means",
            rows: spread.len(),
            dim: spread.dim(),
            seed: self.seed,
            source,
        };
        // The smallest positive number, so that no tolerance becomes zero in single precision.
        let tolerance =
            F::cast(self.tolerance * spread.variance.sqrt()).max(F::min_positive_value());
        let model = linfa_clustering::KMeans::params_with_rng(
            self.n_clusters,
            Xoshiro256PlusPlus::seed_from_u64(self.seed),
        )
        .n_runs(self.n_runs)
        .tolerance(tolerance)
        .max_n_iterations(self.max_iterations)
        .init_method(match self.initialization {
            Initialization::PlusPlus => KMeansInit::KMeansPlusPlus,
            Initialization::Random => KMeansInit::Random,
        })
        .check()
        .map_err(|error| failed(error.into()))?
        .fit(&DatasetBase::from(view))
        .map_err(|error| failed(error.into()))?;
        Ok(model.predict(&view).to_vec())
    }
}

/// Inertia, and whether each row is closest to its own centroid.
fn measure<F: Element + Float>(
    spread: &Spread<'_, F>,
    assignments: &[usize],
    centroids: &Array2<f64>,
) -> (f64, bool) {
    let centroids: Vec<Vec<f64>> = centroids
        .rows()
        .into_iter()
        .map(|row| row.iter().map(|&x| times_power_of_two(x, -spread.power)).collect())
        .collect();
    let (mut inertia, mut converged) = (0.0, true);
    for (row, &own) in spread.rows.rows().into_iter().zip(assignments) {
        let distances: Vec<f64> = centroids
            .iter()
            .map(|centroid| squared_distance(row.iter().map(|&x| Element::to_f64(x)), centroid))
            .collect();
        inertia += distances[own];
        // Rounding may place a row on either side of a border.
        let slack = 1.0 + 64.0 * Element::to_f64(F::epsilon());
        converged &= distances.iter().all(|&other| distances[own] <= other * slack);
    }
    (times_power_of_two(inertia, 2 * spread.power), converged)
}
