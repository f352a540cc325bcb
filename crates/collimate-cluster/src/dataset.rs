//! AQI on linfa's datasets.

use crate::agreement::{Agreement, AgreementOptions};
use crate::bridge::from_linfa;
use crate::clusters::Clusters;
use crate::error::Result;
use collimate_aqi::{Dispersion, Element, Labels, Mode, Moments, Score};
use linfa::dataset::{AsSingleTargets, Label};
use linfa::{DatasetBase, Float};
use ndarray_linfa::{ArrayBase, Data, Ix2};
use std::fmt::Display;

/// How well the targets of a dataset separate its records.
///
/// For records of `f32` or `f64` and one target column of labels that can be printed: `bool`,
/// `usize`, `String`, `&str`. Weights of the dataset count, see
/// [`Moments::from_weighted_rows`]. Records are borrowed where they are contiguous.
///
/// ```
/// use collimate_cluster::AlignmentQuality;
/// use linfa::DatasetBase;
/// use ndarray_linfa::array; // ndarray 0.16, the one linfa speaks
///
/// let activations = array![[0.0], [2.0], [10.0], [12.0]];
/// let dataset = DatasetBase::from(activations).with_targets(array!["safe", "safe", "unsafe", "unsafe"]);
/// assert_eq!(dataset.calinski_harabasz()?, 50.0);
/// assert_eq!(dataset.xie_beni()?, 0.01);
/// assert!((dataset.aqi_s()?.value - 100.0 * 49.0 / 53.0).abs() < 1e-9);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
pub trait AlignmentQuality {
    /// The targets as labels.
    ///
    /// # Errors
    /// [`ClusterError::Aqi`](crate::ClusterError::Aqi) without a row.
    fn class_labels(&self) -> Result<Labels>;

    /// Per-class sizes, means and scatters.
    ///
    /// # Errors
    /// [`ClusterError::Aqi`](crate::ClusterError::Aqi) for records that are empty or not finite,
    /// or a number of targets that differs from that of records.
    fn moments(&self) -> Result<Moments>;

    /// The statistics from which all moment-based indices follow.
    ///
    /// # Errors
    /// As [`moments`](Self::moments); also for a single class or identical records.
    fn dispersion(&self) -> Result<Dispersion> {
        Ok(self.moments()?.dispersion()?)
    }

    /// Calinski-Harabasz, higher is better: [`Dispersion::calinski_harabasz`].
    ///
    /// # Errors
    /// As [`dispersion`](Self::dispersion); also for no more records than classes.
    fn calinski_harabasz(&self) -> Result<f64> {
        Ok(self.dispersion()?.calinski_harabasz()?)
    }

    /// Xie-Beni, lower is better: [`Dispersion::xie_beni`].
    ///
    /// # Errors
    /// As [`dispersion`](Self::dispersion).
    fn xie_beni(&self) -> Result<f64> {
        Ok(self.dispersion()?.xie_beni())
    }

    /// The debiased share of variance that the targets explain: [`Dispersion::rho_global`].
    ///
    /// # Errors
    /// As [`dispersion`](Self::dispersion); also for a class of one record.
    fn rho_global(&self) -> Result<f64> {
        Ok(self.dispersion()?.rho_global()?)
    }

    /// The same for the closest pair of classes: [`Dispersion::rho_local`].
    ///
    /// # Errors
    /// As [`rho_global`](Self::rho_global).
    fn rho_local(&self) -> Result<f64> {
        Ok(self.dispersion()?.rho_local()?)
    }

    /// The size-invariant Alignment Quality Index, 0 to 100: [`Mode::SizeInvariant`], λ = 0.5.
    ///
    /// # Errors
    /// As [`rho_global`](Self::rho_global).
    fn aqi_s(&self) -> Result<Score> {
        self.aqi(Mode::default())
    }

    /// The Alignment Quality Index in any of its modes: [`Mode::score`].
    ///
    /// # Errors
    /// As [`dispersion`](Self::dispersion); also those of the mode.
    fn aqi(&self, mode: Mode) -> Result<Score> {
        Ok(mode.score(&self.dispersion()?)?)
    }
}

impl<F, L, D, T> AlignmentQuality for DatasetBase<ArrayBase<D, Ix2>, T>
where
    F: Element + Float,
    L: Label + Display,
    D: Data<Elem = F>,
    T: AsSingleTargets<Elem = L>,
{
    fn class_labels(&self) -> Result<Labels> {
        Ok(Labels::new(self.targets().as_single_targets())?)
    }

    fn moments(&self) -> Result<Moments> {
        let labels = self.class_labels()?;
        let rows = from_linfa(self.records().view());
        Ok(match self.weights() {
            None => Moments::from_rows(rows.view(), &labels)?,
            Some(weights) => {
                let weights: Vec<f64> = weights.iter().copied().map(f64::from).collect();
                Moments::from_weighted_rows(rows.view(), &labels, &weights)?
            }
        })
    }
}

/// Whether clusters found without the targets of a dataset agree with them.
///
/// ```
/// use collimate_cluster::{AgreementOptions, ClusterAgreement};
/// use linfa::DatasetBase;
/// use linfa::traits::{Fit, Predict};
/// use linfa_clustering::KMeans;
/// use ndarray_linfa::array;
///
/// let activations = array![[0.0], [2.0], [10.0], [12.0]];
/// let dataset = DatasetBase::from(activations).with_targets(array![true, true, false, false]);
/// let model = KMeans::params(2).fit(&dataset).expect("enough records");
/// let clusters = model.predict(dataset.records());
/// let agreement = dataset.agreement(clusters.view(), &AgreementOptions::default())?;
/// assert_eq!(agreement.adjusted_rand, 1.0);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
pub trait ClusterAgreement {
    /// Compares targets with clusters: what linfa's k-means or mixture predicts (`usize`), what
    /// its DBSCAN returns (`Option<usize>`, `None` for noise), or [`Clusters`].
    ///
    /// # Errors
    /// As [`Agreement::new`]; [`ClusterError::Aqi`](crate::ClusterError::Aqi) without a target.
    fn agreement(
        &self,
        clusters: impl Into<Clusters>,
        options: &AgreementOptions,
    ) -> Result<Agreement>;
}

impl<Q: AlignmentQuality> ClusterAgreement for Q {
    fn agreement(
        &self,
        clusters: impl Into<Clusters>,
        options: &AgreementOptions,
    ) -> Result<Agreement> {
        Agreement::new(&self.class_labels()?, &clusters.into(), options)
    }
}
