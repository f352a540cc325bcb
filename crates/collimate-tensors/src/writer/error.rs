use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::safetensors::HEADER_LIMIT;

/// What can go wrong when a safetensors file is laid out or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file can't be created or written: there may be one already, or the disk is full.
    #[error("{} can't be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Two tensors have one name.
    #[error("tensor {tensor:?} is there twice")]
    Duplicate {
        /// The name.
        tensor: String,
    },
    /// A tensor has the name under which the format keeps metadata.
    #[error("a tensor can't be called __metadata__")]
    ReservedName,
    /// The size of a tensor, or of all up to it, doesn't fit 64 bits.
    #[error("tensor {tensor:?} has a shape whose size overflows")]
    Overflow {
        /// The tensor.
        tensor: String,
    },
    /// The size of the file doesn't fit 64 bits.
    #[error("the file would be larger than any can be")]
    TooLarge,
    /// A tensor of elements smaller than a byte ends within a byte.
    #[error("tensor {tensor:?} has {bits} bits, which are not whole bytes")]
    PartialByte {
        /// The tensor.
        tensor: String,
        /// Bits of all its elements.
        bits: u64,
    },
    /// Names, shapes and metadata take more room than the format has for them.
    #[error("the header has {found} bytes, the format allows {HEADER_LIMIT}; use more files")]
    HeaderTooLarge {
        /// Bytes of the header.
        found: u64,
    },
    /// A tensor doesn't have the bytes that its shape and type need.
    #[error("tensor {tensor:?} needs {expected} bytes, it has {found}")]
    WrongSize {
        /// The tensor.
        tensor: String,
        /// Bytes that its shape and type need.
        expected: u64,
        /// Bytes that were given.
        found: u64,
    },
    /// The layout has no tensor of this name.
    #[error("the layout has no tensor {tensor:?}")]
    UnknownTensor {
        /// The name.
        tensor: String,
    },
    /// Bytes reach beyond the end of a tensor.
    #[error("tensor {tensor:?} has {len} bytes, {bytes} bytes at {offset} don't fit")]
    OutOfRange {
        /// The tensor.
        tensor: String,
        /// Its bytes.
        len: u64,
        /// Where they were to be written.
        offset: u64,
        /// How many were to be written.
        bytes: usize,
    },
    /// Bytes of a tensor were written before.
    #[error("tensor {tensor:?} has some of its bytes {offset}..{end} already")]
    Overlap {
        /// The tensor.
        tensor: String,
        /// Where they were to be written.
        offset: u64,
        /// Where the last of them would have ended.
        end: u64,
    },
    /// A file was to be finished before all of it was written.
    #[error(
        "tensor {tensor:?} has {written} of {expected} bytes; {count} tensors are not complete"
    )]
    Incomplete {
        /// The first of them, in the order of their data.
        tensor: String,
        /// Bytes that were written.
        written: u64,
        /// Bytes that it needs.
        expected: u64,
        /// How many they are.
        count: usize,
    },
}
