//! Agreement of clusters with labels, corrected for chance.

mod chance;
mod contingency;

pub use chance::Permutations;
pub use contingency::{Cell, Contingency};

use crate::clusters::{Clusters, Noise};
use crate::error::Result;
use collimate_aqi::Labels;
use serde::Serialize;

/// How clusters are compared with labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgreementOptions {
    noise: Noise,
    permutations: usize,
    seed: u64,
}

impl Default for AgreementOptions {
    /// Noise is one more cluster; 999 permutations from seed 0.
    fn default() -> Self {
        Self { noise: Noise::default(), permutations: 999, seed: 0 }
    }
}

impl AgreementOptions {
    /// What becomes of noise rows. Default [`Noise::OneCluster`].
    #[must_use]
    pub fn with_noise(mut self, noise: Noise) -> Self {
        self.noise = noise;
        self
    }

    /// How often labels are permuted. Default 999; 0 for no p-value.
    #[must_use]
    pub fn with_permutations(mut self, permutations: usize) -> Self {
        self.permutations = permutations;
        self
    }

    /// Seed of the permutations. Default 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Do clusters that were found without labels find the split that the labels make?
///
/// Adjusted Rand, adjusted mutual information and chance-corrected purity are 1 for equal
/// partitions and 0 in expectation under permuted labels, whatever the sizes of classes and
/// clusters. Normalized mutual information, homogeneity, completeness and purity are not
/// corrected: they grow with the number of clusters.
///
/// ```
/// use collimate_aqi::Labels;
/// use collimate_cluster::{AgreementOptions, Clusters};
/// let labels = Labels::new(["safe", "safe", "safe", "unsafe", "unsafe", "unsafe"])?;
/// let clusters = Clusters::new([1, 1, 0, 0, 0, 0]);
/// let agreement = clusters.agreement(&labels, &AgreementOptions::default())?;
/// assert_eq!(agreement.purity, 5.0 / 6.0);
/// assert!((agreement.adjusted_rand - 0.324_324_324_324).abs() < 1e-9);
/// # Ok::<(), collimate_cluster::ClusterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// Rows compared.
    pub rows: usize,
    /// Noise rows among all rows.
    pub noise_rows: usize,
    /// What became of noise rows; with [`Noise::Exclude`] they are not among `rows`.
    pub noise: Noise,
    /// Adjusted Rand index (Hubert & Arabie 1985).
    pub adjusted_rand: f64,
    /// Mutual information in nats.
    pub mutual_information: f64,
    /// Mutual information over the mean entropy; the V-measure.
    pub normalized_mutual_information: f64,
    /// Mutual information corrected for chance (Vinh, Epps & Bailey 2010).
    pub adjusted_mutual_information: f64,
    /// 1 if every cluster holds one class only.
    pub homogeneity: f64,
    /// 1 if every class lies in one cluster only.
    pub completeness: f64,
    /// Accuracy of calling each cluster by its most frequent class.
    pub purity: f64,
    /// Mean purity under permuted labels: exact for two classes, the mean over the permutations
    /// for more; `None` for more without permutations.
    pub expected_purity: Option<f64>,
    /// `(purity − E) / (1 − E)` with `E` the expected purity, as Cohen's κ corrects accuracy; 0
    /// where `E = 1`, a purity that no labels can miss.
    pub chance_corrected_purity: Option<f64>,
    /// The permutation test of adjusted Rand; `None` without permutations.
    pub permutations: Option<Permutations>,
    /// The table of classes against clusters.
    pub contingency: Contingency,
}

impl Agreement {
    /// Compares clusters with labels.
    ///
    /// # Errors
    /// [`ClusterError::LengthMismatch`](crate::ClusterError::LengthMismatch);
    /// [`ClusterError::OnlyNoise`](crate::ClusterError::OnlyNoise) if noise is excluded and there
    /// is nothing else.
    pub fn new(labels: &Labels, clusters: &Clusters, options: &AgreementOptions) -> Result<Self> {
        let contingency = Contingency::new(labels, clusters, options.noise)?;
        let permutations = contingency.permute(options.permutations, options.seed);
        let purity = contingency.purity();
        let expected_purity = contingency
            .expected_purity()
            .or_else(|| permutations.as_ref().map(|draws| draws.mean_purity));
        let certain = contingency.purity_is_certain();
        Ok(Self {
            rows: contingency.rows(),
            noise_rows: clusters.noise(),
            noise: options.noise,
            adjusted_rand: contingency.adjusted_rand(),
            mutual_information: contingency.mutual_information(),
            normalized_mutual_information: contingency.normalized_mutual_information(),
            adjusted_mutual_information: contingency.adjusted_mutual_information(),
            homogeneity: contingency.homogeneity(),
            completeness: contingency.completeness(),
            purity,
            expected_purity,
            chance_corrected_purity: expected_purity.map(|expected| {
                if certain || expected >= 1.0 {
                    0.0
                } else {
                    (purity - expected) / (1.0 - expected)
                }
            }),
            permutations,
            contingency,
        })
    }
}
