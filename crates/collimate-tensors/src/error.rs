use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cast::CastError;
use crate::pickle::PickleError;
use crate::safetensors::SafetensorsError;

/// The result of reading tensors.
pub type Result<T> = std::result::Result<T, TensorsError>;

/// What can go wrong when tensors are read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TensorsError {
    /// A file or folder can't be read.
    #[error("{} can't be read", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was to be read.
        path: PathBuf,
    },
    /// It begins neither like a safetensors file nor like a PyTorch checkpoint.
    #[error("{} is neither a safetensors file nor a PyTorch checkpoint", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A safetensors file is cut off or malformed.
    #[error("{} is not a sound safetensors file", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SafetensorsError,
    },
    /// A PyTorch checkpoint is cut off, malformed or may hold code.
    #[error("{} is not a sound PyTorch checkpoint", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: PickleError,
    },
    /// The bytes of a tensor can't be read.
    #[error("tensor {tensor:?} of {} can't be read", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the operating system or the reader of the archive says.
        #[source]
        source: io::Error,
    },
    /// A tensor can't be had as `f32`.
    #[error("tensor {tensor:?} of {} can't be had as f32", path.display())]
    Cast {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Why.
        #[source]
        source: CastError,
    },
    /// More elements were asked for than a tensor has.
    #[error(
        "tensor {tensor:?} of {} has {elements} elements, asked for were {start}..{end}",
        path.display()
    )]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its elements.
        elements: u64,
        /// The first that was asked for.
        start: u64,
        /// The one after the last that was asked for.
        end: u64,
    },
    /// A file isn't any more what it was when it was opened.
    #[error("{} was changed while it was read; start again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A folder holds no weights under the names that they have.
    #[error(
        "{} holds no weights: neither model.safetensors nor pytorch_model.bin, nor the index of \
         either (*.index.json)",
        folder.display()
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// An index of shards is larger than any should be.
    #[error("{} has {found} bytes, at most {limit} are read", index.display())]
    IndexTooLarge {
        /// The index.
        index: PathBuf,
        /// Its bytes.
        found: u64,
        /// Most bytes that are read.
        limit: u64,
    },
    /// An index of shards is not one.
    #[error("{} is not an index of shards: {source}", index.display())]
    Index {
        /// The index.
        index: PathBuf,
        /// What is wrong with its JSON, and where.
        #[source]
        source: serde_json::Error,
    },
    /// An index places tensors in a file outside its folder.
    #[error("{} names {file:?}, which is not in its folder", index.display())]
    UnsafePath {
        /// The index.
        index: PathBuf,
        /// The path as it stands there.
        file: String,
    },
    /// A file is a link that leaves the folder, and not into the blobs of a Hub cache.
    #[error(
        "{} leads to {}, outside the model's folder; put the file itself there",
        path.display(), target.display()
    )]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A file that the index names is not there.
    #[error("{file} is missing, {} names it; fetch it again", index.display())]
    MissingFile {
        /// The index.
        index: PathBuf,
        /// The file.
        file: String,
    },
    /// Tensors are not in the file that the index places them in.
    #[error(
        "{file} lacks {count} of the tensors that {} places there, the first is {tensor:?}",
        index.display()
    )]
    MissingTensor {
        /// The index.
        index: PathBuf,
        /// The file.
        file: String,
        /// The first of them, in the order of their names.
        tensor: String,
        /// How many they are.
        count: usize,
    },
    /// Two files hold a tensor of one name.
    #[error("tensor {tensor:?} is in {} and in {}", first.display(), second.display())]
    Twice {
        /// The tensor.
        tensor: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}
