use collimate_tensors::{Dtype, TensorsError, WriteError};
use thiserror::Error;

/// Why adapters can't be merged into a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The adapter is applied otherwise than by adding its update to the weights.
    #[error("{} set: such an adapter can't be merged", fields.join(", "))]
    Obstacles {
        /// The settings.
        fields: Vec<&'static str>,
    },
    /// The adapter belongs to weights that its initialization changed.
    #[error(
        "the adapter was initialized by {init}, which changes the base model's weights: convert it \
         to a plain LoRA adapter (`path_initial_model_for_weight_conversion` of PEFT)"
    )]
    ChangedBase {
        /// The initialization.
        init: String,
    },
    /// A weight is no number.
    #[error("the weight of an adapter is {weight}; a finite number is expected")]
    Weight {
        /// The weight.
        weight: f64,
    },
    /// An adapter brings whole tensors, which can't be weighted.
    #[error(
        "the adapter with weight {weight} brings {tensor:?} whole (modules_to_save or bias), which \
         can't be weighted: only weight 1 is possible"
    )]
    WeightedWhole {
        /// The weight.
        weight: f64,
        /// The first such tensor.
        tensor: String,
    },
    /// Two adapters bring different values for a whole tensor, or one brings it and another adapts
    /// it.
    #[error("more than one adapter changes {tensor:?}, and one of them replaces it")]
    Conflict {
        /// The tensor.
        tensor: String,
    },
    /// The base model lacks a tensor that an adapter changes.
    #[error("the base model has no tensor {tensor:?}, which an adapter changes")]
    NotInBase {
        /// The tensor.
        tensor: String,
    },
    /// A tensor of the base model has another shape than the tree of its modules says.
    #[error("{tensor:?} has the shape {found:?} in the base model, {expected:?} is expected")]
    BaseShape {
        /// The tensor.
        tensor: String,
        /// The shape that it should have.
        expected: Vec<u64>,
        /// The shape that it has.
        found: Vec<u64>,
    },
    /// A weight of the base model is of a type that nothing can be added to.
    #[error(
        "{tensor:?} of the base model is of type {dtype}: merge into full-precision weights \
         (F32, BF16 or F16), not into quantized ones"
    )]
    BaseDtype {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// Merged or converted numbers are infinite or none.
    #[error("{tensor:?} has numbers that are not finite as {dtype}: NaN, infinite or too large")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The type that it is written in.
        dtype: Dtype,
    },
    /// A tensor is too large for this machine's memory.
    #[error("{tensor:?} is too large for this machine")]
    TooLarge {
        /// The tensor.
        tensor: String,
    },
    /// The work was cancelled.
    #[error("the merge was cancelled")]
    Cancelled,
    /// The base model can't be read.
    #[error(transparent)]
    Read(#[from] TensorsError),
    /// The tensors can't be laid out or written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
