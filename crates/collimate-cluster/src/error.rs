//! The one error type of the crate.

use collimate_aqi::AqiError;

/// Why rows could not be clustered, or clusters not compared.
///
/// Rows and columns are counted from zero, as in the array that was passed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Rows or labels that no metric accepts: empty, not finite, of one class, all identical.
    #[error(transparent)]
    Aqi(#[from] AqiError),
    /// Labels and clusters describe different numbers of rows.
    #[error("{labels} labels but {clusters} cluster assignments: pass one of each for every row")]
    LengthMismatch {
        /// Number of labels.
        labels: usize,
        /// Number of cluster assignments.
        clusters: usize,
    },
    /// All rows are noise, and noise was to be left out.
    #[error(
        "all {rows} rows are noise and noise is excluded: widen epsilon, or count noise as a cluster"
    )]
    OnlyNoise {
        /// Number of rows.
        rows: usize,
    },
    /// A setting outside its range.
    #[error("{name} = {value}: expected {expected}")]
    Parameter {
        /// Name of the setting.
        name: &'static str,
        /// The value found, written out.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// Fewer rows than the algorithm needs.
    #[error("{algorithm} of these settings needs at least {needed} rows, found {rows}")]
    TooFewRows {
        /// The algorithm.
        algorithm: &'static str,
        /// Rows found.
        rows: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A full covariance of every component cannot be estimated from so few rows.
    #[error(
        "a mixture of {components} Gaussians with full covariances is singular for {rows} rows in \
         {dim} dimensions: project to at most {largest_dim} dimensions first, for example with \
         principal components"
    )]
    SingularCovariance {
        /// Number of rows.
        rows: usize,
        /// Number of dimensions.
        dim: usize,
        /// Number of components.
        components: usize,
        /// Most dimensions for which `rows ≥ components · (dimensions + 1)`.
        largest_dim: usize,
    },
    /// Some of the clusters asked for have no rows.
    #[error("only {occupied} of {wanted} clusters have rows: ask for fewer clusters")]
    EmptyCluster {
        /// Clusters asked for.
        wanted: usize,
        /// Clusters with rows.
        occupied: usize,
    },
    /// The algorithm itself failed.
    #[error("{algorithm} on {rows} rows in {dim} dimensions failed (seed {seed}): {source}")]
    Algorithm {
        /// The algorithm.
        algorithm: &'static str,
        /// Number of rows.
        rows: usize,
        /// Number of dimensions.
        dim: usize,
        /// The seed of the run that failed.
        seed: u64,
        /// The algorithm's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The result of everything that can fail here.
pub type Result<T, E = ClusterError> = std::result::Result<T, E>;

impl ClusterError {
    /// Shorthand for a setting outside its range.
    pub(crate) fn parameter(
        name: &'static str,
        value: impl std::fmt::Display,
        expected: &'static str,
    ) -> Self {
        Self::Parameter { name, value: value.to_string(), expected }
    }
}
