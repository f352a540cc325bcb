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
    /// A row of zeros has no direction.
    #[error("row {row} is all zeros: it has no direction to normalize")]
    ZeroRow {
        /// The row.
        row: usize,
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
    /// A state file that can't be trusted.
    #[error("state file: {reason}")]
    State {
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
        Self::Parameter {
            name,
            value: value.to_string(),
            expected,
        }
    }
}
