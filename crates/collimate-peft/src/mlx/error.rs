use std::path::PathBuf;

use collimate_tensors::{TensorsError, WriteError};
use thiserror::Error;

/// Why an adapter can't be read from the MLX layout, or written in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MlxError {
    /// The folder holds another kind of training than LoRA or DoRA.
    #[error(
        "{}: `fine_tune_type` is {found:?}; \"lora\" or \"dora\" is expected, of \"full\" take the \
         model itself", path.display()
    )]
    Kind {
        /// The configuration.
        path: PathBuf,
        /// The kind.
        found: String,
    },
    /// The configuration lacks what says how the tensors are used.
    #[error("{}: `lora_parameters` is missing", path.display())]
    NoParameters {
        /// The configuration.
        path: PathBuf,
    },
    /// A tensor is none of those that a linear module or an embedding has.
    #[error("{}: {tensor:?} is not called ….lora_a, ….lora_b or ….m", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// The model has no such module that can be adapted.
    #[error(
        "{}: the model has no linear module or embedding for {tensor:?}; mlx-lm names the modules \
         of some models otherwise, and stacks experts", path.display()
    )]
    NoModule {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor has another shape than rank and model give it.
    #[error("{}: {tensor:?} has the shape {found:?}, {expected:?} is expected", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape that it should have.
        expected: Vec<u64>,
        /// The shape that it has.
        found: Vec<u64>,
    },
    /// A module lacks one of its tensors.
    #[error("{}: {tensor:?} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// One of the two layouts has no place for something that the other has.
    #[error("{what:?} can't be converted: {reason}")]
    NoEquivalent {
        /// The field, the module or the tensor.
        what: String,
        /// Why not.
        reason: &'static str,
    },
    /// The tensors can't be read.
    #[error(transparent)]
    Read(#[from] TensorsError),
    /// The tensors can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
