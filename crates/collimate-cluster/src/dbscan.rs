//! linfa's DBSCAN, with a radius that can be chosen by the data.

use crate::clusters::Clusters;
use crate::error::{ClusterError, Result};
use crate::json;
use crate::spread::{Spread, times_power_of_two};
use collimate_aqi::Element;
use linfa::traits::Transformer;
use linfa::{Float, ParamGuard};
use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::Serialize;

/// Settings of DBSCAN (Ester, Kriegel, Sander & Xu 1996).
///
/// A row with at least `min_points` rows, itself included, within `epsilon` is a core of a
/// cluster; rows within `epsilon` of a core belong to it; all others are noise. Nothing is random.
///
/// ```
/// use collimate_cluster::{Dbscan, Epsilon};
/// let rows = ndarray::array![[0.0], [1.0], [2.0], [10.0], [11.0], [12.0], [99.0]];
/// let fit = Dbscan::new(3).with_epsilon(Epsilon::Distance(1.5)).fit(rows.view())?;
/// assert_eq!(fit.clusters.count(), 2);
/// assert_eq!(fit.clusters.assignments()[6], None);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Dbscan {
    min_points: usize,
    epsilon: Epsilon,
}

/// The radius within which rows are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Epsilon {
    /// A Euclidean distance in the rows' units.
    Distance(f64),
    /// The quantile in `[0, 1]` ([`collimate_aqi::quantile`]) of the rows' distances to their
    /// `min_points`-th nearest row, themselves included: about that share of rows become cores.
    /// Needs all distances, `O(n² d)`.
    CoreQuantile(f64),
}

/// What DBSCAN found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DbscanFit {
    /// The cluster of each row, numbered from zero in order of first rows; `None` for noise.
    pub clusters: Clusters,
    /// The radius that was used; `+∞` beyond `f64`.
    #[serde(serialize_with = "json::float")]
    pub epsilon: f64,
    /// Number of noise rows.
    pub noise_rows: usize,
    /// The settings.
    pub settings: Dbscan,
}

impl Default for Dbscan {
    /// Five points.
    fn default() -> Self {
        Self::new(5)
    }
}

impl Default for Epsilon {
    /// [`Epsilon::CoreQuantile`] of 0.9.
    fn default() -> Self {
        Self::CoreQuantile(0.9)
    }
}

impl Dbscan {
    /// Cores need `min_points` rows, at least 2; the radius makes about 90 % of rows cores.
    #[must_use]
    pub fn new(min_points: usize) -> Self {
        Self { min_points, epsilon: Epsilon::default() }
    }

    /// The radius. Default [`Epsilon::CoreQuantile`] of 0.9.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: Epsilon) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Clusters `rows`, `[n, d]`, borrowed where they are contiguous. Distances are computed in
    /// the rows' own float type.
    ///
    /// # Errors
    /// [`ClusterError::Parameter`], also for a quantile of distances that is zero because rows
    /// repeat; [`ClusterError::TooFewRows`] for fewer than `min_points` rows;
    /// [`ClusterError::Algorithm`]; [`ClusterError::Aqi`] for rows that are not finite or all
    /// identical.
    pub fn fit<F: Element + Float>(&self, rows: ArrayView2<'_, F>) -> Result<DbscanFit> {
        self.check()?;
        let spread = Spread::of(rows)?;
        if spread.len() < self.min_points {
            return Err(ClusterError::TooFewRows {
                algorithm: "DBSCAN",
                rows: spread.len(),
                needed: self.min_points,
            });
        }
        let epsilon = match self.epsilon {
            Epsilon::Distance(distance) => times_power_of_two(distance, -spread.power),
            Epsilon::CoreQuantile(quantile) => {
                let radius =
                    collimate_aqi::quantile(&core_distances(&spread, self.min_points), quantile)?;
                // So that the row that sets the radius is within it after rounding.
                radius * (1.0 + 64.0 * Element::to_f64(F::epsilon()))
            }
        };
        let radius = F::cast(epsilon);
        let usable = radius.is_finite() && radius * radius > F::zero();
        if !usable {
            return Err(ClusterError::parameter(
                "epsilon",
                times_power_of_two(epsilon, spread.power),
                "a distance that is neither zero nor vanishing beside the rows' values",
            ));
        }
        let found = linfa_clustering::Dbscan::params(self.min_points)
            .tolerance(radius)
            .check()
            .map_err(|error| ClusterError::Algorithm {
                algorithm: "DBSCAN",
                rows: spread.len(),
                dim: spread.dim(),
                seed: 0,
                source: error.into(),
            })?
            .transform(&spread.rows.view());
        let clusters = Clusters::from(found.view());
        Ok(DbscanFit {
            noise_rows: clusters.noise(),
            clusters,
            epsilon: times_power_of_two(epsilon, spread.power),
            settings: *self,
        })
    }

    fn check(&self) -> Result<()> {
        if self.min_points < 2 {
            return Err(ClusterError::parameter("min_points", self.min_points, "at least 2"));
        }
        match self.epsilon {
            Epsilon::Distance(distance) if !(distance.is_finite() && distance > 0.0) => {
                Err(ClusterError::parameter("epsilon", distance, "a positive number"))
            }
            Epsilon::CoreQuantile(quantile) if !(0.0..=1.0).contains(&quantile) => {
                Err(ClusterError::parameter("epsilon quantile", quantile, "a number in [0, 1]"))
            }
            _ => Ok(()),
        }
    }
}

/// Distance of each row to its `min_points`-th nearest row, itself included.
fn core_distances<F: Element + Float>(spread: &Spread<'_, F>, min_points: usize) -> Vec<f64> {
    let view = spread.rows.view();
    (0..spread.len())
        .into_par_iter()
        .map(|i| {
            let own = view.row(i);
            let mut squares: Vec<f64> = view
                .rows()
                .into_iter()
                .map(|other| {
                    own.iter()
                        .zip(other)
                        .map(|(&x, &y)| (Element::to_f64(x) - Element::to_f64(y)).powi(2))
                        .sum()
                })
                .collect();
            let (_, square, _) = squares.select_nth_unstable_by(min_points - 1, f64::total_cmp);
            square.sqrt()
        })
        .collect()
}
