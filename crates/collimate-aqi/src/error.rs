//! The one error type of the crate.

/// Why a metric could not be computed.
///
/// Rows, columns and layers are counted from zero, as in the array that was passed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AqiError {
    /// There is not a single row.
    #[error("no rows: pass at least one embedding")]
    Empty,
    /// Rows have no columns.
    #[error("rows have zero dimensions: pass embeddings with at least one column")]
    ZeroDim,
    /// Two inputs that describe the same rows disagree in length or shape.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was measured, for example "labels".
        what: &'static str,
        /// The length that the other input has.
        expected: usize,
        /// The length that this input has.
        found: usize,
    },
    /// Only one class has rows: nothing can be separated.
    #[error("only one class ({class:?}) has rows: a separation needs two")]
    SingleClass {
        /// Name of the class.
        class: String,
    },
    /// A class is declared but has no rows.
    #[error("class {class:?} has no rows: drop it from the labels, or add rows")]
    EmptyClass {
        /// Name of the class.
        class: String,
    },
    /// Calinski-Harabasz divides by `n - k`.
    #[error("{n} rows in {k} classes: at least {} are needed", k + 1)]
    TooFewSamples {
        /// Number of rows.
        n: usize,
        /// Number of classes.
        k: usize,
    },
    /// An unbiased class variance needs two rows.
    #[error("class {class:?} has {count} row(s): this statistic needs at least two in each class")]
    NeedTwoPerClass {
        /// Name of the class.
        class: String,
        /// How many rows it has.
        count: usize,
    },
    /// A standard error from leaving rows out needs three rows, or three groups, in each class.
    #[error("class {class:?} has too few rows or groups: leaving one out must leave two rows")]
    NeedThreePerClass {
        /// Name of the class.
        class: String,
    },
    /// A NaN or an infinity among the embeddings.
    #[error("row {row}, column {col} is {value}: remove the row, or choose to skip such rows")]
    NonFinite {
        /// Row of the value.
        row: usize,
        /// Column of the value.
        col: usize,
        /// The value, written out.
        value: String,
    },
    /// A NaN or an infinity among the activations of several layers.
    #[error("row {row}, layer {layer}, column {col} is {value}: remove the row")]
    NonFiniteLayer {
        /// Row of the value.
        row: usize,
        /// Layer of the value.
        layer: usize,
        /// Column of the value.
        col: usize,
        /// The value, written out.
        value: String,
    },
    /// All rows are equal: every ratio is 0/0.
    #[error("all rows are identical: there is no variance to explain")]
    DegenerateData,
    /// A label that is not among the classes.
    #[error("unknown class {label:?}: the classes are {}", .known.join(", "))]
    UnknownClass {
        /// The label asked for.
        label: String,
        /// The classes there are.
        known: Vec<String>,
    },
    /// The statistic is defined for two classes.
    #[error("{what} needs exactly two classes, found {found}")]
    TwoClasses {
        /// What was asked for.
        what: &'static str,
        /// How many classes there are.
        found: usize,
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
    /// Two states, samples or transforms that describe different things.
    #[error("{what} differ: {left} and {right}")]
    Incompatible {
        /// What differs, for example "dimensions".
        what: &'static str,
        /// The value on the left.
        left: String,
        /// The value on the right.
        right: String,
    },
    /// The same prompt id twice in one sample.
    #[error("id {id:?} stands at row {first} and again at row {second}: ids must be unique")]
    DuplicateId {
        /// The id.
        id: String,
        /// Row of its first appearance.
        first: usize,
        /// Row of its second appearance.
        second: usize,
    },
    /// A row that is used twice where each may be used once.
    #[error("row {row} is among the {first} rows and again among the {second} rows: use each once")]
    RowUsedTwice {
        /// The row.
        row: usize,
        /// Where it stands first, for example "training".
        first: &'static str,
        /// Where it stands again.
        second: &'static str,
    },
    /// One prompt carries different labels before and after.
    #[error("id {id:?} is labelled {before:?} before and {after:?} after")]
    LabelChanged {
        /// The id.
        id: String,
        /// Its label in the first sample.
        before: String,
        /// Its label in the second sample.
        after: String,
    },
    /// A paired comparison of a sample whose rows have no ids.
    #[error("the {sample} sample has no ids: a paired comparison needs them to match prompts")]
    MissingIds {
        /// Which sample, for example "first".
        sample: &'static str,
    },
    /// Two samples share no prompt.
    #[error("the two samples have no id in common: a paired comparison needs the same prompts")]
    NoCommonIds,
    /// A group holds rows of several classes, so its label cannot be permuted as one.
    #[error(
        "group {group:?} holds rows of {a:?} and of {b:?}: labels can be permuted by group only when each group has one class"
    )]
    GroupSpansClasses {
        /// The group.
        group: String,
        /// One of its classes.
        a: String,
        /// Another of its classes.
        b: String,
    },
    /// A group holds rows of several axioms, so its label cannot be exchanged within one.
    #[error(
        "group {group:?} holds rows of axiom {a:?} and of {b:?}: a group must lie within one axiom"
    )]
    GroupSpansAxioms {
        /// The group.
        group: String,
        /// One of its axioms.
        a: String,
        /// Another of its axioms.
        b: String,
    },
    /// Every row equals its class's centroid, so that ratios of within-class scatter are 0/0.
    #[error("{what} needs rows that differ within their class: here none do")]
    NoWithinScatter {
        /// What was asked for.
        what: &'static str,
    },
    /// Fuzzy memberships of a row that are none.
    #[error("memberships of row {row}: {reason}")]
    Membership {
        /// The row.
        row: usize,
        /// What is wrong with them, and what to do.
        reason: String,
    },
    /// A fuzzy cluster to which no row belongs.
    #[error("no row belongs to fuzzy cluster {cluster}: drop its column")]
    EmptyCluster {
        /// Column of the cluster.
        cluster: usize,
    },
    /// A row of zeros has no direction.
    #[error("row {row} is all zeros: it has no direction to normalize")]
    ZeroRow {
        /// The row.
        row: usize,
    },
    /// A layer of zeros has no cosine with anything.
    #[error("row {row}, layer {layer} is all zeros: it has no direction to compare")]
    ZeroLayer {
        /// The row.
        row: usize,
        /// The layer.
        layer: usize,
    },
    /// A transform that would overfit the rows that it scores.
    #[error("{transform} must be fitted on other rows than it scores: use cross-fitting")]
    CrossFitRequired {
        /// Name of the transform.
        transform: &'static str,
    },
    /// An iteration did not reach its tolerance.
    #[error("{what} did not converge in {iterations} iterations (residual {residual:e})")]
    NotConverged {
        /// What was computed.
        what: &'static str,
        /// Iterations made.
        iterations: usize,
        /// The residual reached.
        residual: f64,
    },
    /// A matrix that has no Cholesky factor.
    #[error(
        "the matrix is not positive definite (pivot {pivot}): some columns depend on the others; use shrinkage or a ridge"
    )]
    NotPositiveDefinite {
        /// The row at which the factorization broke down.
        pivot: usize,
    },
    /// A part of a split that has too few rows of a class.
    #[error(
        "{part} would hold {count} row(s) of class {class:?}, and needs two: use fewer parts or more rows (rows of one group stay together)"
    )]
    PartTooSmall {
        /// Which part, for example "fold 2".
        part: String,
        /// Name of the class.
        class: String,
        /// How many rows of it there would be.
        count: usize,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A state file that can't be trusted.
    #[error("{}: {reason}", .path.as_ref().map_or_else(|| "state file".to_owned(), |path| path.display().to_string()))]
    State {
        /// The file, where the bytes came from one.
        path: Option<std::path::PathBuf>,
        /// What is wrong with it.
        reason: String,
        /// The parser's own error, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// The result of everything that can fail here.
pub type Result<T, E = AqiError> = std::result::Result<T, E>;

impl AqiError {
    /// Shorthand for a setting outside its range.
    pub(crate) fn parameter(
        name: &'static str,
        value: impl std::fmt::Display,
        expected: &'static str,
    ) -> Self {
        Self::Parameter { name, value: value.to_string(), expected }
    }
}
