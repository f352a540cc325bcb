use std::path::{Path, PathBuf};

use collimate_tensors::{Dtype, TensorsError, WriteError};
use thiserror::Error;

/// What is wrong with the tensors of an adapter. The path is empty for one that was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A folder holds no tensors of an adapter.
    #[error(
        "{} holds no adapter: neither adapter_model.safetensors nor adapter_model.bin",
        folder.display()
    )]
    NoTensors {
        /// The folder.
        folder: PathBuf,
    },
    /// A tensor has a name that PEFT gives to none.
    #[error(
        "{}: {tensor:?} is no name of a LoRA adapter's tensor, such as \
         base_model.model.….q_proj.lora_A.weight",
        place(path)
    )]
    Name {
        /// The file.
        path: PathBuf,
        /// The name.
        tensor: String,
    },
    /// Two tensors are the same one, under one name or two.
    #[error("{}: {tensor:?} is there twice", place(path))]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        tensor: String,
    },
    /// A tensor is not of floating-point numbers that can be merged.
    #[error("{}: {tensor:?} is of type {dtype}; F32, BF16, F16 or F64 is expected", place(path))]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
    },
    /// A tensor doesn't have the bytes that its shape needs.
    #[error("{}: {tensor:?} of shape {shape:?} has {found} bytes, which do not fit", place(path))]
    Size {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its bytes.
        found: usize,
    },
    /// Tensors that the configuration promises are not there.
    #[error(
        "{}: {tensor:?} is missing, {count} in all; the adapter is not whole, or \
         adapter_config.json is another's",
        place(path)
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The first of them, in the order of their names.
        tensor: String,
        /// How many they are.
        count: usize,
    },
    /// Tensors are there that the configuration doesn't provide for.
    #[error(
        "{}: {tensor:?} is unexpected, {count} in all: no module of the model has it under this \
         configuration",
        place(path)
    )]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The first of them, in the order of their names.
        tensor: String,
        /// How many they are.
        count: usize,
    },
    /// A tensor has another shape than model and configuration give it.
    #[error(
        "{}: {tensor:?} has the shape {found:?}, {expected:?} is expected; is it an adapter for \
         another model, or one whose vocabulary was resized?",
        place(path)
    )]
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
    /// The file can't be read.
    #[error(transparent)]
    Read(#[from] TensorsError),
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn place(path: &Path) -> String {
    if path.as_os_str().is_empty() { "the adapter".to_owned() } else { path.display().to_string() }
}
