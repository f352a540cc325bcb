//! Cluster assignments, some of which may be noise.

use crate::agreement::{Agreement, AgreementOptions};
use crate::error::Result;
use collimate_aqi::Labels;
use serde::Serialize;
use std::collections::BTreeMap;

/// The cluster of each row, or none for a row that the algorithm calls noise.
///
/// Cluster numbers are names without order: they need not start at zero or be contiguous.
///
/// ```
/// use collimate_cluster::Clusters;
/// let clusters = Clusters::from_signed([0, 0, 1, -1]);
/// assert_eq!(clusters.assignments(), [Some(0), Some(0), Some(1), None]);
/// assert_eq!((clusters.count(), clusters.noise()), (2, 1));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Clusters {
    assignments: Vec<Option<usize>>,
}

/// What becomes of the rows without a cluster when clusters are compared with labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Noise {
    /// All noise is one more cluster, as scikit-learn counts the label −1. The default.
    #[default]
    OneCluster,
    /// Each noise row is a cluster of its own: noise says nothing about other rows.
    Singletons,
    /// Noise rows are left out, and counted in the result. Agreement then speaks for the dense
    /// part of the rows alone.
    Exclude,
}

impl Clusters {
    /// Assignments without noise.
    #[must_use]
    pub fn new(assignments: impl IntoIterator<Item = usize>) -> Self {
        Self::with_noise(assignments.into_iter().map(Some))
    }

    /// Assignments where `None` is noise.
    #[must_use]
    pub fn with_noise(assignments: impl IntoIterator<Item = Option<usize>>) -> Self {
        Self { assignments: assignments.into_iter().collect() }
    }

    /// Assignments where negative numbers are noise, as scikit-learn writes them.
    #[must_use]
    pub fn from_signed(assignments: impl IntoIterator<Item = i64>) -> Self {
        Self::with_noise(assignments.into_iter().map(|id| usize::try_from(id).ok()))
    }

    /// The cluster of each row.
    #[must_use]
    pub fn assignments(&self) -> &[Option<usize>] {
        &self.assignments
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.assignments.len()
    }

    /// True if there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty()
    }

    /// Number of clusters that have rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sizes().len()
    }

    /// Number of noise rows.
    #[must_use]
    pub fn noise(&self) -> usize {
        self.assignments.iter().filter(|id| id.is_none()).count()
    }

    /// Number of rows of each cluster that has rows.
    #[must_use]
    pub fn sizes(&self) -> BTreeMap<usize, usize> {
        let mut sizes = BTreeMap::new();
        for id in self.assignments.iter().flatten() {
            *sizes.entry(*id).or_insert(0) += 1;
        }
        sizes
    }

    /// How well these clusters, found without labels, agree with `labels`.
    ///
    /// # Errors
    /// [`ClusterError::LengthMismatch`](crate::ClusterError::LengthMismatch);
    /// [`ClusterError::OnlyNoise`](crate::ClusterError::OnlyNoise).
    pub fn agreement(&self, labels: &Labels, options: &AgreementOptions) -> Result<Agreement> {
        Agreement::new(labels, self, options)
    }
}

/// The numbers `0..count` in the order in which they first occur; those that never do come last.
pub(crate) fn by_first_row(assignments: &[usize], count: usize) -> Vec<usize> {
    let mut first = vec![usize::MAX; count];
    for (row, &id) in assignments.iter().enumerate().rev() {
        first[id] = row;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&id| first[id]);
    order
}

impl From<ndarray_linfa::ArrayView1<'_, usize>> for Clusters {
    /// What linfa's k-means and mixture predict.
    fn from(predicted: ndarray_linfa::ArrayView1<'_, usize>) -> Self {
        Self::new(predicted.iter().copied())
    }
}

impl From<ndarray_linfa::ArrayView1<'_, Option<usize>>> for Clusters {
    /// What linfa's DBSCAN returns.
    fn from(predicted: ndarray_linfa::ArrayView1<'_, Option<usize>>) -> Self {
        Self::with_noise(predicted.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::by_first_row;

    #[test]
    fn clusters_are_ordered_by_their_first_row() {
        assert_eq!(by_first_row(&[3, 3, 0, 3, 1, 0], 5), [3, 0, 1, 2, 4]);
    }
}
