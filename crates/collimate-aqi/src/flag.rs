//! What a reader of a number must know about it.

use serde::Serialize;

/// A circumstance under which a value was computed; written beside it in every report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "flag")]
#[non_exhaustive]
pub enum Flag {
    /// Two classes have the same centroid: Xie-Beni is infinite, AQI zero.
    CoincidentCentroids {
        /// Name of the first class.
        a: String,
        /// Name of the second class.
        b: String,
    },
    /// Every row equals its class's centroid: Calinski-Harabasz is infinite.
    NoWithinScatter,
    /// A class of one row: no variance, hence no `ρ`, can be estimated.
    Singleton {
        /// Name of the class.
        class: String,
    },
    /// The denominator of `ρ_local` is not positive; it is reported as −1.
    RhoLocalUndefined,
    /// Calinski-Harabasz lies above `chi_max`; its share was clipped to 1.
    ChiAboveMaximum,
    /// The spread of Xie-Beni over the groups is zero: the reference normalization is a step.
    ZeroInterquartileRange,
    /// Only one group was normalized, or all had one value: the reference score is a constant.
    ConstantGroups,
    /// The anchors of an anchored normalization have one value: its spread is set to the floor of
    /// `10^-6`, and the score is a step.
    ConstantAnchors,
    /// Rows that occur more than once; identical prompts are not independent evidence.
    DuplicateRows {
        /// Rows that repeat an earlier one.
        rows: usize,
        /// How many of these repeat a row of another class.
        across_classes: usize,
    },
    /// Rows with NaN or infinite values were left out, as was asked for.
    SkippedRows {
        /// How many.
        rows: usize,
    },
    /// A layer whose training rows are all equal; it separates nothing.
    ConstantLayer {
        /// The layer, from zero.
        layer: usize,
    },
    /// The loss of layer weights lost its gradient: no pair lies within the margin, or one layer
    /// has all the weight. Training stopped there.
    HingeWithoutGradient {
        /// The step, from zero; at step zero nothing was learned.
        step: usize,
    },
    /// Trained layer weights put more than 0.99 on one layer.
    CollapsedOnLayer {
        /// The layer, from zero.
        layer: usize,
    },
    /// The interval is made of plain bootstrap percentiles, which cover less than they say.
    LegacyInterval,
}
