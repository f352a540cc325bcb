//! The table of classes against clusters, and the indices that follow from it.

use super::chance;
use crate::clusters::{Clusters, Noise};
use crate::error::{ClusterError, Result};
use collimate_aqi::Labels;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many rows of each class lie in each cluster: `n_ij`, with class sizes `a_i = Σ_j n_ij`,
/// cluster sizes `b_j = Σ_i n_ij` and `n = Σ n_ij`.
///
/// Only occupied cells are stored. Logarithms are natural. All indices but
/// [`homogeneity`](Self::homogeneity), [`completeness`](Self::completeness) and purity are
/// symmetric in classes and clusters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contingency {
    classes: Vec<String>,
    clusters: Vec<Option<usize>>,
    class_sizes: Vec<usize>,
    cluster_sizes: Vec<usize>,
    cells: Vec<Cell>,
}

/// The rows that one class and one cluster share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cell {
    /// Index of the class in [`Contingency::classes`].
    pub class: usize,
    /// Index of the cluster in [`Contingency::clusters`].
    pub cluster: usize,
    /// Number of rows, at least one.
    pub rows: usize,
}

/// What distinguishes clusters: their number, all noise together, or one noise row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Cluster(usize),
    Noise,
    NoiseRow(usize),
}

impl Contingency {
    /// Counts the rows that are left after `noise` was dealt with. Classes that lose all their
    /// rows are dropped.
    ///
    /// # Errors
    /// [`ClusterError::LengthMismatch`]; [`ClusterError::OnlyNoise`] if no row is left.
    pub fn new(labels: &Labels, clusters: &Clusters, noise: Noise) -> Result<Self> {
        if labels.len() != clusters.len() {
            return Err(ClusterError::LengthMismatch {
                labels: labels.len(),
                clusters: clusters.len(),
            });
        }
        let mut counts: BTreeMap<(usize, Key), usize> = BTreeMap::new();
        for (row, (&code, id)) in labels.codes().iter().zip(clusters.assignments()).enumerate() {
            let key = match (id, noise) {
                (Some(id), _) => Key::Cluster(*id),
                (None, Noise::OneCluster) => Key::Noise,
                (None, Noise::Singletons) => Key::NoiseRow(row),
                (None, Noise::Exclude) => continue,
            };
            *counts.entry((code, key)).or_insert(0) += 1;
        }
        if counts.is_empty() {
            return Err(ClusterError::OnlyNoise { rows: clusters.len() });
        }
        Ok(Self::from_counts(labels, &counts))
    }

    fn from_counts(labels: &Labels, counts: &BTreeMap<(usize, Key), usize>) -> Self {
        let mut codes: BTreeMap<usize, usize> = counts.keys().map(|(code, _)| (*code, 0)).collect();
        let mut keys: BTreeMap<Key, usize> = counts.keys().map(|(_, key)| (*key, 0)).collect();
        codes.values_mut().enumerate().for_each(|(i, at)| *at = i);
        keys.values_mut().enumerate().for_each(|(i, at)| *at = i);
        let mut class_sizes = vec![0; codes.len()];
        let mut cluster_sizes = vec![0; keys.len()];
        let mut cells = Vec::with_capacity(counts.len());
        for ((code, key), &rows) in counts {
            let (class, cluster) = (codes[code], keys[key]);
            class_sizes[class] += rows;
            cluster_sizes[cluster] += rows;
            cells.push(Cell { class, cluster, rows });
        }
        Self {
            classes: codes.keys().map(|&code| labels.classes()[code].clone()).collect(),
            clusters: keys
                .keys()
                .map(|key| match key {
                    Key::Cluster(id) => Some(*id),
                    Key::Noise | Key::NoiseRow(_) => None,
                })
                .collect(),
            class_sizes,
            cluster_sizes,
            cells,
        }
    }

    /// Names of the classes that have rows.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Numbers of the clusters that have rows; `None` for noise, which comes last.
    #[must_use]
    pub fn clusters(&self) -> &[Option<usize>] {
        &self.clusters
    }

    /// `a_i`.
    #[must_use]
    pub fn class_sizes(&self) -> &[usize] {
        &self.class_sizes
    }

    /// `b_j`.
    #[must_use]
    pub fn cluster_sizes(&self) -> &[usize] {
        &self.cluster_sizes
    }

    /// The occupied cells, by class and then by cluster.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Number of rows compared, `n`.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.class_sizes.iter().sum()
    }

    /// True if classes and clusters are the same partition.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.cells.len() == self.classes.len() && self.cells.len() == self.clusters.len()
    }

    /// Adjusted Rand index, the share of pairs on which the partitions agree, corrected for
    /// chance (Hubert & Arabie 1985): 1 for equal partitions, 0 in expectation under permuted
    /// labels, at least −1/2. Two partitions of one part each, or of singletons each, score 1.
    #[must_use]
    pub fn adjusted_rand(&self) -> f64 {
        let squares =
            |sizes: &[usize]| -> i128 { sizes.iter().map(|&size| (size as i128).pow(2)).sum() };
        let n = self.rows() as i128;
        let both = self.squared_cells() as i128;
        // Ordered pairs of rows, in 128 bits: their products fit for up to three billion rows.
        let together = both - n;
        let split = squares(&self.class_sizes) - both;
        let joined = squares(&self.cluster_sizes) - both;
        let apart = n * n - n - together - split - joined;
        if split == 0 && joined == 0 {
            return 1.0;
        }
        let excess = 2 * (together * apart - split * joined);
        let range = (together + split) * (split + apart) + (together + joined) * (joined + apart);
        excess as f64 / range as f64
    }

    /// `Σ n_ij²`; with the margins fixed, adjusted Rand grows with it.
    pub(super) fn squared_cells(&self) -> u128 {
        self.cells.iter().map(|cell| (cell.rows as u128).pow(2)).sum()
    }

    /// Mutual information in nats, `Σ (n_ij/n) ln(n n_ij / (a_i b_j))`.
    #[must_use]
    pub fn mutual_information(&self) -> f64 {
        if self.classes.len() == 1 || self.clusters.len() == 1 {
            return 0.0;
        }
        let n = self.rows() as f64;
        let sum: f64 = self
            .cells
            .iter()
            .map(|cell| {
                let expected = self.class_sizes[cell.class] as f64
                    * (self.cluster_sizes[cell.cluster] as f64 / n);
                cell.rows as f64 / n * (cell.rows as f64 / expected).ln()
            })
            .sum();
        sum.max(0.0)
    }

    /// Mean mutual information over all permutations of the labels, exactly, by the
    /// hypergeometric law of each cell (Vinh, Epps & Bailey 2010).
    #[must_use]
    pub fn expected_mutual_information(&self) -> f64 {
        chance::expected_mutual_information(&self.class_sizes, &self.cluster_sizes)
    }

    /// Mutual information over the arithmetic mean of the two entropies; equal to the
    /// [V-measure](Self::v_measure). Not corrected for chance. 1 if both partitions have one
    /// part, 0 if only one of them has.
    #[must_use]
    pub fn normalized_mutual_information(&self) -> f64 {
        if self.is_perfect() {
            return 1.0;
        }
        let information = self.mutual_information();
        if information == 0.0 {
            return 0.0;
        }
        information / self.mean_entropy()
    }

    /// `(MI − E[MI]) / (mean entropy − E[MI])`, mutual information corrected for chance (Vinh,
    /// Epps & Bailey 2010, arithmetic mean): 1 for equal partitions, 0 in expectation under
    /// permuted labels. 0 where one of the partitions has a single part and the other has not.
    #[must_use]
    pub fn adjusted_mutual_information(&self) -> f64 {
        if self.is_perfect() {
            return 1.0;
        }
        if self.classes.len() == 1 || self.clusters.len() == 1 {
            return 0.0;
        }
        let expected = self.expected_mutual_information();
        let excess = self.mutual_information() - expected;
        let ceiling = self.mean_entropy();
        let range = ceiling - expected;
        // Below this, differences are rounding: for example clusters of one row each.
        let rounding = 64.0 * f64::EPSILON * ceiling;
        if excess.abs() <= rounding || range <= rounding {
            return 0.0;
        }
        excess / range
    }

    /// `MI / H(classes)`: 1 if every cluster holds one class only (Rosenberg & Hirschberg 2007).
    #[must_use]
    pub fn homogeneity(&self) -> f64 {
        share(self.mutual_information(), entropy(&self.class_sizes))
    }

    /// `MI / H(clusters)`: 1 if every class lies in one cluster only (Rosenberg & Hirschberg
    /// 2007).
    #[must_use]
    pub fn completeness(&self) -> f64 {
        share(self.mutual_information(), entropy(&self.cluster_sizes))
    }

    /// Harmonic mean of homogeneity and completeness (Rosenberg & Hirschberg 2007).
    #[must_use]
    pub fn v_measure(&self) -> f64 {
        let (h, c) = (self.homogeneity(), self.completeness());
        if h + c == 0.0 { 0.0 } else { 2.0 * h * c / (h + c) }
    }

    /// `(1/n) Σ_j max_i n_ij`: the accuracy of calling each cluster by its most frequent class.
    /// Never below the share of the largest class, and 1 for clusters of one row each: read it
    /// with its [expectation](Self::expected_purity).
    #[must_use]
    pub fn purity(&self) -> f64 {
        let mut majority = vec![0; self.clusters.len()];
        for cell in &self.cells {
            majority[cell.cluster] = cell.rows.max(majority[cell.cluster]);
        }
        majority.iter().sum::<usize>() as f64 / self.rows() as f64
    }

    /// Mean purity over all permutations of the labels, exactly, for one or two classes; `None`
    /// for more, where [`permute`](Self::permute) estimates it.
    #[must_use]
    pub fn expected_purity(&self) -> Option<f64> {
        if self.purity_is_certain() {
            return Some(1.0);
        }
        match self.class_sizes[..] {
            [first, second] => {
                Some(chance::expected_binary_purity(first, second, &self.cluster_sizes))
            }
            _ => None,
        }
    }

    /// True if purity is 1 whatever the labels' order: one class, or clusters of one row each.
    pub(super) fn purity_is_certain(&self) -> bool {
        self.classes.len() == 1 || self.cluster_sizes.iter().all(|&size| size == 1)
    }

    fn mean_entropy(&self) -> f64 {
        (entropy(&self.class_sizes) + entropy(&self.cluster_sizes)) / 2.0
    }
}

/// Entropy in nats of a partition into parts of these sizes.
fn entropy(sizes: &[usize]) -> f64 {
    let n = sizes.iter().sum::<usize>() as f64;
    sizes.iter().map(|&size| size as f64 / n * (n / size as f64).ln()).sum()
}

/// `a / b`, at most 1; 1 where `b = 0`, a partition that leaves nothing to explain.
fn share(a: f64, b: f64) -> f64 {
    if b == 0.0 { 1.0 } else { (a / b).min(1.0) }
}
