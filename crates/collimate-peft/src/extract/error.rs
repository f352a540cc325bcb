use collimate_tensors::{Dtype, TensorsError};
use thiserror::Error;

/// Why no adapter can be extracted from two models.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A setting that an extracted adapter can't have.
    #[error("`{field}` is set: {reason}")]
    Setting {
        /// The field of the configuration.
        field: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A tensor is in one model only.
    #[error(
        "{tensor:?} is in the {} model only: the models must have the same tensors, or a head that \
         the tree of modules ties",
        model(*in_tuned)
    )]
    OnlyInOne {
        /// Its name in the model.
        tensor: String,
        /// Whether it is the tuned model that has it.
        in_tuned: bool,
    },
    /// The files of a model hold a tensor under its shorter and its longer name.
    #[error("{tensor:?} is in the {} model twice, under names of different length", model(*in_tuned))]
    Twice {
        /// Its name in the model.
        tensor: String,
        /// Whether it is the tuned model that has it.
        in_tuned: bool,
    },
    /// A tensor has another shape in the one model than in the other, or in the tree of modules.
    #[error(
        "{tensor:?} has the shape {base:?} in the base model and {tuned:?} in the tuned one; the \
         tree of modules says {expected:?}. Was the vocabulary resized?"
    )]
    Shape {
        /// Its name in the model.
        tensor: String,
        /// Its shape in the base model.
        base: Vec<u64>,
        /// Its shape in the tuned model.
        tuned: Vec<u64>,
        /// The shape that the tree gives it; that of the base model where the tree knows none.
        expected: Vec<u64>,
    },
    /// A weight is of a type that can't be subtracted, or kept in an adapter.
    #[error(
        "{tensor:?} of the {} model is of type {dtype}: F32, BF16, F16 or F64 is expected",
        model(*in_tuned)
    )]
    Dtype {
        /// Its name in the model.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Whether it is the tuned model's.
        in_tuned: bool,
    },
    /// A difference is infinite or none.
    #[error(
        "the difference of {tensor:?} has numbers that are not finite: NaN, infinite or too large"
    )]
    NotFinite {
        /// Its name in the model.
        tensor: String,
    },
    /// Tensors differ that the adapter doesn't change.
    #[error(
        "{tensor:?} differs, {count} in all, and the adapter would not change it: make it a target, \
         name it in `modules_to_save`, set `bias`, or allow the loss"
    )]
    ChangedElsewhere {
        /// The first of them, in the order of their names.
        tensor: String,
        /// How many they are.
        count: usize,
    },
    /// A tensor is too large for this machine's memory.
    #[error("{tensor:?} is too large for this machine")]
    TooLarge {
        /// Its name in the model.
        tensor: String,
    },
    /// The largest singular values can't be found.
    #[error("the singular values of the difference of {tensor:?} don't converge; try another rank")]
    NotConverged {
        /// Its name in the model.
        tensor: String,
    },
    /// The work was cancelled.
    #[error("the extraction was cancelled")]
    Cancelled,
    /// A model can't be read.
    #[error(transparent)]
    Read(#[from] TensorsError),
}

fn model(is_tuned: bool) -> &'static str {
    if is_tuned { "tuned" } else { "base" }
}
